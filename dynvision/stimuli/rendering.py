"""What a presentation shows, in NumPy: the same numbers, to the bit, as a `StimulusSequence` of float32 gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dynvision.films.film import Film
from dynvision.films.scaling import Scaling
from dynvision.films.timeline import Timeline
from dynvision.stimuli.noise import Noise, add_noise, sensor_noise
from dynvision.stimuli.pictures import read_pictures
from dynvision.stimuli.segments import VOID, Segment, find_zero

__all__ = ["IMAGE_SEED", "Renderer", "Shown", "describe_noise", "film_pictures", "seed_noise", "trace_timeline"]

IMAGE_SEED = 0xD1B54A32D192ED03
"""Gives each image of a trial its own noise: an odd number without a pattern in its bits."""

_Images = npt.NDArray[np.float32]


class Shown(Protocol):
    """What is needed of a presentation; see there."""

    @property
    def segments(self) -> tuple[Segment, ...]: ...
    @property
    def frames(self) -> npt.NDArray[np.int64]: ...
    @property
    def contrasts(self) -> npt.NDArray[np.float64]: ...
    @property
    def noises(self) -> tuple[Noise | None, ...]: ...
    @property
    def n_images(self) -> int: ...
    @property
    def void_value(self) -> float: ...
    @property
    def contrast_reference(self) -> float: ...
    @property
    def sensor_noise(self) -> float: ...
    @property
    def noise_seed(self) -> int: ...
    @property
    def dt(self) -> float | None: ...


def seed_noise(noise: Noise, image: int) -> Noise:
    """Return the noise of an image of a trial, which has a seed of its own."""
    return dataclasses.replace(noise, seed=(noise.seed + image * IMAGE_SEED) % 2**64)


@dataclasses.dataclass(frozen=True, eq=False)
class Renderer:
    """Builds the frames of a presentation.

    Attributes:
        show: The presentation.
        images: Shape `[B, K, C, H, W]`, float32, in units of the standardized image.
        ids: Which sample each trial is, shape `[B]`; seeds the noise.
    """

    show: Shown
    images: _Images
    ids: npt.NDArray[np.int64]

    def frame(self, t: int) -> _Images:
        """Build the frame at step `t`: shape `[B, C, H, W]`."""
        shown = self._noiseless(t)
        if self.show.sensor_noise == 0:
            return shown
        noise = sensor_noise(self.ids, t, shown.shape[1:], self.show.noise_seed)
        return shown + np.float32(self.show.sensor_noise) * noise

    def _noiseless(self, t: int) -> _Images:
        show = self.show
        index, contrast = int(show.frames[t]), np.float32(show.contrasts[t])
        image = self.images[:, max(index, 0)]
        if index == VOID:
            return np.full_like(image, show.void_value)
        noise = show.noises[t]
        if noise is not None:
            image = add_noise(image, seed_noise(noise, index), self.ids, t if noise.temporal != "static" else 0)
        if contrast == 1:
            return image
        grey = np.float32(show.contrast_reference)
        return image * contrast if grey == 0 else grey + contrast * (image - grey)


def describe_noise(show: Shown) -> tuple[str, ...]:
    """Say which noise a presentation has, in a line for each kind."""
    kinds = list(dict.fromkeys(noise for noise in show.noises if noise is not None))
    lines = [f"{n.temporal} {n.kind.replace('_', ' ')} noise in the image, ssnr {n.ssnr:g}" for n in kinds]
    if show.sensor_noise:
        lines.append(f"sensor noise, {show.sensor_noise:g} standard deviations of the images")
    if len(lines) > 2:
        lines = [f"{'; '.join(lines[:-1])}", lines[-1]]
    return tuple(lines)


def trace_timeline(show: Shown) -> Timeline:
    """Return the timeline of a presentation, as films draw it."""
    frames, contrasts, noises = show.frames, show.contrasts, show.noises
    keys = [(int(f), float(c), n) if f != VOID else (VOID,) for f, c, n in zip(frames, contrasts, noises, strict=True)]
    changes = tuple(t for t in range(1, len(keys)) if keys[t] != keys[t - 1])
    return Timeline(frames, contrasts, changes, find_zero(show.segments), show.dt, describe_noise(show))


def film_pictures(
    show: Shown,
    given: Any,
    *,
    normalize: tuple[Sequence[float], Sequence[float]] | None = None,
    names: Sequence[str] = (),
    resolution: int | None = None,
    title: str = "",
) -> Film:
    """Show pictures by a presentation; see `Presentation.show`.

    Raises:
        ValueError: If something is no image, or there are too few for a trial.
    """
    images = read_pictures(given, resolution)
    per_trial = show.n_images
    if len(images) % per_trial:
        raise ValueError(
            f"the presentation shows {per_trial} images a trial, and {len(images)} were given: give {per_trial}, or "
            f"{2 * per_trial} for two trials"
        )
    names = [names] if isinstance(names, str) else list(names)
    if names and len(names) != len(images):
        raise ValueError(f"names has {len(names)} entries for {len(images)} images: give one for each image, or none")
    scaling = Scaling.of(normalize)
    is_standardized = float(images.min()) < -0.01 or float(images.max()) > 1.01
    if normalize is None:
        # Void is 0: the mean of the images, around which contrast fades.
        scaling = Scaling((0.5,), (0.25,)) if is_standardized else _own_scaling(images)
    standardized = images if is_standardized else scaling.standardize(np.clip(images, 0, 1))
    trials = standardized.reshape(-1, per_trial, *images.shape[1:])
    renderer = Renderer(show, trials, np.arange(len(trials)))
    named = [names[start : start + per_trial] for start in range(0, len(names), per_trial)]
    return Film(trace_timeline(show), renderer.frame, scaling, named, title)


def _own_scaling(images: _Images) -> Scaling:
    """Return mean and deviation of each channel over the images themselves; flat ones have a deviation of 1/4."""
    axes = (0, 2, 3)
    mean, std = images.mean(axis=axes, dtype=np.float64), images.std(axis=axes, dtype=np.float64)
    return Scaling(tuple(mean.tolist()), tuple(np.where(std > 1e-3, std, 0.25).tolist()))
