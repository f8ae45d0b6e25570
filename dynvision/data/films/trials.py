"""Films of stored images: the frames that the loaders show, for a few trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynvision.data.images.samples import NO_CLASS
from dynvision.data.images.stimulus_table import FILENAME, STIMULUS_ID
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.data.stores.base import StoredImages
from dynvision.films.film import Film
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.rendering import trace_timeline

if TYPE_CHECKING:
    from torch import Tensor

    from dynvision.data.images.normalization import Normalization

__all__ = ["film_images", "load_images", "name_samples"]


def load_images(source: StoredImages, part: str, trials: npt.NDArray[np.int64], dtype: str = "float32") -> Tensor:
    """Load the images of a few trials, as a recording gets them.

    Args:
        source: The images.
        part: The part of them: `test`, or `images` of a stimulus set.
        trials: Which samples each trial shows, shape `[N, K]`.
        dtype: The type of the frames.

    Returns:
        Shape `[N, C, H, W]`, or `[N, K, C, H, W]` if a trial shows several.
    """
    import torch

    once, places = np.unique(trials, return_inverse=True)
    loader = source.loader(part, len(once), indices=once.tolist(), is_looked_at_for_long=True)
    images = torch.cat([batch.images for batch, _ in loader])[torch.from_numpy(places.reshape(trials.shape))]
    several = images if trials.shape[1] > 1 else images[:, 0]
    return several.to(getattr(torch, dtype))


def film_images(
    images: Tensor,
    ids: npt.NDArray[np.int64],
    presentation: Presentation,
    idle: int,
    normalize: Normalization | None,
    names: Sequence[Sequence[str]] = (),
    title: str = "",
    dt: float | None = None,
) -> Film:
    """Film trials as they are recorded: with the noise of their samples, and after idle steps.

    Args:
        images: As `load_images` gives them.
        ids: Which sample each trial is, shape `[N]`; seeds the noise.
        presentation: What is shown when, without the idle steps before it.
        idle: The steps before it, which the film leaves out.
        normalize: Mean and standard deviation of each channel, by which the images are standardized.
        names: For each trial the names of its images.
        title: What the film is of.
        dt: Milliseconds a step of the network, if the presentation does not say it.
    """
    shown = [trial[: presentation.n_images] for trial in names]
    sequence = StimulusSequence(images, presentation.preceded_by(idle), ids)
    film = sequence.show(normalize=normalize, names=shown, title=title, start=idle)
    # Time is 0 where analyses have it, also in a trial that shows nothing and begins with an intro.
    timeline = trace_timeline(presentation)
    return replace(film, timeline=replace(timeline, dt=timeline.dt or dt))


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


def _name_sample(table: Mapping[str, Sequence[Any]], classes: Mapping[int, str], sample: int) -> str:
    label = table["label"][sample]
    if label != NO_CLASS and label in classes:
        return classes[label]
    for column in (STIMULUS_ID, FILENAME, "source"):
        if column in table:
            return str(table[column][sample]).rpartition("/")[2]
    return str(sample)
