"""From a batch of images to a batch of stimuli: the one place where time is added."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynvision.data.loading.frame_memory import FrameMemory
from dynvision.data.loading.frames import lay_out_channels_last
from dynvision.data.loading.label_sequence import LabelSequence
from dynvision.data.loading.params import optimize_loader_params
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID

__all__ = ["Batch", "BatchMaker"]

_log = logging.getLogger(__name__)

_SMALL = 1 << 28
"""A batch of fewer bytes is not compared with the available memory."""

Batch = tuple[Tensor | StimulusSequence, Tensor | LabelSequence]
"""A stimulus `[B, T, C, H, W]` and its labels over time `[B, T]`, int64; both as sequences if lazy."""


class BatchMaker:
    """Shows batches of images; both loaders use it, so that they cannot differ.

    Args:
        presentation: What is shown when.
        lazy: Make `StimulusSequence` and `LabelSequence` instead of dense tensors.
        pinned: Put batches into pinned memory.
        memory_format: `torch.channels_last` makes each frame channels-last.
        memory_budget: Bytes that batches may take.
    """

    def __init__(
        self,
        presentation: Presentation,
        lazy: bool = False,
        pinned: bool = False,
        memory_format: torch.memory_format = torch.contiguous_format,
        memory_budget: int | None = None,
    ) -> None:
        self.presentation, self.lazy = presentation, lazy
        self.memory = FrameMemory(pinned, memory_format)
        self.memory_budget = memory_budget
        self._checked: Presentation | None = None
        self._is_warned = False
        self._fitted: Presentation | None = None
        self._fitted_lazy = lazy

    def make(self, images: Tensor, labels: Tensor, ids: npt.NDArray[np.int64]) -> Batch:
        """Show a batch.

        Args:
            images: Shape `[B, C, H, W]` or `[B, K, C, H, W]`; the batch's own memory.
            labels: Shape `[B]` or `[B, K]`, int64.
            ids: Which sample each trial is, shape `[B]`.

        Raises:
            ValueError: If the images cannot be shown like this, or the batch does not fit into the budget.
        """
        if self.presentation is not self._checked and not self._is_warned:
            self._checked = self.presentation
            self._is_warned = _fades_to_zero(self.presentation) and _warn_of_black(images)
        if self._fitted is not self.presentation or self._fitted_lazy != self.lazy:
            self._check_memory(images)
            self._fitted, self._fitted_lazy = self.presentation, self.lazy
        if self.memory.memory_format == torch.channels_last:
            images = lay_out_channels_last(images)
        sequence = StimulusSequence(images, self.presentation, ids)
        over_time = LabelSequence(labels, self.presentation)
        if self.lazy:
            return (sequence.pin_memory(), over_time.pin_memory()) if self.memory.pinned else (sequence, over_time)
        is_one_step = self.presentation.n_timesteps == 1
        dense_labels = over_time.at(0).unsqueeze(1) if is_one_step else over_time.dense()
        if self.memory.pinned:
            dense_labels = dense_labels.pin_memory()
        if is_one_step:  # the frame is the batch's own memory already
            frame = sequence.frame(0).contiguous(memory_format=self.memory.memory_format).unsqueeze(1)
            return frame.pin_memory() if self.memory.pinned else frame, dense_labels
        return self.memory.build(sequence), dense_labels

    def _check_memory(self, images: Tensor) -> None:
        """Raise or warn if batches take more memory than they may, and say what would fit."""
        size = images.nbytes * (1 if self.lazy else self.presentation.n_timesteps)
        if size < _SMALL and self.memory_budget is None:
            return
        try:
            optimize_loader_params(
                len(images),
                self.presentation.n_timesteps,
                images.shape[1:] if self.lazy else images.shape[-3:],
                dtype=images.dtype,
                batches_ahead=1,
                lazy=self.lazy,
                memory=self.memory_budget,
                keep_numbers=True,
            )
        except ValueError as error:
            if self.memory_budget is not None:
                raise
            _log.warning("%s", error)


def _fades_to_zero(show: Presentation) -> bool:
    """Return whether images are shown at a contrast that fades them towards 0."""
    return show.contrast_reference == 0 and bool((show.contrasts[show.frames != VOID] != 1).any())


def _warn_of_black(images: Tensor) -> bool:
    """Warn if contrast fades images to black instead of grey, and return whether it does."""
    if not images.is_floating_point() or not images.numel():
        return False
    if not (float(images.min()) >= 0 and 0 < float(images.max()) <= 1):
        return False
    warnings.warn(
        "the images are in [0, 1], where contrast_reference=0 is black, so that a lower contrast makes them "
        "darker. Give contrast_reference=0.5 (and void_value=0.5) for a mean grey of 0.5, or standardize images.",
        stacklevel=4,
    )
    return True
