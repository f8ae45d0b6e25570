"""Figures: of an experiment (summary, time courses, tuning), of its subjects side by side, and of single targets."""
