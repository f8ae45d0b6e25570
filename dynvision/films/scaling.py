"""From what a network gets back to pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Scaling"]


@dataclass(frozen=True)
class Scaling:
    """Mean and deviation of each channel, by which pixels in [0, 1] are standardized; one number holds for all.

    Attributes:
        mean: In units of [0, 1].
        std: In units of [0, 1].

    Raises:
        ValueError: If their numbers differ, or a deviation is not above 0.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        are_numbers = all(map(math.isfinite, (*self.mean, *self.std)))
        if len(self.mean) != len(self.std) or not self.mean or not are_numbers or not min(self.std) > 0:
            raise ValueError(
                f"normalize is (means, deviations), one of each for a channel and deviations above 0, not "
                f"({list(self.mean)}, {list(self.std)})"
            )

    @classmethod
    def of(cls, normalize: tuple[Sequence[float], Sequence[float]] | None) -> Scaling:
        """Read `(means, deviations)`; `None` is [0, 1] itself.

        Raises:
            ValueError: If it has another form.
        """
        if normalize is None:
            return cls()
        try:
            means, deviations = (tuple(map(float, values)) for values in normalize)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"normalize is (means, deviations), one of each for a channel, not {normalize!r}"
            ) from error
        return cls(means, deviations)

    @property
    def is_plain(self) -> bool:
        """Whether it changes nothing."""
        return set(self.mean) == {0.0} and set(self.std) == {1.0}

    def standardize(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Compute `(x − mean) / std` of images `[…, C, H, W]` in [0, 1], as float32."""
        if self.is_plain:
            return images
        mean, std = self._by_channel(images)
        return (images - mean) / std

    def to_pixels(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Undo the standardization and clip to what a screen shows.

        Args:
            frames: Shape `[B, C, H, W]`.

        Returns:
            Shape `[B, H, W, 3]`, or `[B, H, W]` if there are not three channels: their mean.
        """
        mean, std = self._by_channel(frames)
        pixels = np.nan_to_num(frames * std + mean, nan=0.0, posinf=1.0, neginf=0.0)
        shown = np.rint(np.clip(pixels, 0, 1) * 255)
        shown = shown.transpose(0, 2, 3, 1) if frames.shape[1] == 3 else np.rint(shown.mean(axis=1))
        return np.ascontiguousarray(shown.astype(np.uint8))

    def _by_channel(self, images: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        if len(self.mean) not in (1, images.shape[-3]):
            raise ValueError(
                f"normalize has {len(self.mean)} means and deviations, but the images have {images.shape[-3]} channels"
            )
        mean, std = (np.asarray(values, dtype=np.float32)[:, None, None] for values in (self.mean, self.std))
        return mean, std
