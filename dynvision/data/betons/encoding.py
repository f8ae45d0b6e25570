"""Images as they go into a `.beton` file: raw pixels, JPEG, or the source's own bytes."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import cv2

from dynvision.data.betons.layout import JPEG, RAW
from dynvision.data.images.reading import decode_image, is_turned, read_bytes, read_image

__all__ = ["Picture", "digest_content", "read_picture"]

SMART_FACTOR = 2
"""In the mode `smart`, an image is stored as JPEG if its raw pixels take more than this many times its bytes."""


@dataclass(frozen=True)
class Picture:
    """An image as it goes into the file.

    Attributes:
        content: Its bytes, one-dimensional.
        kept_as: `RAW` or `JPEG`.
        size: Height and width.
        digest: Of the content; see `digest_content`.
    """

    content: Any
    kept_as: int
    size: tuple[int, int]
    digest: int


def read_picture(path: str, position: int, job: dict[str, Any]) -> Picture:
    """Decode an image once, and encode it as its file needs it.

    Args:
        path: The image.
        position: Its position in the file; in the mode `proportion`, every other image becomes a JPEG.
        job: `write_mode`, `channels`, `resolution` and `jpeg_quality`; `bit_depth` where the configuration states it;
            `xxh3`, the digest of each image or `None`.

    Raises:
        OSError: If it cannot be read, or is no image.
        DamagedFileError: If it is not the image that was recorded.
        ValueError: If it cannot be encoded, or it is not certain what its numbers mean.
    """
    mode, quality, depth = job["write_mode"], job["jpeg_quality"], job.get("bit_depth")
    xxh3 = job["xxh3"][position]
    if mode == "bytes":
        content, size = _pass_through(path, quality, depth, xxh3)
        return Picture(content, JPEG, size, digest_content(content))
    pixels = read_image(path, job["channels"], job["resolution"], depth, xxh3)
    content, kept_as = pixels.reshape(-1), RAW
    if mode != "raw" and not (mode == "proportion" and position % 2):
        encoded = _encode(pixels, quality)
        if mode != "smart" or pixels.nbytes > SMART_FACTOR * len(encoded):
            content, kept_as = encoded, JPEG
    return Picture(content, kept_as, pixels.shape[:2], digest_content(content))


def digest_content(content: Any) -> int:
    """Return a 64-bit digest of an image's bytes."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _pass_through(path: str, quality: int, bit_depth: int | None, xxh3: int | None) -> tuple[Any, tuple[int, int]]:
    """Return the bytes of a JPEG as they are; encode other formats as JPEG, at their own size.

    FFCV does not look at the EXIF orientation, so a JPEG that is not stored upright is encoded again.
    """
    content = read_bytes(path, xxh3)
    pixels = decode_image(content, 3, bit_depth)  # so that damage is found here, and not only when the file is read
    is_jpeg = content[:2].tobytes() == b"\xff\xd8" and not _is_cmyk(content) and not is_turned(content)
    return content if is_jpeg else _encode(pixels, quality), pixels.shape[:2]


def _encode(pixels: Any, quality: int) -> Any:
    colours = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", colours, [int(cv2.IMWRITE_JPEG_QUALITY), quality])
    if not done:
        raise ValueError("it cannot be encoded as JPEG")
    return encoded.reshape(-1)


def _is_cmyk(content: Any) -> bool:
    """Whether a JPEG has four channels, which FFCV's decoder does not read."""
    from PIL import Image

    with Image.open(io.BytesIO(content.tobytes())) as image:
        return image.mode == "CMYK"
