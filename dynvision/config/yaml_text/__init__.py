"""The text of a config file as plain values: YAML 1.2, read event by event, with the place of each fault."""
