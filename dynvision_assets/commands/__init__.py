"""The commands of the command line: one module for those that build, that look, that serve, and for completion.

A module here imports only click and other light modules at the top. Everything that reads the configuration (pydantic,
NumPy) or Dagster is imported inside the functions, so that `dynvision --help` and shell completion answer at once.
"""
