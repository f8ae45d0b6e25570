"""The workers of this machine."""
