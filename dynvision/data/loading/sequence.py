"""Stimuli in time: a batch of images and the presentation that shows them, without building every frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynvision.data.loading.label_sequence import LabelSequence, check_step
from dynvision.stimuli.names import make_presentation
from dynvision.stimuli.noise import Noise, add_noise, sensor_noise
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID, Segment

__all__ = [
    "LabelSequence",
    "Presentation",
    "Segment",
    "StimulusSequence",
    "add_scaled",
    "lay_out_channels_last",
    "make_presentation",
]


_IMAGE_SEED = 0xD1B54A32D192ED03
"""Keeps the noise of a trial's images apart: an odd number without a pattern in its bits."""

_KEPT_DRAWS = 4
"""Noisy images that a sequence keeps, so that memory does not grow with the number of its noises."""

_HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class StimulusSequence:
    """A batch of trials over time, kept as its images.

    It stands for the tensor `[B, T, C, H, W]` that `.dense()` builds; indexing and iterating are
    over time. Memory does not depend on T.

    Attributes:
        images: Shape `[B, C, H, W]`, or `[B, K, C, H, W]` for several images a trial.
        presentation: What is shown at each step.
        sample_ids: Which sample each trial is, shape `[B]`; seeds the noise. By default 0 … B − 1.

    Raises:
        ValueError: The images have another shape, are fewer than the presentation shows, or are whole
            numbers where the presentation needs fractions.
    """

    images: Tensor
    presentation: Presentation
    sample_ids: npt.NDArray[np.int64] | None = None
    _drawn: dict[Any, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        dims = self.images.dim()
        if dims not in (4, 5):
            raise ValueError(f"images have the shape [B, C, H, W] or [B, K, C, H, W], not {list(self.images.shape)}")
        held = self.images.shape[1] if dims == 5 else 1
        if held < self.presentation.n_images:
            raise ValueError(
                f"the presentation shows {self.presentation.n_images} images a trial, but there are {held}"
            )
        if not self.images.dtype.is_floating_point:
            _check_whole(self.images.dtype, self.presentation)

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

    @property
    def nbytes(self) -> int:
        """Bytes held, which do not grow with T."""
        return self.images.nbytes

    def __len__(self) -> int:
        return self.presentation.n_timesteps

    def __getitem__(self, index: int | tuple[Any, int | slice]) -> Tensor:
        """The frame at a step: `sequence[t]` or, as for the dense tensor, `sequence[:, t]` or `sequence[:, 2:5]`."""
        if not isinstance(index, tuple):
            return self.frame(index)
        if len(index) != 2 or not isinstance(index[1], (int, slice)):
            raise IndexError("a sequence is indexed by a step, sequence[t], or by trials and steps, sequence[:, 2:5]")
        batch, t = index
        if isinstance(t, slice):
            steps = range(*t.indices(len(self)))
            frames = [self.frame(step) for step in steps] or [self.images.new_empty((0, *self.shape[2:]))]
            shown = torch.stack(frames, dim=1) if steps else frames[0].new_empty((len(self.images), 0, *self.shape[2:]))
            return shown[batch]
        return self.frame(t)[batch]

    def __iter__(self) -> Iterator[Tensor]:
        return (self.frame(t) for t in range(len(self)))

    def frame(self, t: int) -> Tensor:
        """What is shown at step `t`: shape `[B, C, H, W]`; not to be written to."""
        t = check_step(t, len(self))
        shown = self.noiseless_frame(t)
        if self.presentation.sensor_noise == 0:
            return shown
        noise = sensor_noise(self._ids(), t, tuple(shown.shape[1:]), self.presentation.noise_seed)
        return add_scaled(shown, torch.from_numpy(noise), self.presentation.sensor_noise)

    def noiseless_frame(self, t: int) -> Tensor:
        """The frame at step `t` before sensor noise; not to be written to."""
        show = self.presentation
        index, contrast = int(show.frames[t]), float(show.contrasts[t])
        image = self.images if self.images.dim() == 4 else self.images[:, max(index, 0)]
        if index == VOID:
            return torch.full_like(image, show.void_value)
        noise = show.noises[t]
        if noise is not None:
            image = self._noisy_image(image, index, t, noise)
        return image if contrast == 1.0 else _fade(image, contrast, show.contrast_reference)

    def _ids(self) -> npt.NDArray[np.int64]:
        return np.arange(len(self.images)) if self.sample_ids is None else self.sample_ids

    def _noisy_image(self, image: Tensor, index: int, t: int, noise: Noise) -> Tensor:
        # Another image of the trial has noise of its own; static noise is drawn once and kept.
        moves = noise.temporal != "static"
        key = (index, noise, t if moves else 0)
        if key not in self._drawn:
            for old in [k for k in self._drawn if k[1].temporal != "static"]:
                del self._drawn[old]
            while len(self._drawn) >= _KEPT_DRAWS:
                del self._drawn[next(iter(self._drawn))]
            pixels = image.detach().cpu().to(torch.float32).numpy()
            own = dataclasses.replace(noise, seed=(noise.seed + index * _IMAGE_SEED) % 2**64)
            noisy = torch.from_numpy(add_noise(pixels, own, self._ids(), key[2])).to(image)
            is_last = image.is_contiguous(memory_format=torch.channels_last)
            self._drawn[key] = lay_out_channels_last(noisy) if is_last else noisy
        return self._drawn[key]

    def dense(self) -> Tensor:
        """The whole tensor, shape `[B, T, C, H, W]`, in memory of its own.

        It lies in memory as `[T, B, C, H, W]`, so that a step `x[:, t]` is contiguous; use `.reshape`
        where you would use `.view` over batch and time.
        """
        steps = torch.empty(
            (len(self), len(self.images), *self.images.shape[-3:]), dtype=self.dtype, device=self.device
        )
        self.write_shown(steps)
        for start, stop in self.presentation.runs:
            if self.presentation.frames[start] == VOID and self.presentation.sensor_noise == 0:
                steps[start:stop].fill_(self.presentation.void_value)
        return steps.transpose(0, 1)

    def write_shown(self, steps: Tensor) -> None:
        """Write every frame that is not plain void.

        Args:
            steps: Shape `[T, B, C, H, W]`; void steps without sensor noise are left as they are.
        """
        for start, stop in self.presentation.runs:
            if self.presentation.frames[start] != VOID or self.presentation.sensor_noise > 0:
                steps[start:stop].copy_(self.frame(start).expand_as(steps[start:stop]))

    def to(self, *args: Any, **kwargs: Any) -> StimulusSequence:
        """Move or convert the images, as `torch.Tensor.to`: B images travel, not B × T frames."""
        return replace(self, images=self.images.to(*args, **kwargs))

    def pin_memory(self) -> StimulusSequence:
        """Copy the images to pinned memory."""
        return replace(self, images=self.images.pin_memory())


def lay_out_channels_last(images: Tensor) -> Tensor:
    """Lay out each image `[C, H, W]` as `[H, W, C]` in memory; shape `[…, C, H, W]`."""
    flat = images.reshape(-1, *images.shape[-3:]).contiguous(memory_format=torch.channels_last)
    return flat.view(images.shape) if images.dim() == 4 else torch.unflatten(flat, 0, list(images.shape[:-3]))


def add_scaled(frame: Tensor, noise: Tensor, scale: float) -> Tensor:
    """``frame + scale · noise``, in float32 where the frame has half precision, rounded once."""
    if frame.dtype in _HALVES:
        return add_scaled(frame.to(torch.float32), noise, scale).to(frame.dtype)
    return frame + scale * noise.to(frame)


def _fade(image: Tensor, contrast: float, grey: float) -> Tensor:
    """``grey + contrast · (image − grey)``, in float32 where the image has half precision."""
    if image.dtype in _HALVES:
        return _fade(image.to(torch.float32), contrast, grey).to(image.dtype)
    return image * contrast if grey == 0 else grey + contrast * (image - grey)


def _check_whole(dtype: torch.dtype, show: Presentation) -> None:
    """Raise where whole-number images cannot be shown as they are.

    Raises:
        ValueError: The presentation fades them, adds noise to them or has a void value that they lack.
    """
    shown = show.frames != VOID
    faded = bool((show.contrasts[shown] != 1).any())
    noisy = show.sensor_noise > 0 or any(noise is not None for noise in show.noises)
    kinds = torch.iinfo(dtype) if dtype != torch.bool else None
    holds_void = (
        kinds is not None and show.void_value == int(show.void_value) and kinds.min <= show.void_value <= kinds.max
    )
    if faded or noisy or not (holds_void or shown.all()):
        what = "fractions of contrast" if faded else "noise" if noisy else f"a void value of {show.void_value}"
        raise ValueError(
            f"images of type {dtype} cannot hold {what}. Give the loader dtype=torch.float32, or the dataset a "
            "transform that makes float images."
        )
