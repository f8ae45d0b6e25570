"""Readout: from class scores over time to one accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dynvision.errors import ConfigError

__all__ = ["chance_level", "class_mask", "predict", "reduce_trials"]


def class_mask(output_classes: Sequence[int], group: Sequence[int], choices: str) -> npt.NDArray[np.bool_]:
    """Choose the outputs that the readout may answer with.

    Args:
        output_classes: The class of each output, in the dataset's own order.
        group: The classes of the group that is shown.
        choices: `group` allows the group's classes, `all` every output.

    Returns:
        Shape `[outputs]`, true for those outputs.

    Raises:
        ConfigError: If there is none.
    """
    if choices == "all":
        return np.ones(len(output_classes), dtype=bool)
    mask = np.isin(output_classes, group)
    if not mask.any():
        raise ConfigError(
            "the network was trained on none of the classes that it is shown, so a readout with 'choices: group' has "
            "no answer to choose from. Set 'choices: all', or change trained_on or group of the subject."
        )
    return mask


def chance_level(labels: npt.NDArray[np.int64], output_classes: Sequence[int], choices: npt.NDArray[np.bool_]) -> float:
    """Return the accuracy of guessing evenly among the choices; a trial whose class is no choice is never right.

    Args:
        labels: The class of each trial, shape `[B]`, in the dataset's own order.
        output_classes: The class of each output, in the dataset's own order.
        choices: Which outputs may be answered with, shape `[outputs]`.

    Returns:
        In [0, 1].
    """
    allowed = np.asarray(output_classes)[choices]
    return float(np.isin(labels, allowed).mean() / len(allowed))


def predict(
    scores: npt.NDArray[np.float32], output_classes: Sequence[int], choices: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return the class of the highest score among the choices, at each step.

    Args:
        scores: Shape `[B, T, outputs]`.
        output_classes: The class of each output, in the dataset's own order.
        choices: Which outputs may be answered with, shape `[outputs]`.

    Returns:
        Shape `[B, T]`, class indices in the dataset's own order.
    """
    allowed = np.flatnonzero(choices)
    classes: npt.NDArray[np.int64] = np.asarray(output_classes, dtype=np.int64)[allowed]
    best: npt.NDArray[np.intp] = np.argmax(scores[:, :, allowed], axis=2)
    return np.take(classes, best)


def reduce_trials(right: npt.NDArray[np.float64], reduce: str) -> npt.NDArray[np.float64]:
    """Make one score of each trial from the steps of a window at which its class is named right.

    Args:
        right: 1 at the steps at which it is, otherwise 0; shape `[B, steps]`.
        reduce: `mean` (share of the steps), `max` (right at any step) or `last` (right at the last step).

    Returns:
        Shape `[B]`, in [0, 1]; the mean over trials is the accuracy.
    """
    if reduce == "last":
        return right[:, -1]
    trials: npt.NDArray[np.float64] = right.max(axis=1) if reduce == "max" else right.mean(axis=1)
    return trials
