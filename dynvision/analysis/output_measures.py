"""Measures of a network's answers: accuracy, rank and confidence, read block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray

from dynvision.analysis.streaming import StepSums, read_blocks
from dynvision.config.sections.experiments import Readout
from dynvision.data.images.samples import NO_CLASS
from dynvision.experiments.readout import LabelMatch, chance_level, class_mask, predict, reduce_trials
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID

__all__ = ["measure_output"]

Values = npt.NDArray[np.float64]

TOP = 5
"""Among how many highest scores the class is sought for `top5`."""

_TIED = "tied"
"""The share of trials in which all choices have the same score."""


def measure_output(
    root: xarray.Dataset, readout: Readout, presentation: Presentation, only_accuracy: bool = False
) -> tuple[dict[str, Values], dict[str, Any]]:
    """Measure the answers of a condition at each step, and within the window of the readout.

    An answer is one of the readout's choices; p is the softmax of the class scores over these choices,
    ``p_k = exp(z_k) / Σ_j exp(z_j)``.

    - `accuracy`: share of trials whose highest score is that of the class to be named.
    - `top5`: share of trials in which that class is among the five highest; only if there are more than five choices.
    - `guess_confidence`: ``⟨max_k p_k⟩`` over trials.
    - `label_confidence`: ``⟨p⟩`` of the class of the image that is shown at the step; NaN at void steps.
    - `first_label_confidence`: ``⟨p⟩`` of the class of the trial's first image, at all steps.

    A class that is not among the choices is never correct, and its confidence is 0. A score that is not finite makes
    the measures of its step NaN, and the accuracy of the trial too if the step is in the window. If all choices have
    the same score in every trial, the network names no class: `accuracy` and `top5` of the step are NaN. The accuracy
    of the condition is NaN if that holds at all steps that it is read from. In other ties the first choice counts.
    Trials whose image has no label, as in a stimulus set with a label for some, are left out.

    Args:
        root: The root of the condition's store, with `scores` `[sample, time, class]` and `label` `[sample]`, or
            `image_label` `[sample, image]` if a trial shows several images.
        readout: How predictions become one accuracy.
        presentation: What was shown when, without the idle steps before it.
        only_accuracy: Leave out the confidences, which take exponentials of every score.

    Returns:
        The measures, each of shape `[T]`, from 0 to 1; and the numbers of the whole trial: `accuracy`, its standard
        error over trials `accuracy_sem`, how many trials have a label `accuracy_samples`, `chance`, and how many trials
        there are `samples`. If labels have nothing to do with the network's classes, only `guess_confidence` among all
        outputs, and `samples`.
    """
    match = LabelMatch.from_attributes(root.attrs)
    labelled = _find_labelled(root, readout) if match.is_known else np.empty(0, np.intp)
    counted: dict[str, Any] = {"samples": root.sizes["sample"]}
    if not len(labelled):
        return {} if only_accuracy else _measure_guesses(root), counted
    if len(labelled) < root.sizes["sample"]:
        root = root.isel(sample=labelled)
    trials = _Trials.read(root, readout, match)
    frames = presentation.frames
    first = int(frames[frames != VOID][0]) if (frames != VOID).any() else 0
    window = presentation.window(readout.window, readout.image)
    sums, confidences = StepSums(root.sizes["time"]), StepSums(root.sizes["time"])
    scored, done, correct = [], 0, np.empty((0, len(frames)))
    with np.errstate(invalid="ignore", over="ignore"):
        for part, block in read_blocks(root, ["scores"]):
            scores = block["scores"]
            rows = slice(done, done + len(scores))
            named = trials.name(scores, rows)
            sums.add(part, named)
            if not only_accuracy:
                confidences.add(part, trials.measure(scores, rows, frames[part], first))
            if part.start == 0:
                correct = np.empty((len(scores), len(frames)))
            correct[:, part] = named["accuracy"]
            if part.stop == len(frames):  # these trials are complete
                scored.append(reduce_trials(correct[:, window], readout.reduce))
                done += len(scores)
    shares = sums.means()
    is_tied = shares.pop(_TIED) == 1
    measures = {**{name: np.where(is_tied, np.nan, share) for name, share in shares.items()}, **confidences.means()}
    if not only_accuracy:
        measures["label_confidence"] = np.where(frames == VOID, np.nan, measures["label_confidence"])
    read = is_tied[window][-1:] if readout.reduce == "last" else is_tied[window]
    accuracy = np.concatenate(scored)
    return measures, trials.summarize(np.full_like(accuracy, np.nan) if read.all() else accuracy) | counted


def _find_labelled(root: xarray.Dataset, readout: Readout) -> npt.NDArray[np.intp]:
    """Return which trials have a label to be named."""
    labels = root["image_label"].values[:, readout.image] if "image_label" in root else root["label"].values
    return np.flatnonzero(labels != NO_CLASS)


def _measure_guesses(root: xarray.Dataset) -> dict[str, Values]:
    """Return the mean over trials of the highest probability at each step, among all outputs."""
    sums = StepSums(root.sizes["time"])
    with np.errstate(invalid="ignore", over="ignore"):
        for part, block in read_blocks(root, ["scores"]):
            scores = block["scores"]
            highest = 1 / np.exp(scores - scores.max(axis=2, keepdims=True)).sum(axis=2)
            known = np.isfinite(scores).all(axis=2)
            sums.add(part, {"guess_confidence": np.where(known, highest, np.nan)})
    return sums.means()


@dataclass(frozen=True)
class _Trials:
    """The correct answers of all trials.

    Attributes:
        labels: The class to be named, `[N]`.
        image_labels: The class of each image of the trial, `[N, K]`.
        classes: The class of each output, `[C]`.
        choices: Which outputs are choices, `[C]`.
    """

    labels: npt.NDArray[np.int64]
    image_labels: npt.NDArray[np.int64]
    classes: list[int]
    choices: npt.NDArray[np.bool_]

    @classmethod
    def read(cls, root: xarray.Dataset, readout: Readout, match: LabelMatch) -> _Trials:
        labels = match.classes_of(root["label"].values)
        image_labels = labels[:, None]
        if "image_label" in root:
            image_labels = match.classes_of(root["image_label"].values)
            labels = image_labels[:, readout.image]
        classes = root["class"].values.tolist()
        group = match.classes_of(root.attrs["group_classes"])
        mask = class_mask(classes, group[group != NO_CLASS].tolist(), readout.choices)
        return cls(labels, image_labels, classes, mask)

    def name(self, scores: Values, rows: slice) -> dict[str, Values]:
        """Return whether some trials are correct, their class among the highest, and undecided: each `[B, T]`.

        Args:
            scores: The class scores of the trials, `[B, T, C]`.
            rows: Which trials they are.
        """
        allowed, labels = scores[:, :, self.choices], self.labels[rows]
        correct = predict(scores, self.classes, self.choices) == labels[:, None]  # type: ignore[arg-type]
        measures = {"accuracy": correct.astype(np.float64)}
        if self.choices.sum() > TOP:
            measures[f"top{TOP}"] = (self._rank(allowed, labels) < TOP).astype(np.float64)
        # A single choice is no tie.
        measures[_TIED] = (allowed == allowed[:, :, :1]).all(axis=2) * float(allowed.shape[2] > 1)
        known = np.isfinite(allowed).all(axis=2)
        return {name: np.where(known, value, np.nan) for name, value in measures.items()}

    def measure(self, scores: Values, rows: slice, frames: npt.NDArray[np.int64], first: int) -> dict[str, Values]:
        """Return the confidences of some trials at each step, each `[B, T]`.

        Args:
            scores: The class scores of the trials at some steps, `[B, T, C]`.
            rows: Which trials they are.
            frames: The image that is shown at each of these steps, `[T]`.
            first: The first image of the trial.
        """
        allowed = scores[:, :, self.choices]
        shifted = np.exp(allowed - allowed.max(axis=2, keepdims=True))
        chances = shifted / shifted.sum(axis=2, keepdims=True)
        by_image = self.image_labels[rows]
        by_step = np.stack([by_image[:, _column(by_image, max(int(frame), 0))] for frame in frames], axis=1)
        of_first = np.repeat(by_image[:, [_column(by_image, first)]], len(frames), axis=1)
        measures = {
            "guess_confidence": chances.max(axis=2),
            "label_confidence": self._chance_of(chances, by_step),
            "first_label_confidence": self._chance_of(chances, of_first),
        }
        known = np.isfinite(allowed).all(axis=2)
        return {name: np.where(known, value, np.nan) for name, value in measures.items()}

    def summarize(self, accuracy: Values) -> dict[str, Any]:
        """Return the numbers of all trials from the accuracy of each, `[N]`."""
        count = len(accuracy)
        return {
            "accuracy": float(accuracy.mean()),
            "accuracy_sem": float(accuracy.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan"),
            "chance": chance_level(self.labels, self.classes, self.choices),
            "accuracy_samples": count,
        }

    def _positions(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the position of classes among the choices; -1 for a class that is none of them."""
        allowed = np.asarray(self.classes)[self.choices]
        order = np.argsort(allowed, kind="stable")
        nearest = order[np.minimum(np.searchsorted(allowed[order], labels), len(allowed) - 1)]
        return np.where(allowed[nearest] == labels, nearest, -1)

    def _chance_of(self, chances: Values, labels: npt.NDArray[np.int64]) -> Values:
        positions = self._positions(labels)
        of_label = np.take_along_axis(chances, np.maximum(positions, 0)[:, :, None], axis=2)[:, :, 0]
        return np.where(positions >= 0, of_label, 0.0)

    def _rank(self, allowed: Values, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Count the choices that come before the class; of equal scores the first is the higher one, as in `argmax`."""
        positions = self._positions(labels)
        own = np.take_along_axis(allowed, np.maximum(positions, 0)[:, None, None], axis=2)
        before = np.arange(allowed.shape[2]) < positions[:, None, None]
        rank = ((allowed > own) | ((allowed == own) & before)).sum(axis=2)
        ranks: npt.NDArray[np.int64] = np.where(positions[:, None] >= 0, rank, allowed.shape[2])
        return ranks


def _column(by_image: npt.NDArray[np.int64], image: int) -> int:
    # If a trial of several images has one label, it is that of every image.
    return image if image < by_image.shape[1] else 0
