"""Labels as a dataset's class gives them: whole numbers from 0, or an error."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from dynvision.errors import DataError

__all__ = ["check_names", "number_classes", "read_label"]

MOST_UNNAMED = 1000
"""Up to this many classes are numbered where nothing names them, however few images there are."""


def read_label(label: Any, where: str) -> int:
    """Read a label without loss: a whole number, or an array or tensor of one, of shape () or (1,).

    Args:
        label: As the dataset gives it.
        where: Names the item, for messages.

    Raises:
        DataError: If it is anything else, or below 0.
    """
    shown, shape = label, getattr(label, "shape", ())
    if not isinstance(label, (str, bytes, numbers.Number)) and hasattr(label, "tolist") and tuple(shape) in ((), (1,)):
        label = label.tolist()
        label = label[0] if isinstance(label, list) else label
    if isinstance(label, np.generic):
        label = label.item()
    is_number = isinstance(label, (int, float)) and not isinstance(label, bool)
    if not is_number or label != label or abs(label) == float("inf") or int(label) != label:
        kind = f"{type(shown).__name__} of shape {tuple(shape)}" if tuple(shape) else type(shown).__name__
        raise DataError(f"{where} has the label {_shorten(shown)} ({kind}); labels are whole numbers from 0")
    if label < 0:
        raise DataError(f"{where} has the label {int(label)}, which is no class; labels are whole numbers from 0")
    return int(label)


def number_classes(labels: Iterable[tuple[str, Any]], count: int, where: str) -> list[str]:
    """Name the classes of a dataset that does not: '0', '1' and so on, up to its largest label.

    Args:
        labels: For each image what names it in messages, and its label.
        count: How many images the dataset has.
        where: Names the dataset, for messages.

    Raises:
        DataError: If a label is no whole number, or so large that most classes would have no images.
    """
    most, largest = max(MOST_UNNAMED, count), -1
    for item, label in labels:
        largest = max(largest, read_label(label, item))
        if largest >= most:
            raise DataError(
                f"{item} has the label {largest}, and there are {count} images. Labels are class indices from 0; if "
                f"there are so many classes, name them in the attribute 'classes' of {where}"
            )
    return [str(index) for index in range(largest + 1)]


def check_names(names: Any, where: str) -> list[str]:
    """Read the names of the classes from the attribute `classes`.

    Raises:
        DataError: If they are not a list of names, or two classes have the same.
    """
    if isinstance(names, (str, bytes, set, frozenset)) or not hasattr(names, "__len__") or len(names) == 0:
        raise DataError(f"{where}: its attribute 'classes' is {_shorten(names)}; it is a list of names, by index")
    texts = [str(name) for name in names]
    twice = [name for name, times in Counter(texts).items() if times > 1]
    if twice:
        raise DataError(
            f"{where}: its attribute 'classes' has '{twice[0]}' twice, as the names of class {texts.index(twice[0])} "
            f"and of class {len(texts) - 1 - texts[::-1].index(twice[0])}; give each class a name of its own"
        )
    return texts


def _shorten(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}…"
