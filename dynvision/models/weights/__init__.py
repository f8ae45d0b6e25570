"""Weights that were trained elsewhere: file formats, names, and what does not fit."""
