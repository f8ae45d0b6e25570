"""The plan of a sweep: presentations that begin alike are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dynvision.data.schedule import Presentation

__all__ = ["PlannedStep", "plan_sweep"]


@dataclass(frozen=True)
class PlannedStep:
    """One time step of a sweep: the distinct histories up to it.

    Attributes:
        shown_by: For each distinct history, a presentation that has it.
        parents: The history of the step before that each continues; all zeros at the first step.
        history_of: Which history each presentation is in.
    """

    shown_by: npt.NDArray[np.int64]
    parents: npt.NDArray[np.int64]
    history_of: npt.NDArray[np.int64]


def plan_sweep(presentations: Sequence[Presentation]) -> list[PlannedStep]:
    """Find the distinct prefixes of presentations: the nodes of their prefix tree, level by level.

    A network with a state has to be run once for each node; presentations that show the same up to
    a step share its responses.

    Args:
        presentations: Of equal length.

    Raises:
        ValueError: They differ in length.
    """
    lengths = {p.n_timesteps for p in presentations}
    if len(lengths) != 1:
        raise ValueError(f"presentations of one sweep have one length, but there are {sorted(lengths)}")
    history = np.zeros(len(presentations), dtype=np.int64)
    steps = []
    for t in range(lengths.pop()):
        nodes: dict[tuple[object, ...], int] = {}
        shown_by: list[int] = []
        parents: list[int] = []
        following = np.empty_like(history)
        for index, presentation in enumerate(presentations):
            key = (int(history[index]), presentation.step_key(t))
            if key not in nodes:
                nodes[key] = len(nodes)
                shown_by.append(index)
                parents.append(int(history[index]))
            following[index] = nodes[key]
        steps.append(PlannedStep(np.array(shown_by), np.array(parents), following))
        history = following
    return steps
