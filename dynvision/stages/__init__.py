"""The stages: what each builds, from what, and how to tell whether it is up to date."""
