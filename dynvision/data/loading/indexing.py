"""Indices into sequences: the rules of torch, applied before any frame is built."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["Picked", "check_slices", "check_step", "check_trial", "is_integer", "is_one_axis", "pick"]


class Picked(NamedTuple):
    """What one index picks from an axis.

    Attributes:
        positions: The picked positions: a slice, or an int64 tensor `[N]`.
        index: The index that gives the same result on an axis that has these N positions only.
    """

    positions: slice | Tensor
    index: Any

    @property
    def is_all(self) -> bool:
        """Whether every position is picked, in order, by `:`."""
        return isinstance(self.positions, slice) and self.positions == slice(None)

    @property
    def keeps_axis(self) -> bool:
        """Whether the axis stays one axis, as it does for a slice, a list or a mask."""
        return isinstance(self.index, slice) or self.index.dim() == 1


def pick(selector: Any, size: int) -> Picked | None:
    """Read an index of one axis.

    Args:
        selector: A whole number, a slice, whole numbers, or a mask.
        size: The length of the axis.

    Returns:
        What it picks; `None` if it does not index exactly one axis (`None`, `...`, a Boolean, a mask of several axes).

    Raises:
        IndexError: If it is no index, or outside the axis.
    """
    if not is_one_axis(selector):
        return None
    if isinstance(selector, slice):
        return Picked(selector, slice(None))
    positions = torch.arange(size)[selector if is_integer(selector) else _as_tensor(selector)]
    return Picked(positions.reshape(-1), torch.arange(positions.numel()).view(positions.shape))


def is_one_axis(selector: Any) -> bool:
    """Return whether an index is about exactly one axis, as a mask of several axes or `None` is not.

    Raises:
        IndexError: If it is no index at all.
    """
    if isinstance(selector, slice) or is_integer(selector):
        return True
    if selector is None or selector is Ellipsis or isinstance(selector, (bool, np.bool_)):
        return False
    tensor = _as_tensor(selector)
    return tensor.dtype not in (torch.bool, torch.uint8) or tensor.dim() == 1


def check_slices(index: Any) -> None:
    """Check that no slice of an index runs backwards, which torch does not allow.

    Raises:
        IndexError: If one does.
    """
    for selector in index if isinstance(index, tuple) else (index,):
        if isinstance(selector, slice) and is_integer(selector.step) and selector.step < 1:
            raise IndexError(f"the step of a slice is at least 1, as in torch, not {selector.step}")


def is_integer(selector: Any) -> bool:
    """Return whether an index is one whole number; a Boolean is not."""
    return isinstance(selector, (int, np.integer)) and not isinstance(selector, bool)


def check_step(t: Any, steps: int) -> int:
    """Return the step that an index means; a negative one counts from the end.

    Raises:
        IndexError: If it is no whole number, or outside the presentation.
    """
    if not is_integer(t):
        raise IndexError(f"a step is a whole number, not {t!r}; for several steps: sequence[:, 2:5]")
    if not -steps <= t < steps:
        raise IndexError(f"step {t} is outside the {steps} steps of the presentation")
    return int(t) % steps


def check_trial(b: int, trials: int) -> int:
    """Return the trial that an index means; a negative one counts from the end.

    Raises:
        IndexError: If it is outside the batch.
    """
    if not -trials <= b < trials:
        raise IndexError(f"trial {b} is outside the {trials} trials of the batch; steps come second: sequence[:, {b}]")
    return int(b) % trials


def _as_tensor(selector: Any) -> Tensor:
    try:
        tensor = torch.as_tensor(selector).cpu()
        if tensor.dtype in (torch.uint16, torch.uint32, torch.uint64, torch.int16, torch.int8):
            tensor = tensor.long()  # As torch does for indices of its dense tensors from NumPy.
    except (TypeError, ValueError, RuntimeError) as error:
        raise IndexError(_explain(selector)) from error
    if tensor.is_floating_point() or tensor.is_complex():
        if not isinstance(selector, (np.ndarray, Tensor)) and not tensor.numel():
            return tensor.long()
        raise IndexError(_explain(selector))
    return tensor


def _explain(selector: Any) -> str:
    return (
        f"a sequence is indexed like its dense tensor, trials first and steps second, as in sequence[2:5] and "
        f"sequence[:, 2:5], not by {selector!r}"
    )
