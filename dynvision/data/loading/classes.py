"""The classes of a dataset's samples, found without reading the images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import ConcatDataset, Subset, TensorDataset

__all__ = ["find_classes"]


def find_classes(dataset: Any) -> npt.NDArray[np.int64] | None:
    """Return the class of each sample, shape `[N]`; `None` if the items of the dataset are whole trials.

    Args:
        dataset: Has `targets`, as torchvision's datasets have, or is a `TensorDataset`; or a subset or a concatenation
            of such datasets.

    Raises:
        ValueError: If the dataset does not say its classes.
    """
    if isinstance(dataset, Subset):
        classes = find_classes(dataset.dataset)
        return None if classes is None else classes[np.asarray(dataset.indices, dtype=np.int64)]
    if isinstance(dataset, ConcatDataset):
        parts = [find_classes(part) for part in dataset.datasets]
        known = [part for part in parts if part is not None]
        return np.concatenate(known) if len(known) == len(parts) else None
    targets = getattr(dataset, "targets", None)
    if targets is None and isinstance(dataset, TensorDataset) and len(dataset.tensors) == 2:
        if dataset.tensors[0].dim() == 5:
            return None
        targets = dataset.tensors[1]
    if targets is None:
        raise ValueError(
            "a trial shows an image of another class ('which: other'), and the dataset does not say the class of each "
            "sample. Give it an attribute 'targets', a list of class indices, as torchvision's datasets have."
        )
    classes = np.asarray(targets)
    if len(classes) != len(dataset) or classes.ndim > 2:
        raise ValueError(f"the dataset has {len(dataset)} samples, and its 'targets' have the shape {classes.shape}")
    return None if classes.ndim == 2 and classes.shape[1] > 1 else classes.reshape(-1)
