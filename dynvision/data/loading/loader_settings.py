"""Checks of a loader's arguments before anything is read: its presentation, its dataset, its type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import IterableDataset

from dynvision.stimuli.names import (
    canonical_argument,
    describe_unknown,
    make_presentation,
    presentation_arguments,
)
from dynvision.stimuli.presentation import Presentation

__all__ = ["check_dataset", "check_dtype", "resolve_presentation"]


def resolve_presentation(
    presentation: Presentation | None,
    name: str | None,
    n_timesteps: int | None,
    settings: dict[str, Any],
    others: Sequence[str] = (),
) -> Presentation:
    """Return the given presentation, or make the one that settings describe.

    Args:
        presentation: The presentation, if there are no settings.
        name: The name of the loader that the settings are for.
        n_timesteps: T.
        settings: Settings of the presentation, full names or aliases.
        others: The caller's other arguments, for naming the nearest.

    Raises:
        TypeError: If both a presentation and settings are given, or a setting is unknown.
    """
    known = presentation_arguments()
    for key in settings:
        if canonical_argument(key) == key and key not in known:
            raise TypeError(describe_unknown(name or "Standard", key, [*known, *others]))
    if n_timesteps is not None:
        settings = {**settings, "n_timesteps": n_timesteps}
    if presentation is None:
        return make_presentation(name or "Standard", **settings)
    if settings or name:
        extra = ", ".join([*([name] if name else []), *settings])
        raise TypeError(f"give either presentation= or its settings, not both ({extra})")
    return presentation


def check_dtype(dtype: Any) -> None:
    """Raise if a type is not one of torch's.

    Raises:
        TypeError: If it is something else.
    """
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype is a type of torch such as torch.float32, not {dtype!r}")


def check_dataset(dataset: Any, torch_arguments: dict[str, Any], dtype: torch.dtype | None) -> None:
    """Raise if a dataset, or its batches, cannot be shown.

    Raises:
        TypeError: If the dataset is iterable, or `dtype` is no type of torch.
        ValueError: If the dataset is empty, or has no batches.
    """
    if isinstance(dataset, IterableDataset):
        raise TypeError(
            "an iterable dataset does not number its samples, which seeds their noise. Give a dataset with __len__ and "
            "__getitem__."
        )
    if len(dataset) == 0:
        raise ValueError("the dataset is empty: there is nothing to show")
    if torch_arguments.get("batch_size", 1) is None and torch_arguments.get("batch_sampler") is None:
        raise ValueError("batch_size=None leaves out batching, and a stimulus is a batch. Use batch_size=1.")
    check_dtype(dtype)
