"""The stages: what each builds, from what, and how one tells that it is up to date."""
