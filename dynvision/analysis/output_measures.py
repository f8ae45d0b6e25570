"""Measures of a network's answers: accuracy, rank and confidence; streamed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray

from dynvision.analysis.streaming import StepSums, read_blocks
from dynvision.config.experiments import Readout
from dynvision.experiments.readout import chance_level, class_mask, predict, reduce_trials
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID

__all__ = ["measure_output"]

Values = npt.NDArray[np.float64]

TOP = 5


def measure_output(
    root: xarray.Dataset, readout: Readout, presentation: Presentation, only_accuracy: bool = False
) -> tuple[dict[str, Values], dict[str, Any]]:
    """Measure the answers of a condition at each step, and over the readout's window.

    Answers are chosen among the readout's choices; p is the softmax of the class scores over these choices,
    ``p_k = exp(z_k) / Σ_j exp(z_j)``.

    - `accuracy`: share of trials whose highest score is that of the class to be named.
    - `top5`: share of trials where that class is among the five highest; only where there are more than five choices.
    - `guess_confidence`: ``⟨max_k p_k⟩`` over trials.
    - `label_confidence`: ``⟨p⟩`` of the class of the image that is shown at the step; NaN at void steps.
    - `first_label_confidence`: ``⟨p⟩`` of the class of the trial's first image, at all steps.

    A class that is no choice is never right, and has the confidence 0. A score that is not finite makes the measures
    of its step NaN, and the accuracy if the step counts for it.

    Args:
        root: The root of the condition's store.
        readout: How predictions become one accuracy.
        presentation: What was shown when.
        only_accuracy: Leave out the other measures, which take exponentials of every score.

    Returns:
        The measures, each `[T]`; and `accuracy`, its standard error over trials `accuracy_sem`, `chance`, `samples`.
    """
    trials = _Trials.read(root, readout)
    frames = presentation.frames
    first = int(frames[frames != VOID][0]) if (frames != VOID).any() else 0
    window = presentation.window(readout.window, readout.image)
    sums, confidences = StepSums(root.sizes["time"]), StepSums(root.sizes["time"])
    scored, done, right = [], 0, np.empty((0, len(frames)))
    with np.errstate(invalid="ignore", over="ignore"):
        for part, block in read_blocks(root, ["scores"]):
            scores = block["scores"]
            rows = slice(done, done + len(scores))
            named = trials.name(scores, rows)
            sums.add(part, named)
            if not only_accuracy:
                confidences.add(part, trials.measure(scores, rows, frames[part], first))
            if part.start == 0:
                right = np.empty((len(scores), len(frames)))
            right[:, part] = named["accuracy"]
            if part.stop == len(frames):  # these trials are whole
                scored.append(reduce_trials(right[:, window], readout.reduce))
                done += len(scores)
    measures = {**sums.means(), **confidences.means()}
    if not only_accuracy:
        measures["label_confidence"] = np.where(frames == VOID, np.nan, measures["label_confidence"])
    each = np.concatenate(scored)
    numbers = {
        "accuracy": float(each.mean()),
        "accuracy_sem": float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else float("nan"),
        "chance": chance_level(trials.labels, trials.classes, trials.choices),
        "samples": len(each),
    }
    return measures, numbers


@dataclass(frozen=True)
class _Trials:
    """What is right in each trial.

    Attributes:
        labels: The class to be named, `[N]`.
        image_labels: The class of each image of the trial, `[N, K]`.
        classes: The class of each output.
        choices: Which outputs may be answered with.
    """

    labels: npt.NDArray[np.int64]
    image_labels: npt.NDArray[np.int64]
    classes: list[int]
    choices: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, root: xarray.Dataset, readout: Readout) -> _Trials:
        labels = root["label"].values
        image_labels = labels[:, None]
        if "image_label" in root:
            image_labels = root["image_label"].values
            labels = image_labels[:, readout.image]
        classes = root["class"].values.tolist()
        return cls(labels, image_labels, classes, class_mask(classes, root.attrs["group_classes"], readout.choices))

    def name(self, scores: Values, rows: slice) -> dict[str, Values]:
        """Accuracy, and whether the class is among the highest, of some trials, each `[B, T]`."""
        allowed, labels = scores[:, :, self.choices], self.labels[rows]
        right = predict(scores, self.classes, self.choices) == labels[:, None]  # type: ignore[arg-type]
        found = {"accuracy": right.astype(np.float64)}
        if self.choices.sum() > TOP:
            found[f"top{TOP}"] = (self._rank(allowed, labels) < TOP).astype(np.float64)
        known = np.isfinite(allowed).all(axis=2)
        return {name: np.where(known, value, np.nan) for name, value in found.items()}

    def measure(self, scores: Values, rows: slice, frames: npt.NDArray[np.int64], first: int) -> dict[str, Values]:
        """The confidences of some trials, each `[B, T]`."""
        allowed = scores[:, :, self.choices]
        shifted = np.exp(allowed - allowed.max(axis=2, keepdims=True))
        chances = shifted / shifted.sum(axis=2, keepdims=True)
        by_image = self.image_labels[rows]
        by_step = np.stack([by_image[:, _column(by_image, max(int(frame), 0))] for frame in frames], axis=1)
        of_first = np.repeat(by_image[:, [_column(by_image, first)]], len(frames), axis=1)
        found = {
            "guess_confidence": chances.max(axis=2),
            "label_confidence": self._chance_of(chances, by_step),
            "first_label_confidence": self._chance_of(chances, of_first),
        }
        known = np.isfinite(allowed).all(axis=2)
        return {name: np.where(known, value, np.nan) for name, value in found.items()}

    def _places(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where a class stands among the choices; -1 where it is none."""
        allowed = np.asarray(self.classes)[self.choices]
        order = np.argsort(allowed, kind="stable")
        found = order[np.minimum(np.searchsorted(allowed[order], labels), len(allowed) - 1)]
        return np.where(allowed[found] == labels, found, -1)

    def _chance_of(self, chances: Values, labels: npt.NDArray[np.int64]) -> Values:
        places = self._places(labels)
        of_label = np.take_along_axis(chances, np.maximum(places, 0)[:, :, None], axis=2)[:, :, 0]
        return np.where(places >= 0, of_label, 0.0)

    def _rank(self, allowed: Values, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """How many choices come before the class; of equal scores the first counts as higher, as in `argmax`."""
        places = self._places(labels)
        own = np.take_along_axis(allowed, np.maximum(places, 0)[:, None, None], axis=2)
        before = np.arange(allowed.shape[2]) < places[:, None, None]
        rank = ((allowed > own) | ((allowed == own) & before)).sum(axis=2)
        found: npt.NDArray[np.int64] = np.where(places[:, None] >= 0, rank, allowed.shape[2])
        return found


def _column(by_image: npt.NDArray[np.int64], image: int) -> int:
    # A trial of several images that has one label is named by it whichever image is shown.
    return image if image < by_image.shape[1] else 0
