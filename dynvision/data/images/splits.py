"""The seeded, class-stratified split of the training images into train and validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynvision.data.images.samples import NO_CLASS

__all__ = ["spread_over_classes", "stratified_split"]


def stratified_split(labels: Sequence[int], train_ratio: float, seed: int) -> tuple[list[int], list[int]]:
    """Split indices so that every class has the same share in both parts.

    Each class is shuffled by its own generator, seeded by (seed, class). So the split of a class does not depend on the
    other classes. A class of two or more images has at least one in each part.

    Args:
        labels: The class of each image, shape `[N]`.
        train_ratio: Share of the training part, in (0, 1).
        seed: The seed of the split.

    Returns:
        The indices of the training and of the validation part, each in ascending order.
    """
    classes = np.asarray(labels)
    train: list[int] = []
    val: list[int] = []
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        shuffled = np.random.default_rng([seed, int(label)]).permutation(members)
        count = len(members)
        n_val = min(max(round(count * (1 - train_ratio)), 1 if count > 1 else 0), max(count - 1, 0))
        val.extend(shuffled[:n_val].tolist())
        train.extend(shuffled[n_val:].tolist())
    return sorted(train), sorted(val)


def spread_over_classes(labels: Sequence[int], count: int | None) -> list[int]:
    """Choose `count` images evenly over the classes, beginning with the first of each class.

    If no image has a class, they are chosen evenly over the order of the images, which may be one of categories.

    Args:
        labels: The class of each image, shape `[N]`; `NO_CLASS` if it has none.
        count: How many; `None`, or more than exist, chooses all.

    Returns:
        Indices in ascending order.
    """
    classes = np.asarray(labels)
    if count is None or count >= len(classes):
        return list(range(len(classes)))
    if (classes == NO_CLASS).all():
        return [number * len(classes) // count for number in range(count)]
    rank = np.zeros(len(classes), dtype=np.int64)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        rank[members] = np.arange(len(members))
    order = np.lexsort((classes, rank))
    return sorted(order[:count].tolist())
