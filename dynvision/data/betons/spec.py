"""What a `.beton` file is made of, and how its pixels can be stored."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynvision.data.images.reading import FIT
from dynvision.data.images.samples import Sample
from dynvision.errors import DynvisionError

__all__ = ["LEAST_SHARE", "WRITE_MODES", "BetonFile", "default_write_mode", "require_ffcv"]

RAW_UP_TO = 64
"""Images up to this width are written as raw pixels by default; `jpg` loses detail that small images need."""

WRITE_MODES = ("raw", "jpg", "smart", "proportion", "bytes")
"""How pixels can be stored: as they are; as JPEG; as JPEG if that is much smaller; every other image as JPEG; or the
source's own JPEG bytes, unchanged and at their own size (encoded again if their EXIF orientation turns them)."""

LEAST_SHARE = {"raw": 1.0, "proportion": 0.5, "jpg": 0.02, "smart": 0.02, "bytes": 0.0}
"""The least space that an image takes, as a share of its raw pixels. A disk with less is refused before writing."""


def default_write_mode(resolution: int, channels: int) -> str:
    """Return how images of a size are stored by default: `raw` or `jpg`."""
    return "raw" if resolution <= RAW_UP_TO or channels == 1 else "jpg"


@dataclass(frozen=True)
class BetonFile:
    """A file to write.

    Attributes:
        path: Its final path.
        samples: Its images, in the order of the file.
        base: The folder that relative sources start from.
        resolution: Width and height in pixels.
        channels: 3 or 1.
        record: What the file was made of, kept in the sidecar.
        write_mode: One of `WRITE_MODES`; `None` chooses by size. Images of one channel are always raw.
        jpeg_quality: The quality of images that are encoded as JPEG, 1 to 100.
        bit_depth: The bits of images that have more than 8; `None` if the configuration does not say.
    """

    path: Path
    samples: Sequence[Sample]
    base: Path
    resolution: int
    channels: int
    record: dict[str, Any]
    write_mode: str | None = None
    jpeg_quality: int = 95
    bit_depth: int | None = None

    @property
    def mode(self) -> str:
        """How pixels are stored."""
        if self.channels == 1:
            return "raw"
        return self.write_mode or default_write_mode(self.resolution, self.channels)

    @property
    def fit(self) -> str:
        """How images of another size are brought to the resolution."""
        return "none: images keep their own size" if self.mode == "bytes" else FIT


def require_ffcv() -> None:
    """Raise if FFCV is not installed; the message says both ways out.

    Raises:
        DynvisionError: If FFCV is not installed.
    """
    if importlib.util.find_spec("ffcv") is None:
        raise DynvisionError(
            "FFCV is not installed, and this needs it. Either set 'use_ffcv: false' in config_data.yaml (images are "
            "then read directly), or install it: 'make setup', or the system packages pkg-config, libturbojpeg and "
            "OpenCV with their headers and then 'pip install ffcv'."
        )
