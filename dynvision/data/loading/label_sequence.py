"""Labels in time: one label an image and the presentation that shows it, without one for every step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID

__all__ = ["LabelSequence", "check_step"]


@dataclass(frozen=True, eq=False)
class LabelSequence:
    """The labels of a batch of trials over time, kept as one label an image.

    It stands for the tensor `[B, T]` that `.dense()` builds; indexing and iterating are over time.

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
        """Where the labels are."""
        return self.labels.device

    @property
    def nbytes(self) -> int:
        """Bytes held, which do not grow with T."""
        return self.labels.nbytes

    def __len__(self) -> int:
        return self.presentation.n_timesteps

    def __getitem__(self, index: int | tuple[Any, Any]) -> Tensor:
        """The labels at a step: `labels[t]` or, as for the dense tensor, `labels[:, t]`: shape `[B]`."""
        if not isinstance(index, tuple):
            return self.at(index)
        batch, t = index
        return self.dense()[batch, t] if not isinstance(t, int) else self.at(t)[batch]

    def __iter__(self) -> Iterator[Tensor]:
        return (self.at(t) for t in range(len(self)))

    def at(self, t: int) -> Tensor:
        """The labels at step `t`: shape `[B]`."""
        index = int(self.presentation.frames[check_step(t, len(self))])
        by_image = self.labels.view(len(self.labels), -1)
        if index == VOID:
            return torch.full_like(by_image[:, 0], self.presentation.non_label_index)
        return by_image[:, index if by_image.shape[1] >= self.presentation.n_images else 0]

    def dense(self) -> Tensor:
        """The whole tensor, shape `[B, T]`, int64, in memory of its own."""
        over_time = self.presentation.labels(self.labels.cpu().numpy())
        return torch.from_numpy(over_time).to(self.labels.device)

    def to(self, *args: Any, **kwargs: Any) -> LabelSequence:
        """Move the labels, as `torch.Tensor.to`."""
        return replace(self, labels=self.labels.to(*args, **kwargs))

    def pin_memory(self) -> LabelSequence:
        """Copy the labels to pinned memory."""
        return replace(self, labels=self.labels.pin_memory())


def check_step(t: int, steps: int) -> int:
    """The step that an index means, from the end where it is negative; an `IndexError` where there is none."""
    if isinstance(t, bool) or not isinstance(t, (int, np.integer)):
        raise IndexError(f"a step is a whole number, not {t!r}; trials come first: sequence[:, 2:5]")
    if not -steps <= t < steps:
        raise IndexError(f"step {t} is outside the {steps} steps of the presentation")
    return t % steps
