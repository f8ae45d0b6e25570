"""The embedded dataset: oriented sinusoidal gratings, the classical stimulus of vision science."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.config.sections.data import GratingsConfig
from dynvision.data.sources.base import ExportedSource

__all__ = ["Gratings", "class_names", "draw_grating", "iterate_gratings"]

_SPLIT_SEED = {"train": 0, "test": 1}


class Gratings(ExportedSource):
    """Gratings that are drawn as the section `gratings` of `config_data.yaml` says."""

    datasets = ("gratings",)

    def settings(self, split: str) -> dict[str, Any]:
        """Return the section without the number of images in the other split, and the size in pixels."""
        other_split = "test_per_class" if split == "train" else "train_per_class"
        return {
            **self.config.data.gratings.model_dump(mode="json", exclude={other_split}),
            "size": self.config.data.data_resolution[self.dataset],
        }

    def open(self, split: str) -> DrawnSplit:
        """Open a split; each image is drawn when it is asked for."""
        return DrawnSplit(self.config.data.gratings, split, self.config.data.data_resolution[self.dataset])


@dataclass(frozen=True)
class DrawnSplit:
    """One split of the gratings.

    Attributes:
        settings: Orientations, counts, spatial frequency range, noise and seed.
        split: `train` or `test`.
        size: Width and height in pixels.
    """

    settings: GratingsConfig
    split: str
    size: int

    @property
    def classes(self) -> list[str]:
        """The orientations."""
        return class_names(self.settings)

    def __len__(self) -> int:
        return self.settings.orientations * _count_per_class(self.settings, self.split)

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        return iter(iterate_gratings(self.settings, self.split, self.size))


def draw_grating(
    size: int,
    orientation: float,
    spatial_frequency: float,
    phase: float,
    contrast: float,
    noise: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.uint8]:
    """Draw a full-field sinusoidal grating on mean grey.

    The luminance at (x, y), in fractions of the image from its centre, is::

        L(x, y) = 1/2 · [1 + c · sin(2π f (x cos θ + y sin θ) + φ)] + n(x, y)

    with Michelson contrast c, spatial frequency f, orientation θ, phase φ and noise n, clipped to
    [0, 1] (Campbell & Robson, Application of Fourier analysis to the visibility of gratings,
    J. Physiol. 197, 1968).

    Args:
        size: Width and height in pixels.
        orientation: Direction of modulation in degrees, counter-clockwise from rightward.
            θ and θ + 180 are the same class of image.
        spatial_frequency: Cycles per image.
        phase: In radians.
        contrast: In [0, 1].
        noise: Luminance added to each pixel, shape `[size, size]`; `None` adds nothing.

    Returns:
        Shape `[size, size, 3]`, uint8; the three channels are equal.

    Raises:
        ValueError: If the noise does not fit the image.
    """
    axis = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(axis, -axis)
    angle = np.deg2rad(orientation)
    wave = np.sin(2 * np.pi * spatial_frequency * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    luminance = 0.5 * (1 + contrast * wave) + (0 if noise is None else noise)
    grey = np.round(np.clip(luminance, 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def class_names(settings: GratingsConfig) -> list[str]:
    """Name the classes: orientations in degrees, evenly spaced over 180."""
    return [f"{180 * k / settings.orientations:g} deg" for k in range(settings.orientations)]


def iterate_gratings(settings: GratingsConfig, split: str, size: int) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Draw a split, class after class.

    Each image has its own generator, seeded by (seed, split, class, number). So another number of images leaves the
    existing ones as they are.

    Args:
        settings: Orientations, counts, spatial frequency range, noise and seed.
        split: `train` or `test`.
        size: Width and height in pixels.

    Yields:
        Class index and image `[size, size, 3]`, uint8.
    """
    count = _count_per_class(settings, split)
    low, high = settings.spatial_frequency
    for index in range(settings.orientations):
        for number in range(count):
            rng = np.random.default_rng([settings.seed, _SPLIT_SEED[split], index, number])
            frequency, phase = rng.uniform(low, high), rng.uniform(0, 2 * np.pi)
            noise = rng.normal(0, settings.noise, (size, size))
            orientation = 180 * index / settings.orientations
            yield index, draw_grating(size, orientation, frequency, phase, settings.contrast, noise)


def _count_per_class(settings: GratingsConfig, split: str) -> int:
    return settings.train_per_class if split == "train" else settings.test_per_class
