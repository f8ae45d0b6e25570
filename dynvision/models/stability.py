"""The gain of a convolution, and how a bound on it keeps a recurrence stable."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["clip_gain", "convolution_gain"]


def convolution_gain(weight: Tensor, size: int) -> Tensor:
    """Return an upper bound of a convolution's spectral norm, the largest factor by which it stretches its input.

    A circular convolution is diagonal in the Fourier basis, so its singular values are those of the channel matrices of
    the kernel's transform (Sedghi, Gupta & Long, The singular values of convolutional layers, ICLR 2019). The
    zero-padded convolution on `size` pixels is a part of the circular one on `size + k - 1` pixels, so its norm is at
    most as large.

    Args:
        weight: Kernel of a stride-1 convolution, shape `[out, in, k, k]`.
        size: Width and height of the input in pixels.

    Returns:
        A scalar, float64, on the CPU.
    """
    extent = size + weight.shape[-1] - 1
    transform = torch.fft.rfft2(weight.detach().cpu().double(), s=(extent, extent)).permute(2, 3, 0, 1)
    gains: Tensor = torch.linalg.matrix_norm(transform, ord=2)
    return gains.max()


@torch.no_grad()
def clip_gain(weight: Tensor, size: int, limit: float) -> None:
    """Scale a kernel down, in place, if its gain is above `limit`.

    This is the projection of Gouk et al. (Regularisation of neural networks by enforcing Lipschitz continuity, Machine
    Learning 110, 2021).

    Args:
        weight: Kernel of a stride-1 convolution, shape `[out, in, k, k]`.
        size: Width and height of the input in pixels.
        limit: The largest gain that is left as it is, from 0.
    """
    gain = float(convolution_gain(weight, size))
    if gain > limit:
        weight.mul_(limit / gain)
