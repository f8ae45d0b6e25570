"""Stimuli in time: a batch of images and the presentation that shows them, without building every frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynvision.data.loading.frames import add_scaled, check_whole_numbers, fade, lay_out_channels_last
from dynvision.data.loading.indexing import check_slices, check_step, check_trial, is_integer, is_one_axis, pick
from dynvision.films.film import Film
from dynvision.films.scaling import Scaling
from dynvision.stimuli.noise import Noise, add_noise, sensor_noise
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.rendering import seed_noise, trace_timeline
from dynvision.stimuli.segments import VOID

__all__ = ["StimulusSequence"]

_TOLERANCE = 0.01
"""By how much pixels may leave [0, 1], as after scaling, and are not standardized ones."""

_KEPT_DRAWS = 4
"""Noisy images that a sequence keeps, so that memory does not grow with the number of its noises."""


@dataclass(frozen=True, eq=False)
class StimulusSequence:
    """A batch of trials over time, kept as its images.

    It stands for the tensor `[B, T, C, H, W]` that `.dense()` builds, and is indexed like it: `x[b]` are a trial's
    frames, `x[2:5]` is a `StimulusSequence` of these trials, `x[:, t]` is the frame at a step. Iterate over time with
    `.steps()`. Its memory does not grow with T.

    Attributes:
        images: Shape `[B, C, H, W]`, or `[B, K, C, H, W]` for several images a trial.
        presentation: What is shown at each step.
        sample_ids: Which sample each trial is, shape `[B]`; seeds the noise. By default 0 … B − 1.

    Raises:
        ValueError: If the images have another shape, are fewer than the presentation shows, or are whole numbers
            although the presentation needs fractions.
    """

    images: Tensor
    presentation: Presentation
    sample_ids: npt.NDArray[np.int64] | None = None
    _drawn: dict[Any, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        dims = self.images.dim()
        if dims not in (4, 5):
            raise ValueError(f"images have the shape [B, C, H, W] or [B, K, C, H, W], not {list(self.images.shape)}")
        count = self.images.shape[1] if dims == 5 else 1
        if count < self.presentation.n_images:
            raise ValueError(
                f"the presentation shows {self.presentation.n_images} images a trial, but there are {count}"
            )
        if not self.images.dtype.is_floating_point:
            check_whole_numbers(self.images.dtype, self.presentation)

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
        """The device of the frames."""
        return self.images.device

    @property
    def nbytes(self) -> int:
        """Bytes in memory, which do not grow with T."""
        return self.images.nbytes

    def __len__(self) -> int:
        return len(self.images)

    if TYPE_CHECKING:
        # It can be iterated over, through `__getitem__`. It has no `__iter__`, because Lightning takes what has one for
        # a nested batch and would count the time steps of a trial as the size of the batch.
        def __iter__(self) -> Iterator[Tensor]: ...

    @overload
    def __getitem__(self, index: int | tuple[Any, ...]) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | npt.NDArray[Any] | Tensor) -> StimulusSequence: ...
    def __getitem__(self, index: Any) -> Tensor | StimulusSequence:
        """Index like the dense tensor `[B, T, C, H, W]`; a choice of trials alone stays a sequence.

        Only the trials and steps that are asked for are built; `sequence[:, t]` is one frame.

        Raises:
            IndexError: If the index is outside the trials or steps, or no index.
        """
        check_slices(index)
        if isinstance(index, tuple):
            return self._index_axes(index)
        if is_integer(index):
            first = check_trial(index, len(self))
            return self._take(slice(first, first + 1)).dense()[0]
        trials = pick(index, len(self))
        if trials is None:
            return self.dense()[index]
        part = self._take(trials.positions)
        return part if trials.keeps_axis else part.dense()[trials.index]

    def _index_axes(self, index: tuple[Any, ...]) -> Tensor:
        if len(index) > 1 and is_integer(index[1]) and is_one_axis(index[0]):
            return self.frame(index[1])[(index[0], *index[2:])]
        trials = pick(index[0], len(self)) if index else None
        if trials is None:
            return self.dense()[index]
        part = self if trials.is_all else self._take(trials.positions)
        steps = pick(index[1], self.presentation.n_timesteps) if len(index) > 1 else None
        if steps is None or steps.is_all:
            return part.dense()[(trials.index, *index[1:])]
        return part._stack(steps.positions)[(trials.index, steps.index, *index[2:])]

    def _take(self, trials: slice | Tensor) -> StimulusSequence:
        """Choose trials, each with its own noise."""
        ids = self._ids()[trials if isinstance(trials, slice) else trials.numpy()]
        return replace(self, images=self.images[trials], sample_ids=ids)

    def _stack(self, steps: slice | Tensor) -> Tensor:
        """Build some steps: shape `[B, S, C, H, W]`."""
        numbers = torch.arange(self.presentation.n_timesteps)[steps].tolist()
        if not numbers:
            return self.images.new_empty((len(self), 0, *self.shape[2:]))
        return torch.stack([self.frame(t) for t in numbers], dim=1)

    def steps(self) -> Iterator[Tensor]:
        """Iterate over time; only one step is built at once.

        Yields:
            The frame at each step, shape `[B, C, H, W]`; not to be written to.
        """
        return (self.frame(t) for t in range(self.presentation.n_timesteps))

    def frame(self, t: int) -> Tensor:
        """Build the frame at step `t`: shape `[B, C, H, W]`; not to be written to.

        Raises:
            IndexError: If there is no such step.
        """
        t = check_step(t, self.presentation.n_timesteps)
        shown = self.noiseless_frame(t)
        if self.presentation.sensor_noise == 0:
            return shown
        noise = sensor_noise(self._ids(), t, tuple(shown.shape[1:]), self.presentation.noise_seed)
        return add_scaled(shown, torch.from_numpy(noise), self.presentation.sensor_noise)

    def noiseless_frame(self, t: int) -> Tensor:
        """Build the frame at step `t` without sensor noise: shape `[B, C, H, W]`; not to be written to."""
        show = self.presentation
        index, contrast = int(show.frames[t]), float(show.contrasts[t])
        image = self.images if self.images.dim() == 4 else self.images[:, max(index, 0)]
        if index == VOID:
            return torch.full_like(image, show.void_value)
        noise = show.noises[t]
        if noise is not None:
            image = self._noisy_image(image, index, t, noise)
        return image if contrast == 1.0 else fade(image, contrast, show.contrast_reference)

    def _ids(self) -> npt.NDArray[np.int64]:
        return np.arange(len(self.images)) if self.sample_ids is None else self.sample_ids

    def _noisy_image(self, image: Tensor, index: int, t: int, noise: Noise) -> Tensor:
        # Each image of the trial has its own noise; static noise is drawn once and kept.
        moves = noise.temporal != "static"
        key = (index, noise, t if moves else 0)
        if key not in self._drawn:
            for old in [k for k in self._drawn if k[1].temporal != "static"]:
                del self._drawn[old]
            while len(self._drawn) >= _KEPT_DRAWS:
                del self._drawn[next(iter(self._drawn))]
            pixels = image.detach().cpu().to(torch.float32).numpy()
            noisy = torch.from_numpy(add_noise(pixels, seed_noise(noise, index), self._ids(), key[2])).to(image)
            is_last = image.is_contiguous(memory_format=torch.channels_last)
            self._drawn[key] = lay_out_channels_last(noisy) if is_last else noisy
        return self._drawn[key]

    def dense(self) -> Tensor:
        """Build the whole tensor, shape `[B, T, C, H, W]`, in memory of its own.

        It lies in memory as `[T, B, C, H, W]`, so that a step `x[:, t]` is contiguous; over batch and time use
        `.reshape` instead of `.view`.
        """
        batch, count, *frame = self.shape
        steps = torch.empty((count, batch, *frame), dtype=self.dtype, device=self.device)
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

    def show(
        self,
        *,
        normalize: tuple[Sequence[float], Sequence[float]] | None = None,
        names: Sequence[Sequence[str]] = (),
        title: str = "",
        start: int = 0,
    ) -> Film:
        """Show the trials as a film strip and an animation, made of the frames that `frame` gives.

        Args:
            normalize: Mean and deviation of each channel, by which the images were standardized. Without, images that
                leave [0, 1] are shown around mid grey, with black and white two deviations away.
            names: For each trial the names of its images.
            title: The line above.
            start: The first step of the film, as after idle steps.

        Raises:
            ValueError: If there are no trials, or no such step.
        """
        if not len(self):
            raise ValueError("there is no trial to show: the sequence is empty")
        if not 0 <= start < self.presentation.n_timesteps:
            raise ValueError(f"start is a step from 0 to {self.presentation.n_timesteps - 1}, not {start}")
        scaling = Scaling.of(normalize)
        if not self.images.is_floating_point() and self.images.dtype != torch.bool:
            scaling = Scaling((0.0,), (1 / 255,))
        elif normalize is None:
            low, high = float(self.images.min()), float(self.images.max())
            if low < -_TOLERANCE or high > 1 + _TOLERANCE:
                scaling = Scaling((0.5,), (0.25,))
        return Film(
            trace_timeline(self.presentation).after(start),
            lambda step: self.frame(step + start).detach().to("cpu", torch.float32).numpy(),
            scaling,
            names,
            title,
        )

    def to(self, *args: Any, **kwargs: Any) -> StimulusSequence:
        """Move or convert the images, as `torch.Tensor.to`: B images travel, not B × T frames."""
        return replace(self, images=self.images.to(*args, **kwargs))

    def pin_memory(self) -> StimulusSequence:
        """Copy the images to pinned memory."""
        return replace(self, images=self.images.pin_memory())
