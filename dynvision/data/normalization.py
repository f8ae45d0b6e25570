"""From pixels to the numbers that a network sees; one definition for every path."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Normalization", "normalize_pixels", "standardize"]

Normalization = tuple[Sequence[float], Sequence[float]]


def standardize(images: Tensor, normalize: Normalization | None) -> Tensor:
    """Standardize each channel of images in [0, 1]: ``(x − mean) / std``; shape `[B, C, H, W]`."""
    if normalize is None:
        return images
    mean, std = (torch.tensor(list(values)).view(1, -1, 1, 1).to(images) for values in normalize)
    return (images - mean) / std


def normalize_pixels(pixels: Tensor, normalize: Normalization | None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bring 8-bit pixels to [0, 1] and standardize each channel: ``(x / 255 − mean) / std``.

    Args:
        pixels: Shape `[B, H, W, C]` with three channels last, or `[B, C, H, W]`, uint8.
        normalize: Mean and standard deviation of each channel; `None` keeps [0, 1].
        dtype: Type of the result.

    Returns:
        Shape `[B, C, H, W]`, contiguous.

    Raises:
        ValueError: There are not as many means as channels.
    """
    planes = pixels.permute(0, 3, 1, 2) if pixels.shape[-1] == 3 else pixels
    channels = planes.shape[1]
    if normalize is None:
        mean, std = [0.0] * channels, [1.0] * channels
    else:
        mean, std = list(normalize[0]), list(normalize[1])
    if len(mean) != channels:
        raise ValueError(f"normalize has {len(mean)} means, but the images have {channels} channels")
    # (x − 255 mean) / (255 std) as one multiply-add a pixel.
    scale = torch.tensor([1 / (255 * s) for s in std]).view(1, -1, 1, 1)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).view(1, -1, 1, 1)
    result = torch.addcmul(shift, planes.to(torch.float32).contiguous(), scale)
    return result.to(dtype)
