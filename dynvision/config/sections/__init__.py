"""The sections of the configuration: the schema of each of its files, and of the parts that files share."""
