"""Images as Python objects (of Pillow, NumPy and torch) to pixels, by the rules of `reading` for files."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.data.images.reading import convert_channels
from dynvision.errors import DataError
from dynvision.stimuli.depth import scale_to_8_bits

__all__ = ["as_pixels", "require_channels"]


def as_pixels(image: Any, where: str, bit_depth: int | None = None) -> npt.NDArray[np.uint8]:
    """Convert an image to 8-bit pixels.

    Pillow's images are turned as their EXIF orientation says, and lose their transparency. Those of the modes `1`, `L`,
    `I`, `I;16` and `F` are grey, all others have three channels. Arrays are `[H, W]` or `[H, W, C]`, tensors `[H, W]`
    or `[C, H, W]`, with 1 or 3 channels. Numbers are scaled as `scale_to_8_bits` says.

    Args:
        image: The image.
        where: Names it in errors.
        bit_depth: The bits of images that have more than 8; `None` if the configuration does not say.

    Returns:
        Shape `[H, W]` or `[H, W, 3]`.

    Raises:
        DataError: If it is no image, or it is not certain what its numbers mean.
    """
    try:
        numbers = _read_picture(image) if hasattr(image, "getexif") else _read_array(image)
    except Exception as error:
        if isinstance(error, DataError):
            raise DataError(f"{where}: {error}") from error
        text = " ".join(str(error).split())
        raise DataError(f"{where}: the image ({type(image).__name__}) cannot be read: {text}") from error
    try:
        return np.ascontiguousarray(scale_to_8_bits(numbers, bit_depth))
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def require_channels(pixels: npt.NDArray[np.uint8], channels: int | None, where: str) -> npt.NDArray[np.uint8]:
    """Bring pixels to the channels of their dataset, without loss.

    Grey images of a dataset in colour have three equal channels. Of a grey dataset, images of three equal channels have
    one.

    Args:
        pixels: Shape `[H, W]` or `[H, W, 3]`.
        channels: 1 or 3; `None` leaves them as they are.
        where: Names the image in errors.

    Raises:
        DataError: If an image of a grey dataset has colours.
    """
    if channels == 3 and pixels.ndim == 2:
        return convert_channels(pixels, 3)
    if channels != 1 or pixels.ndim == 2:
        return pixels
    if not (pixels[:, :, :1] == pixels).all():
        raise DataError(
            f"{where} is in colour, and data_statistics has one mean, for grey images. Give three means and three "
            "stds; or let the class convert its images to grey."
        )
    return np.ascontiguousarray(pixels[:, :, 0])


def _read_picture(image: Any) -> npt.NDArray[Any]:
    from PIL import ImageOps

    _refuse_lost_bits(image)
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        return np.asarray(upright)
    return np.asarray(upright.convert("L" if upright.mode in ("L", "1") else "RGB"))


def _refuse_lost_bits(image: Any) -> None:
    """Raise an error if Pillow keeps 8 of the 16 bits of a colour image, so that darker ones would become black."""
    from PIL import Image

    tiles = list(getattr(image, "tile", None) or ())
    name = getattr(image, "filename", "")
    if not tiles and isinstance(name, str) and name:
        try:
            with Image.open(name) as again:  # What was loaded has forgotten how it was stored.
                tiles = list(again.tile)
        except OSError:
            return
    if image.mode.startswith("RGB") and any(";16" in str(tile) for tile in tiles):
        raise DataError(
            "a colour image of 16 bits a channel, of which Pillow keeps only 8. Read it as an array (cv2.imread with "
            "IMREAD_UNCHANGED, or tifffile), or put the images into class folders"
        )


def _read_array(image: Any) -> npt.NDArray[Any]:
    is_tensor = hasattr(image, "detach")
    if is_tensor:
        image = image.detach().cpu()
        image = image.float() if str(image.dtype) == "torch.bfloat16" else image
        image = image.numpy()
    numbers = np.asarray(image)
    shape, channels = numbers.shape, numbers.shape[0 if is_tensor else -1] if numbers.ndim == 3 else 1
    if numbers.ndim not in (2, 3) or channels not in (1, 3) or not numbers.size:
        raise DataError(
            f"an image of shape {shape} ({'tensor' if is_tensor else type(image).__name__}); images are arrays [H, W] "
            "or [H, W, 3], or tensors [C, H, W]"
        )
    if is_tensor and numbers.ndim == 3:
        numbers = numbers.transpose(1, 2, 0)
    return numbers[:, :, 0] if numbers.ndim == 3 and channels == 1 else numbers
