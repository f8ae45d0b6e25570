"""A recurrent network over a whole sequence of frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["unroll"]


def unroll(step: Callable[[Tensor, Any], tuple[Tensor, Any]], x: Tensor) -> Tensor:
    """Step through a sequence of frames, starting without a state.

    Args:
        step: Takes a frame `[B, C, H, W]` and the state, `None` at first; returns the output and the new state.
        x: Shape `[B, T, C, H, W]`, or `[B, C, H, W]` for a single step.

    Returns:
        The outputs, shape `[B, T, …]` or `[B, …]`.
    """
    if x.dim() == 4:
        return step(x, None)[0]
    state, outputs = None, []
    for t in range(x.shape[1]):
        output, state = step(x[:, t], state)
        outputs.append(output)
    return torch.stack(outputs, dim=1)
