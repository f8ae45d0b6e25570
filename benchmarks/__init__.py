"""Measurements of speed, as ratios to named peers that are measured in the same run."""
