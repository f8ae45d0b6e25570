"""From pixels to the numbers that a network sees; every loader uses this definition."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["Normalization", "normalize_pixels", "pixel_scaling", "pixel_table", "standardize"]

Normalization = tuple[Sequence[float], Sequence[float]]


def standardize(images: Tensor, normalize: Normalization | None) -> Tensor:
    """Standardize each channel of images: ``(x − mean) / std``.

    Args:
        images: Shape `[B, C, H, W]`, in [0, 1].
        normalize: Mean and standard deviation of each channel; `None` changes nothing.

    Returns:
        The same shape and type, in standard deviations.

    Raises:
        RuntimeError: If the number of means does not fit the channels.
    """
    if normalize is None:
        return images
    mean, std = (torch.tensor(list(values)).view(1, -1, 1, 1).to(images) for values in normalize)
    return (images - mean) / std


def pixel_table(channels: int, normalize: Normalization | None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Compute what each 8-bit pixel value becomes: ``(x / 255 − mean) / std``, in float32 and then rounded to `dtype`.

    The numbers are, to the bit, those of torchvision's `ToDtype(scale=True)` and `Normalize`.

    Args:
        channels: The number of channels.
        normalize: Mean and standard deviation of each channel, in units of [0, 1]; `None` keeps [0, 1].
        dtype: A floating type, or `torch.uint8` for unchanged pixels.

    Returns:
        Shape `[channels, 256]`.

    Raises:
        ValueError: If there is another number of means than channels, a deviation is not above 0, or `dtype` is an
            integer type.
    """
    values = torch.arange(256, dtype=torch.uint8).repeat(channels, 1)
    if dtype == torch.uint8 and normalize is None:
        return values
    if not dtype.is_floating_point:
        valid = "torch.uint8 (only without normalize) or a floating type such as torch.float32"
        raise ValueError(f"images are of {valid}, not {dtype}")
    scale, mean, std = pixel_scaling(channels, normalize).T[:, :, None]
    return values.to(torch.float32).mul_(scale).sub_(mean).div_(std).to(dtype)


def pixel_scaling(channels: int, normalize: Normalization | None) -> Tensor:
    """Compute the numbers with which a pixel value x becomes ``(x · scale − mean) / std``.

    Args:
        channels: The number of channels.
        normalize: Mean and standard deviation of each channel, in units of [0, 1]; `None` keeps [0, 1].

    Returns:
        Scale, mean and standard deviation of each channel: shape `[channels, 3]`, float32.

    Raises:
        ValueError: If there is another number of means than channels, a deviation is not above 0, or a number is not
            finite.
    """
    if normalize is not None and (len(normalize) != 2 or any(isinstance(part, (int, float)) for part in normalize)):
        raise ValueError("normalize is (means, deviations), each with a number for every channel")
    given = ([0.0] * channels, [1.0] * channels) if normalize is None else normalize
    mean, std = (torch.tensor([float(v) for v in part], dtype=torch.float32) for part in given)
    if len(mean) != channels or len(std) != channels:
        raise ValueError(
            f"normalize has {len(mean)} means and {len(std)} deviations, but the images have {channels} channels"
        )
    if not bool((std > 0).all() and std.isfinite().all() and mean.isfinite().all()):
        raise ValueError(
            f"normalize has the deviations {std.tolist()}; each must be above 0 and finite, as must the means"
        )
    return torch.stack([torch.full_like(mean, 1 / 255), mean, std], dim=1)


def normalize_pixels(pixels: Tensor, normalize: Normalization | None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Scale 8-bit pixels to [0, 1] and standardize each channel; see `pixel_table`.

    Args:
        pixels: Shape `[B, H, W, 3]`, or `[B, C, H, W]`, uint8.
        normalize: Mean and standard deviation of each channel; `None` keeps [0, 1].
        dtype: The type of the result.

    Returns:
        Shape `[B, C, H, W]`, contiguous.

    Raises:
        ValueError: As for `pixel_table`.
    """
    planes = pixels.permute(0, 3, 1, 2) if pixels.shape[-1] == 3 else pixels
    table = pixel_table(planes.shape[1], normalize, dtype)
    shown = [table[channel][planes[:, channel].long()] for channel in range(planes.shape[1])]
    return torch.stack(shown, dim=1)
