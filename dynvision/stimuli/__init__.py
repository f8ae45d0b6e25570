"""Stimuli in time: what a trial shows at each step. NumPy only, no torch."""
