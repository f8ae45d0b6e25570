"""Reading the images that a user wants to see presented: files, Pillow's images, arrays and tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.errors import DataError, check_number
from dynvision.stimuli.depth import scale_to_8_bits

__all__ = ["LARGEST", "read_pictures"]

LARGEST = 256
"""Pixels of the longer side of a picture, if no resolution is given; a larger one is scaled down."""

_LARGEST_RESOLUTION = 4096

_ABOUT = "an image is a path, a Pillow image, an array [H, W] or [H, W, 3], or a tensor [C, H, W] or [B, C, H, W]"


_DEEP = re.compile(r"RGB[AXa]*;16[BLN]")
"""How Pillow calls colours of 16 bits a channel, which it reads as 8. `BGR;16` is 16 bits a pixel."""


def read_pictures(given: Any, resolution: int | None = None) -> npt.NDArray[np.float32]:
    """Read one image or several.

    Whole numbers are pixels from 0 to 255; fractions are pixels from 0 to 1, or standardized ones beyond.

    Args:
        given: A path, a Pillow image, an array `[H, W]`, `[H, W, C]` or `[C, H, W]`, a tensor of one more axis too, or
            a list of these.
        resolution: Width and height; by default their own, but at most 256 pixels.

    Returns:
        Shape `[N, C, H, W]`, float32.

    Raises:
        ValueError: If something is no image, or the images differ in size.
        OSError: If a file cannot be read.
    """
    if resolution is not None:
        check_number("resolution", resolution, 1, _LARGEST_RESOLUTION, whole=True)
    several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
    read = [part for image in (given if several else [given]) for part in _read(image, resolution)]
    if not read:
        raise ValueError(f"there is no image to show: {_ABOUT}")
    # A grey picture next to one in colour has three equal channels.
    channels = max(len(image) for image in read)
    read = [np.repeat(image, channels, axis=0) if len(image) == 1 else image for image in read]
    shapes = list(dict.fromkeys(image.shape[1:] for image in read))
    if len(shapes) > 1 or len({len(image) for image in read}) > 1:
        sizes = " and ".join(f"{height} × {width}" for height, width in shapes[:2])
        raise ValueError(f"the images differ in size ({sizes} pixels). Give the size of all: resolution=64")
    return np.stack(read).astype(np.float32)


def _read(image: Any, resolution: int | None) -> list[npt.NDArray[np.float32]]:
    """Return the images `[C, H, W]` that one thing holds."""
    if isinstance(image, (str, Path)):
        image = _open(Path(image).expanduser())
    if hasattr(image, "getexif"):
        return [_scale_pixels(np.asarray(_fit(image, resolution)))]
    if hasattr(image, "detach"):
        tensor = image.detach().cpu()
        image = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        image = image if image.ndim > 2 else image[None]
        planes = list(image) if image.ndim == 4 else [image]
        if image.ndim not in (3, 4) or not image.size:
            raise ValueError(f"a tensor of shape {list(image.shape)}: {_ABOUT}")
    else:
        numbers = _as_array(image)
        planes = list(numbers) if numbers.ndim == 4 else [numbers]
    return [_resize(_scale_pixels(plane), resolution) for plane in planes]


def _open(path: Path) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode.startswith("RGB") and any(_DEEP.search(str(tile)) for tile in image.tile):
                raise ValueError(
                    f"{path} has 16 bits a channel, of which Pillow reads 8. Give an array of fractions from 0 to 1."
                )
            image.load()
            return image
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such image") from None
    except (UnidentifiedImageError, SyntaxError, OSError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error


def _fit(image: Any, resolution: int | None) -> Any:
    """Return a picture upright, grey or in colour, at the size that is asked for."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = Image.fromarray(_scale_deep(np.asarray(upright)))
    upright = upright.convert("L" if upright.mode in ("1", "L", "LA") else "RGB")
    if resolution is not None:
        return ImageOps.fit(upright, (resolution, resolution), method=Image.Resampling.BICUBIC)
    upright.thumbnail((LARGEST, LARGEST))
    return upright


def _scale_deep(numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Scale an image of more than 8 bits by the rule of datasets, so that it is as bright as a network gets it."""
    try:
        return scale_to_8_bits(numbers)
    except DataError as error:
        raise ValueError(
            f"the image has numbers of type {numbers.dtype} from {numbers.min():g} to {numbers.max():g}, and nothing "
            "says which of them is white. Give fractions from 0 to 1, such as np.asarray(image) / 4095 for 12 bits."
        ) from error


def _as_array(image: Any) -> npt.NDArray[Any]:
    numbers = np.asarray(image)
    if numbers.dtype == object or numbers.dtype.kind not in "buif" or numbers.ndim not in (2, 3, 4) or not numbers.size:
        raise ValueError(f"{type(image).__name__} of shape {list(numbers.shape)}: {_ABOUT}")
    return numbers


def _scale_pixels(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return an image `[C, H, W]` of pixels from 0 to 1, or of standardized ones as they are."""
    planes = image[None] if image.ndim == 2 else image
    if planes.shape[0] not in (1, 3) and planes.shape[-1] in (1, 3):
        planes = planes.transpose(2, 0, 1)
    if planes.ndim != 3 or planes.shape[0] not in (1, 3):
        raise ValueError(f"an image of shape {list(image.shape)} has neither 1 nor 3 channels: {_ABOUT}")
    if planes.dtype.kind == "b":
        return planes.astype(np.float32)
    if planes.dtype.kind in "ui":
        if planes.min() < 0 or planes.max() > 255:
            raise ValueError(
                f"whole numbers are pixels from 0 to 255, and these lie from {planes.min()} to {planes.max()}. Scale "
                "them, or give fractions from 0 to 1."
            )
        return planes.astype(np.float32) / np.float32(255)
    if not np.isfinite(planes).all():
        raise ValueError("the image has numbers that are not finite")
    if planes.min() >= 0 and planes.max() > _BRIGHTEST:
        raise ValueError(
            f"fractions are pixels from 0 to 1, and these reach {planes.max():g}. Divide them by 255, or give uint8."
        )
    return planes.astype(np.float32)


_BRIGHTEST = 20.0
"""No standardized image without a negative value reaches this; one of pixels from 0 to 255 does."""


def _resize(image: npt.NDArray[np.float32], resolution: int | None) -> npt.NDArray[np.float32]:
    longest = max(image.shape[1:])
    if resolution is None and longest <= LARGEST:
        return image
    from PIL import Image, ImageOps

    planes = []
    for plane in image:
        picture = Image.fromarray(plane)
        if resolution is not None:
            size = (resolution, resolution)
            fitted = picture if picture.size == size else ImageOps.fit(picture, size, Image.Resampling.BICUBIC)
        else:
            fitted = picture
            fitted.thumbnail((LARGEST, LARGEST))
        planes.append(np.asarray(fitted, dtype=np.float32))
    return np.stack(planes)
