"""Reading one image file the same way everywhere: 8 bit, RGB or grey, upright, at the dataset's resolution."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.data.images.image_table import digest_image
from dynvision.errors import DamagedFileError, DataError
from dynvision.stimuli.depth import scale_to_8_bits
from dynvision.system.failures import as_unreadable

__all__ = [
    "FIT",
    "convert_channels",
    "decode_image",
    "fit_image",
    "is_turned",
    "name_unreadable",
    "read_bytes",
    "read_image",
]

FIT = "shorter side scaled by Pillow's bicubic filter with anti-aliasing, centre cropped"
"""How an image of another size is brought to the dataset's resolution; written to sidecars."""


@contextlib.contextmanager
def name_unreadable(path: str | Path) -> Iterator[None]:
    """Turn errors of reading an image into those that name its file.

    Raises:
        DataError: If it cannot be read, or is not an image; a `DamagedFileError` is passed on.
    """
    try:
        yield
    except DamagedFileError:
        raise
    except OSError as error:
        raise as_unreadable(error, f"{path}: {error}") or DataError(f"{path}: {error}") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error


def read_image(
    path: str | Path, channels: int, resolution: int, bit_depth: int | None = None, xxh3: int | None = None
) -> npt.NDArray[np.uint8]:
    """Decode an image and bring it to the dataset's shape; see `decode_image` and `fit_image`.

    Args:
        path: The file.
        channels: 3 (RGB) or 1 (grey).
        resolution: Width and height of the result, in pixels.
        bit_depth: The bits of images that have more than 8; see `scale_to_8_bits`.
        xxh3: The digest of the file; see `read_bytes`.

    Returns:
        Shape `[resolution, resolution, channels]`, uint8.

    Raises:
        OSError: If the file cannot be read, or is not an image.
        DamagedFileError: If it is not the image that was recorded.
        DataError: If it is not certain what its numbers mean.
    """
    return fit_image(decode_image(read_bytes(path, xxh3), channels, bit_depth), resolution)


def read_bytes(path: str | Path, xxh3: int | None = None) -> npt.NDArray[np.uint8]:
    """Read the bytes of an image, and compare what was read with its digest.

    Args:
        path: The file.
        xxh3: Its digest, see `digest_image`; `None` compares nothing.

    Returns:
        Shape `[bytes]`.

    Raises:
        OSError: If it cannot be read.
        DamagedFileError: If it is not the image that was recorded.
    """
    # This takes half the time of np.fromfile, which matters for small images.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        content = file.read()
    if xxh3 is not None and digest_image(content) != xxh3:
        raise DamagedFileError(
            f"{path} is not the image that was recorded: it was changed, damaged or swapped. Put it back, or make what "
            "is made from it again: dynvision status says what is out of date."
        )
    return np.frombuffer(content, dtype=np.uint8)


def decode_image(encoded: npt.NDArray[np.uint8], channels: int, bit_depth: int | None = None) -> npt.NDArray[np.uint8]:
    """Decode an image at its own size: upright, in 8 bits, without its transparency.

    An image is turned as its EXIF orientation says. Transparency is dropped: a pixel has its own colour, however
    transparent it is. Pixels of more than 8 bits are scaled as `scale_to_8_bits` says.

    Args:
        encoded: The bytes of the file.
        channels: 3 (RGB) or 1 (grey). Grey images read as RGB have three equal channels.
        bit_depth: The bits of images that have more than 8; `None` if the configuration does not say.

    Returns:
        Shape `[H, W, channels]`, uint8.

    Raises:
        OSError: If the bytes are not an image, or it is damaged.
        DataError: If it is not certain what its numbers mean.
    """
    import cv2

    numbers = _decode_numbers(encoded)
    if numbers is None:
        pixels = _decode(encoded, cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE)
        if pixels.dtype == np.uint8:
            if channels == 3:
                pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            return np.asarray(pixels, dtype=np.uint8).reshape(*pixels.shape[:2], channels)
        # The depth is found in the numbers of the file, and not in grey values that were computed from them.
        numbers = _decode(encoded, cv2.IMREAD_ANYCOLOR)
        if numbers.ndim == 3:
            numbers = numbers[:, :, 2::-1]
    return convert_channels(scale_to_8_bits(numbers, bit_depth), channels)


def convert_channels(pixels: npt.NDArray[np.uint8], channels: int) -> npt.NDArray[np.uint8]:
    """Bring decoded pixels to a number of channels: grey is repeated, and colours become their luma (ITU-R BT.601).

    Args:
        pixels: Shape `[H, W]` or `[H, W, 3]`.
        channels: 3 or 1.

    Returns:
        Shape `[H, W, channels]`.
    """
    import cv2

    if pixels.ndim == 2:
        return np.ascontiguousarray(np.repeat(pixels[:, :, None], channels, axis=2))
    pixels = np.ascontiguousarray(pixels)
    return pixels if channels == 3 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))[:, :, None]


def is_turned(encoded: npt.NDArray[np.uint8]) -> bool:
    """Whether the EXIF orientation of an image says that its pixels are not stored upright."""
    from PIL import Image

    content = encoded.tobytes()
    if b"Exif" not in content:
        return False
    with Image.open(io.BytesIO(content)) as image:
        return image.getexif().get(_ORIENTATION, 1) in range(2, 9)


_ORIENTATION = 0x0112
"""The EXIF tag."""


def _decode(encoded: npt.NDArray[np.uint8], flag: int) -> npt.NDArray[Any]:
    """Decode an image as BGR or grey, upright and at its own depth."""
    import cv2

    try:
        pixels = cv2.imdecode(encoded, flag | cv2.IMREAD_ANYDEPTH) if len(encoded) else None
    except cv2.error as error:
        raise OSError(f"it cannot be decoded: {error.err or error}") from error
    if pixels is None:
        raise OSError("it is no image, or is damaged")
    return np.asarray(pixels)


def _decode_numbers(encoded: npt.NDArray[np.uint8]) -> npt.NDArray[Any] | None:
    """Decode a TIFF file that OpenCV does not read as it is; `None` for everything else.

    These have one number of 32 bits a pixel, or transparency, by which OpenCV would multiply the colours.
    """
    if encoded[:2].tobytes() not in (b"II", b"MM"):
        return None
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(encoded.tobytes())) as image:
            if image.mode in ("F", "I"):
                return np.asarray(ImageOps.exif_transpose(image))
            if image.mode in ("RGBA", "LA"):
                pixels = np.asarray(ImageOps.exif_transpose(image))[..., :-1]
                return pixels[..., 0] if image.mode == "LA" else pixels
            return None
    except (OSError, ValueError, SyntaxError, EOFError):
        return None  # OpenCV says whether it is an image.


def fit_image(pixels: npt.NDArray[np.uint8], resolution: int) -> npt.NDArray[np.uint8]:
    """Scale the shorter side to `resolution` with anti-aliasing and crop the centre.

    Args:
        pixels: Shape `[H, W, C]`, uint8, 1 or 3 channels.
        resolution: Width and height of the result, in pixels.

    Returns:
        Shape `[resolution, resolution, C]`, uint8; the same pixels if they have that size already.
    """
    if pixels.shape[:2] == (resolution, resolution):
        return np.ascontiguousarray(pixels)
    from PIL import Image, ImageOps

    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
    fitted = ImageOps.fit(image, (resolution, resolution), method=Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(fitted).reshape(resolution, resolution, pixels.shape[2]))
