"""Experiments: conditions, how they are shown to a network, and where responses are kept."""
