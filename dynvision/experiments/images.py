"""The images of a recording: which ones its trials show, and reading them batch after batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dynvision.data.images.splits import spread_over_classes
from dynvision.data.images.stimulus_table import FRAME, STIMULUS_ID
from dynvision.data.loading.trials import choose_frames, choose_trials
from dynvision.errors import ConfigError
from dynvision.experiments.describing import ShownImages
from dynvision.experiments.order import SweepOrder

if TYPE_CHECKING:
    import torch

__all__ = ["choose_images", "open_images"]


def choose_images(order: SweepOrder) -> ShownImages:
    """Choose the images of the trials.

    Args:
        order: What to record.

    Raises:
        ConfigError: If there are too few images, or classes, for a trial.
    """
    table = order.images.source.samples(order.images.part)
    if order.images.source.has_frames:
        return _choose_frames(order, table)
    indices = np.asarray(spread_over_classes(table["label"], order.record.samples))
    classes, trials = np.asarray(table["label"], dtype=np.int64)[indices], order.trials
    try:
        chosen = choose_trials(len(indices), trials.n_images, labels=classes, other_class=trials.other_class)
    except ValueError as error:
        raise ConfigError(f"{order.name}: {error}") from error
    return ShownImages(table, indices[chosen])


def _choose_frames(order: SweepOrder, table: Mapping[str, Sequence[Any]]) -> ShownImages:
    if order.trials.other_class:
        raise ConfigError(
            f"{order.name}: a trial shows the frames of one stimulus, and none of another class ('which: "
            "other' in the program). Write 'which: next'."
        )
    count, n_images = order.record.samples, order.trials.n_images
    try:
        trials = choose_frames(table[STIMULUS_ID], table[FRAME], n_images, table["label"], count)
    except ConfigError as error:
        raise ConfigError(f"{order.name}: {error}") from error
    return ShownImages(table, trials, are_frames=True)


def open_images(order: SweepOrder, images: ShownImages, batch_size: int) -> Iterator[torch.Tensor]:
    """Yield the images of each batch of trials: `[B, C, H, W]`, or `[B, K, C, H, W]` for several a trial.

    Args:
        order: What to record.
        images: The images of the trials.
        batch_size: B, how many trials a batch has.
    """
    source = order.images.source
    settings: dict[str, Any] = {"workers": order.run.workers, "is_looked_at_for_long": True}
    if source.has_frames:
        yield from source.frames(order.images.part, images.trials, batch_size, **settings)
        return
    loader = source.loader(
        order.images.part,
        batch_size,
        indices=images.ids.tolist(),
        images_per_trial=order.trials.n_images,
        other_class=order.trials.other_class,
        **settings,
    )
    for sequence, _ in loader:
        yield sequence.images
