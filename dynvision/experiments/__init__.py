"""Experiments: showing the conditions of a sweep to a network, and recording its responses."""
