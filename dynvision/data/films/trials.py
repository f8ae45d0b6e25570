"""Films of stored images: the frames that the loaders show, for a few trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.data.images.samples import NO_CLASS
from dynvision.data.images.stimulus_table import FILENAME, STIMULUS_ID
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.data.stores.base import StoredImages
from dynvision.films.film import Film
from dynvision.stimuli.presentation import Presentation

__all__ = ["film_trials", "name_samples", "show_trials"]


def show_trials(
    source: StoredImages,
    part: str,
    trials: npt.NDArray[np.int64],
    presentation: Presentation,
    dtype: str = "float32",
) -> StimulusSequence:
    """Show a few trials of stored images, with the noise that they have in a recording.

    Args:
        source: The images.
        part: The part of them: `test`, or `images` of a stimulus set.
        trials: Which samples each trial shows, shape `[N, K]`; the first names the trial, and seeds its noise.
        presentation: What is shown when, idle steps included.
        dtype: The type of the frames.
    """
    import torch

    once, places = np.unique(trials, return_inverse=True)
    loader = source.loader(part, len(once), indices=once.tolist(), is_looked_at_for_long=True)
    images = torch.cat([batch.images for batch, _ in loader])[torch.from_numpy(places.reshape(trials.shape))]
    several = images if trials.shape[1] > 1 else images[:, 0]
    return StimulusSequence(several.to(getattr(torch, dtype)), presentation, trials[:, 0])


def film_trials(
    source: StoredImages,
    part: str,
    trials: npt.NDArray[np.int64],
    presentation: Presentation,
    idle: int = 0,
    dtype: str = "float32",
    title: str = "",
) -> Film:
    """Film a few trials of stored images as they are recorded; see `show_trials`.

    Args:
        source: The images.
        part: The part of them.
        trials: Which samples each trial shows, shape `[N, K]`.
        presentation: What is shown when, without the idle steps before it.
        idle: The steps before it, which the film leaves out.
        dtype: The type of the frames.
        title: What the film is of.
    """
    sequence = show_trials(source, part, trials, presentation.preceded_by(idle), dtype)
    names = name_samples(source, part, trials[:, : presentation.n_images])
    return sequence.show(normalize=source.normalize, names=names, title=title, start=idle)


def name_samples(source: StoredImages, part: str, trials: npt.NDArray[np.int64]) -> list[list[str]]:
    """Name the images of trials: by their class, or else by the stimulus or the file that they are.

    Args:
        source: The images.
        part: The part of them.
        trials: Which samples each trial shows, shape `[N, K]`.
    """
    table = source.samples(part)
    classes = {entry["index"]: str(entry["name"]) for entry in source.labels}
    return [[_name_sample(table, classes, int(sample)) for sample in trial] for trial in trials]


def _name_sample(table: dict[str, Sequence[Any]], classes: dict[int, str], sample: int) -> str:
    label = table["label"][sample]
    if label != NO_CLASS and label in classes:
        return classes[label]
    for column in (STIMULUS_ID, FILENAME, "source"):
        if column in table:
            return str(table[column][sample]).rpartition("/")[2]
    return str(sample)
