"""Arithmetic on the pixels of a frame, and which types of images allow it."""

from __future__ import annotations

import torch
from torch import Tensor

from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID

__all__ = ["add_scaled", "check_whole_numbers", "fade", "lay_out_channels_last"]

_HALVES = (torch.float16, torch.bfloat16)


def add_scaled(frame: Tensor, noise: Tensor, scale: float) -> Tensor:
    """Compute ``frame + scale · noise``, for half precision in float32 and rounded once.

    Args:
        frame: Shape `[B, C, H, W]`, a floating type.
        noise: The same shape.
        scale: Standard deviation of the noise, if `noise` has unit variance.

    Returns:
        Shape `[B, C, H, W]`, in the type of `frame`.
    """
    if frame.dtype in _HALVES:
        return add_scaled(frame.to(torch.float32), noise, scale).to(frame.dtype)
    return frame + scale * noise.to(frame)


def fade(image: Tensor, contrast: float, grey: float) -> Tensor:
    """Compute ``grey + contrast · (image − grey)``, for half precision in float32 and rounded once.

    Args:
        image: Shape `[B, C, H, W]`, a floating type.
        contrast: In [0, 1].
        grey: The pixel value of zero contrast.

    Returns:
        Shape `[B, C, H, W]`, in the type of `image`.
    """
    if image.dtype in _HALVES:
        return fade(image.to(torch.float32), contrast, grey).to(image.dtype)
    return image * contrast if grey == 0 else grey + contrast * (image - grey)


def lay_out_channels_last(images: Tensor) -> Tensor:
    """Lay out each image `[C, H, W]` as `[H, W, C]` in memory; the shape `[…, C, H, W]` stays."""
    flat = images.reshape(-1, *images.shape[-3:]).contiguous(memory_format=torch.channels_last)
    return flat.view(images.shape) if images.dim() == 4 else torch.unflatten(flat, 0, list(images.shape[:-3]))


def check_whole_numbers(dtype: torch.dtype, show: Presentation) -> None:
    """Raise if images of a whole-number type cannot be shown as they are.

    Raises:
        ValueError: If the presentation fades the images, adds noise to them, or has a void value that the type lacks.
    """
    shown = show.frames != VOID
    faded = bool((show.contrasts[shown] != 1).any())
    noisy = show.sensor_noise > 0 or any(noise is not None for noise in show.noises)
    limits = torch.iinfo(dtype) if dtype != torch.bool else None
    has_void_value = (
        limits is not None and show.void_value == int(show.void_value) and limits.min <= show.void_value <= limits.max
    )
    if faded or noisy or not (has_void_value or shown.all()):
        values = "fractions of contrast" if faded else "noise" if noisy else f"a void value of {show.void_value}"
        raise ValueError(
            f"images of type {dtype} cannot hold {values}. Give the loader dtype=torch.float32, or the dataset a "
            "transform that makes float images."
        )
