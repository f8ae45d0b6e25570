"""Labels in time: one label an image and the presentation that shows it, without one for every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynvision.data.loading.indexing import check_slices, check_step, check_trial, is_integer, is_one_axis, pick
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID

__all__ = ["LabelSequence"]


@dataclass(frozen=True, eq=False)
class LabelSequence:
    """The labels of a batch of trials over time, kept as one label an image.

    It stands for the tensor `[B, T]` that `.dense()` builds, and is indexed like it: `labels[b]` are a trial's labels
    over time, `labels[2:5]` is a `LabelSequence` of these trials, `labels[:, t]` are the labels at a step. Iterate over
    time with `.steps()`.

    Attributes:
        labels: Shape `[B]`, or `[B, K]` for several images a trial, int64.
        presentation: What is shown at each step; void steps have its `non_label_index`.
    """

    labels: Tensor
    presentation: Presentation

    @property
    def shape(self) -> torch.Size:
        """The shape of the dense tensor: `[B, T]`."""
        return torch.Size((len(self.labels), self.presentation.n_timesteps))

    @property
    def dtype(self) -> torch.dtype:
        """The type of the labels."""
        return self.labels.dtype

    @property
    def device(self) -> torch.device:
        """The device of the labels."""
        return self.labels.device

    @property
    def nbytes(self) -> int:
        """Bytes in memory, which do not grow with T."""
        return self.labels.nbytes

    def __len__(self) -> int:
        return len(self.labels)

    if TYPE_CHECKING:  # for the reason see `StimulusSequence`

        def __iter__(self) -> Iterator[Tensor]: ...

    @overload
    def __getitem__(self, index: int | tuple[Any, ...]) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | npt.NDArray[Any] | Tensor) -> LabelSequence: ...
    def __getitem__(self, index: Any) -> Tensor | LabelSequence:
        """Index like the dense tensor `[B, T]`; a choice of trials alone stays a sequence.

        Raises:
            IndexError: If the index is outside the trials or steps, or no index.
        """
        check_slices(index)
        if isinstance(index, tuple):
            if len(index) > 1 and is_integer(index[1]) and is_one_axis(index[0]):
                return self.at(index[1])[(index[0], *index[2:])]
            return self.dense()[index]
        if is_integer(index):
            first = check_trial(index, len(self))
            return self[first : first + 1].dense()[0]
        picked = pick(index, len(self))
        if picked is None or not picked.keeps_axis:
            return self.dense()[index]
        return replace(self, labels=self.labels[picked.positions])

    def steps(self) -> Iterator[Tensor]:
        """Iterate over time.

        Yields:
            The labels at each step, shape `[B]`; not to be written to.
        """
        return (self.at(t) for t in range(self.presentation.n_timesteps))

    def at(self, t: int) -> Tensor:
        """Return the labels at step `t`: shape `[B]`; not to be written to.

        Raises:
            IndexError: If there is no such step.
        """
        index = int(self.presentation.frames[check_step(t, self.presentation.n_timesteps)])
        by_image = self.labels if self.labels.dim() == 2 else self.labels[:, None]
        if index == VOID:
            return torch.full_like(by_image[:, 0], self.presentation.non_label_index)
        return by_image[:, index if by_image.shape[1] >= self.presentation.n_images else 0]

    def dense(self) -> Tensor:
        """Build the whole tensor, shape `[B, T]`, int64, in memory of its own."""
        over_time = self.presentation.labels(np.asarray(self.labels.cpu()))
        return torch.from_numpy(over_time).to(self.labels.device)

    def to(self, *args: Any, **kwargs: Any) -> LabelSequence:
        """Move the labels, as `torch.Tensor.to`."""
        return replace(self, labels=self.labels.to(*args, **kwargs))

    def pin_memory(self) -> LabelSequence:
        """Copy the labels to pinned memory."""
        return replace(self, labels=self.labels.pin_memory())
