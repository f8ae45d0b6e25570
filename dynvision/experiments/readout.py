"""Readout: from labels and class scores over time to one accuracy."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.config.sections.experiments import Subject
from dynvision.data.images.samples import NO_CLASS
from dynvision.errors import ConfigError, nearest_name
from dynvision.records import Record

__all__ = [
    "LABELS_MATCH",
    "LabelMatch",
    "chance_level",
    "class_mask",
    "match_by_name",
    "match_labels",
    "predict",
    "reduce_trials",
]

LABELS_MATCH = "labels_match"
"""The attribute of a store that says how labels stand to classes: `index`, `name` or `none`."""

_CLASSES_BY_LABEL = "classes_by_label"


@dataclass(frozen=True)
class LabelMatch:
    """How the labels of the images that are shown stand to the classes of the network's outputs.

    Attributes:
        by: `index` (a label is the class of that number), `name` (they have the same name) or `none` (nothing says that
            they have to do with each other, so there is no accuracy and no rank).
        classes: For `name`, the class of each label that has one.
        reason: Why labels that a stimulus set has are none of the network's classes; otherwise empty.
    """

    by: str = "index"
    classes: Mapping[int, int] | None = None
    reason: str = field(default="", compare=False)

    @property
    def is_known(self) -> bool:
        """Whether labels have to do with classes."""
        return self.by != "none"

    def classes_of(self, labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return the class of each label, of any shape; `NO_CLASS` where there is none."""
        values = np.asarray(labels, dtype=np.int64)
        if self.classes is None:
            return values
        known, positions = np.unique(values, return_inverse=True)
        classes = np.array([self.classes.get(int(label), NO_CLASS) for label in known], dtype=np.int64)
        return classes[positions].reshape(values.shape)

    def to_attributes(self) -> dict[str, Any]:
        """Return the attributes of a store from which `from_attributes` reads the same."""
        by_label = {} if self.classes is None else {_CLASSES_BY_LABEL: {str(k): v for k, v in self.classes.items()}}
        return {LABELS_MATCH: self.by, **by_label}

    @classmethod
    def from_attributes(cls, attributes: Mapping[Any, Any]) -> LabelMatch:
        """Read it from the attributes of a store; one that says nothing has labels that match by index."""
        by_label = attributes.get(_CLASSES_BY_LABEL)
        classes = None if by_label is None else {int(k): int(v) for k, v in json.loads(by_label).items()}
        return cls(str(attributes.get(LABELS_MATCH, "index")), classes)


def match_labels(subject: Subject, network: Record, images: Record, where: str) -> LabelMatch:
    """Find out how the labels of the images that a subject is shown stand to the outputs of its network.

    Args:
        subject: The subject; its `match` decides, if it is given. Otherwise, what the stimulus set says of its labels
            does, if they are classes of this network: a set is shown to networks of any classes.
        network: The record of its network.
        images: The record of its images.
        where: The subject, for messages.

    Raises:
        ConfigError: If labels and outputs cannot match as the subject says.
    """
    outputs, labels = network.details["classes"], images.details.get("labels", images.details["classes"])
    by = subject.match or images.details.get("label", {}).get("by")
    if by in ("name", "index") and not labels:
        raise ConfigError(
            f"{where}: 'match: {by}', but nothing says what the images show. Name the column of the stimulus set's "
            "table that says it under 'label' in config_data.yaml, or leave 'match' out of the subject."
        )
    if subject.match is None and by is not None:
        reason = _explain_other_classes(by, labels, outputs, bool(network.details.get("own_classes")))
        if reason:
            return LabelMatch("none", reason=reason)
    if by == "name":
        return match_by_name(labels, outputs, where)
    if by == "index":
        _check_indices(labels, outputs, where)
        return LabelMatch("index")
    is_same = by is None and subject.network_dataset == subject.dataset and not network.details.get("own_classes")
    return LabelMatch("index" if is_same and labels else "none")


def _explain_other_classes(
    by: str, labels: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]], are_own: bool
) -> str:
    """Say why the labels of a stimulus set are not those of a network; empty if they may be.

    Args:
        by: Whether the set says names or indices.
        labels: The classes that are shown.
        outputs: The classes of the network.
        are_own: Whether output k is class k, so that every index has to be that of an output. A network that was
            trained on a group knows some of the dataset's classes only.
    """
    if by == "name":
        names = _names_of(outputs)
        is_known = any(name in names for entry in labels for name in _names_in(entry))
        return "" if is_known else f"no output has the name of a class, '{labels[0]['name']}' for example"
    known = {int(entry["index"]) for entry in outputs}
    unknown = [int(entry["index"]) for entry in labels if int(entry["index"]) not in known]
    is_known = not unknown if are_own else len(unknown) < len(labels)
    return "" if is_known else f"no output has the index {max(unknown)}, which the table has"


def _check_indices(labels: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]], where: str) -> None:
    known = {int(entry["index"]) for entry in outputs}
    if not any(int(entry["index"]) in known for entry in labels):
        raise ConfigError(
            f"{where}: 'match: index', but no class that is shown has the index of an output. Leave 'match' out of the "
            "subject, or write 'match: name' if the names are the same."
        )


def match_by_name(labels: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]], where: str) -> LabelMatch:
    """Match the classes of images with those of a network by their names, or by the names of their folders.

    Capital letters, and `_` for a space, make no difference.

    Args:
        labels: The classes that are shown: `index`, `name` and `folder`.
        outputs: The classes of the network.
        where: The subject, for messages.

    Raises:
        ConfigError: If no class that is shown is one of the network's, or one is several of them.
    """
    by_name = _names_of(outputs)
    classes: dict[int, int] = {}
    for entry in labels:
        candidates = next((by_name[name] for name in _names_in(entry) if name in by_name), set())
        if len(candidates) > 1:
            numbers = " and ".join(map(str, sorted(candidates)))
            raise ConfigError(
                f"{where}: the class '{entry['name']}' has the name of the network's outputs {numbers}. Give them "
                "different names, in the network's 'classes'."
            )
        if candidates:
            classes[int(entry["index"])] = next(iter(candidates))
    if not classes:
        first = str(labels[0]["name"]) if labels else ""
        raise ConfigError(
            f"{where}: 'match: name', but no class that is shown has the name of an output, '{first}' for example. "
            f"{nearest_name(first, [str(entry['name']) for entry in outputs])}"
        )
    return LabelMatch("name", classes)


def _names_of(outputs: Sequence[Mapping[str, Any]]) -> dict[str, set[int]]:
    """Return the outputs of each name."""
    by_name: dict[str, set[int]] = {}
    for entry in outputs:
        for name in _names_in(entry):
            by_name.setdefault(name, set()).add(int(entry["index"]))
    return by_name


def _names_in(entry: Mapping[str, Any]) -> list[str]:
    """Return the names of a class, as they are compared."""
    return [_plain(str(entry[key])) for key in ("name", "folder") if key in entry]


def _plain(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())


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
