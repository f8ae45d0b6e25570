"""Stimuli in time: a batch of images and the presentation that shows them, without building every frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynvision.data.noise import Noise, add_noise, sensor_noise
from dynvision.data.presentation_names import make_presentation
from dynvision.data.schedule import VOID, Presentation, Segment

__all__ = ["Presentation", "Segment", "StimulusSequence", "make_presentation"]


_IMAGE_SEED = 0xD1B54A32D192ED03
"""Keeps the noise of a trial's images apart: an odd number without a pattern in its bits."""


@dataclass(frozen=True)
class StimulusSequence:
    """A batch of trials over time, kept as its images.

    It stands for the tensor `[B, T, C, H, W]` that `.dense()` builds; indexing and iterating are
    over time. Memory does not depend on T.

    Attributes:
        images: Shape `[B, C, H, W]`, or `[B, K, C, H, W]` for several images a trial.
        presentation: What is shown at each step.
        sample_ids: Which sample each trial is, shape `[B]`; seeds the sensor noise. By default 0 … B − 1.
    """

    images: Tensor
    presentation: Presentation
    sample_ids: np.ndarray[Any, np.dtype[np.int64]] | None = None
    _drawn: dict[tuple[int, int], Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.images.dim() not in (4, 5):
            raise ValueError(f"images have the shape [B, C, H, W] or [B, K, C, H, W], not {list(self.images.shape)}")
        held = self.images.shape[1] if self.images.dim() == 5 else 1
        if held < self.presentation.n_images:
            raise ValueError(
                f"the presentation shows {self.presentation.n_images} images a trial, but there are {held}"
            )

    @property
    def shape(self) -> torch.Size:
        """The shape of the dense tensor: `[B, T, C, H, W]`."""
        return torch.Size((len(self.images), self.presentation.n_timesteps, *self.images.shape[-3:]))

    @property
    def dtype(self) -> torch.dtype:
        """The type of the frames."""
        return self.images.dtype

    @property
    def device(self) -> torch.device:
        """Where the frames are."""
        return self.images.device

    def __len__(self) -> int:
        return self.presentation.n_timesteps

    def __getitem__(self, index: int | tuple[slice, int]) -> Tensor:
        """The frame at a step: `sequence[t]` or, as for the dense tensor, `sequence[:, t]`."""
        if isinstance(index, tuple):
            batch, t = index
            return self.frame(t)[batch]
        return self.frame(index)

    def __iter__(self) -> Iterator[Tensor]:
        return (self.frame(t) for t in range(len(self)))

    def frame(self, t: int) -> Tensor:
        """What is shown at step `t`: shape `[B, C, H, W]`; not to be written to."""
        steps = len(self)
        if not -steps <= t < steps:
            raise IndexError(f"step {t} is outside the {steps} steps of the presentation")
        t %= steps
        shown = self.noiseless_frame(t)
        if self.presentation.sensor_noise == 0:
            return shown
        ids = np.arange(len(self.images)) if self.sample_ids is None else self.sample_ids
        noise = sensor_noise(ids, t, tuple(shown.shape[1:]), self.presentation.noise_seed)
        return shown + self.presentation.sensor_noise * torch.from_numpy(noise).to(shown)

    def noiseless_frame(self, t: int) -> Tensor:
        """The frame at step `t` before sensor noise; not to be written to."""
        show = self.presentation
        index, contrast = int(show.frames[t]), float(show.contrasts[t])
        image = self.images if self.images.dim() == 4 else self.images[:, max(index, 0)]
        if index == VOID:
            return torch.full_like(image, show.void_value)
        if show.stimulus_noise is not None:
            image = self._noisy_image(image, index, t, show.stimulus_noise)
        if contrast == 1.0:
            return image
        grey = show.contrast_reference
        return image * contrast if grey == 0 else grey + contrast * (image - grey)

    def _noisy_image(self, image: Tensor, index: int, t: int, noise: Noise) -> Tensor:
        ids = np.arange(len(self.images)) if self.sample_ids is None else self.sample_ids
        # Another image of the trial has noise of its own; static noise is drawn once and kept.
        key = (index, 0 if noise.temporal == "static" else t)
        if key not in self._drawn:
            if noise.temporal != "static":
                self._drawn.clear()
            pixels = image.detach().cpu().to(torch.float32).numpy()
            own = dataclasses.replace(noise, seed=(noise.seed + index * _IMAGE_SEED) % 2**64)
            noisy = add_noise(pixels, own, ids, key[1])
            self._drawn[key] = torch.from_numpy(noisy).to(image)
        return self._drawn[key]

    def dense(self) -> Tensor:
        """The whole tensor, shape `[B, T, C, H, W]`, contiguous, in memory of its own."""
        frames = torch.empty(self.shape, dtype=self.dtype, device=self.device)
        for t in range(len(self)):
            frames[:, t] = self.frame(t)
        return frames

    def to(self, *args: Any, **kwargs: Any) -> StimulusSequence:
        """Move or convert the images, as `torch.Tensor.to`: B images travel, not B × T frames."""
        return replace(self, images=self.images.to(*args, **kwargs))

    def pin_memory(self) -> StimulusSequence:
        """Copy the images to pinned memory."""
        return replace(self, images=self.images.pin_memory())
