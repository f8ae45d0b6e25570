"""Stores of an experiment whose responses and accuracies are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import show_first_only
from tests.helpers.stores import SPATIAL, leaky_response, write_store

N, CLASSES = 40, [0, 1, 2, 3]

LABELS = np.resize(CLASSES, N)


Condition = tuple[dict[str, str], Presentation, float, float]
"""Levels, presentation, how strongly the layers are driven, and the accuracy."""


def simulate(folder: Path, conditions: Sequence[Condition], layers: Sequence[str] = ("V1", "IT")) -> Any:
    """Stores of a network whose layers are leaky integrators of known drive, and whose accuracy is known."""
    rng, stores = np.random.default_rng(0), []
    resting = 2.0
    for number, (levels, show, drive, accuracy) in enumerate(conditions):
        variables = {}
        runs: dict[str, dict[str, np.ndarray]] = {"rest": {}}
        alone = show_first_only(show)
        for depth, layer in enumerate(layers):
            alpha = 0.5 / (depth + 1)
            course = resting + leaky_response(drive * (show.frames >= 0), alpha)
            runs["rest"][layer] = np.full((N, show.n_timesteps), resting)
            if alone is not None:
                single = resting + leaky_response(drive * (alone.frames >= 0), alpha)
                runs.setdefault("single", {})[layer] = np.tile(single, (N, 1))
            units = course[None, :, None, None, None] * rng.normal(1, 0.02, (N, 1, 3, 4, 4))
            units += course[None, :, None, None, None] - units.mean(axis=(0, 2, 3, 4), keepdims=True)
            variables[layer] = {"response": (SPATIAL, units.astype(np.float64))}
        right = np.arange(N) < round(accuracy * N)
        answers = np.where(right, LABELS, (LABELS + 1) % 4)
        scores = np.repeat(np.eye(4)[answers][:, None], show.n_timesteps, axis=1)
        path = folder / f"{number}.zarr"
        stores.append((levels, write_store(path, variables, scores, LABELS, CLASSES, dt=5.0, references=runs), show))
    return stores


LEVELS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0]
