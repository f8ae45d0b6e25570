"""Pictures for the UI: the figures of a stage as files that are small enough for Dagster's database."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from dynvision.films.encoding import encode_picture
from dynvision.records import Record
from dynvision.stages.base import Stage
from dynvision.system.progress import say
from dynvision.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image as Picture

__all__ = ["SMALL", "draw_target", "draw_thumbnail", "name_format"]

DPI = 80
"""Resolution of the pictures, in dots per inch: sharp on a screen, and small enough for Dagster's database."""

SMALL = 37_000
"""Bytes that a picture takes at most: less than 50 kB in Dagster's database, where base64 makes them a third more."""

WIDTH = 1200
"""Pixels that a large picture is wide: as many as the window of the UI shows."""

_HIGHEST = 16_000
"""Pixels that it is high at most: WebP has no more than 16,383."""

_GOOD_WIDTHS, _GOOD = (180, 240, 320), 15
"""Widths of a thumbnail in pixels, from the least on, and the quality of WebP at which text and lines stay clear."""

_POOR_WIDTHS, _POOR = (240, 200, 160, 120, 80), 0
"""Widths of a thumbnail that does not fit so, from the best on, and its quality."""

_ROOM = 0.6
"""The share of the bytes up to which a wider thumbnail is tried."""


def draw_target(stage: Stage, target: Target, record: Record) -> dict[str, bytes]:
    """Draw the content of a target.

    Args:
        stage: The target's stage.
        target: A finished target.
        record: Its record.

    Returns:
        The bytes of PNG or WebP images, by title; `SMALL` at most. One that cannot be drawn is left out, and said: what
        was built is there all the same.
    """
    drawn = {}
    try:
        for title, drawing in stage.draw(target, record).items():
            drawn[title] = _read(drawing) if isinstance(drawing, Path) else _encode(drawing)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with a picture, the target is there
        say(f"{target}: a picture for the browser could not be drawn ({type(error).__name__}: {error})")
    return drawn


def draw_thumbnail(content: bytes, most_bytes: int) -> bytes | None:
    """Return a picture as a WebP image so small that Dagster shows it without a click.

    Args:
        content: The bytes of the picture.
        most_bytes: How many bytes the result takes at most.

    Returns:
        An image that fits; `None` if none does.
    """
    from PIL import Image

    with Image.open(io.BytesIO(content)) as opened:
        picture = opened.convert("RGB")
    best = None
    for width in _GOOD_WIDTHS:
        thumbnail = _resize(picture, width, _GOOD)
        if len(thumbnail) > most_bytes:
            break
        best = thumbnail
        if len(thumbnail) > _ROOM * most_bytes:
            break
    poor = (_resize(picture, width, _POOR) for width in _POOR_WIDTHS)
    return best or next((thumbnail for thumbnail in poor if len(thumbnail) <= most_bytes), None)


def _resize(picture: Picture, width: int, quality: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    size = (width, max(1, picture.height * width // picture.width))
    small = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    small.save(buffer, "webp", quality=quality, method=4)
    return buffer.getvalue()


def name_format(content: bytes) -> str:
    """Return the format of a picture of `draw_target`, as media types name it: `png` or `webp`."""
    return "png" if content.startswith(b"\x89PNG") else "webp"


def _read(path: Path) -> bytes:
    """Return a PNG file: as it is if it is small, otherwise as WebP with fewer colours."""
    content = path.read_bytes()
    return content if len(content) <= SMALL else _shrink(content)


def _encode(figure: Figure | Picture) -> bytes:
    """Return a figure or a picture as PNG, or as WebP if that takes too many bytes."""
    if not hasattr(figure, "savefig"):
        return encode_picture(figure, "webp", SMALL)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    content = buffer.getvalue()
    return content if len(content) <= SMALL else _shrink(content)


def _shrink(content: bytes) -> bytes:
    """Return a picture as WebP without losses, with as many colours and pixels as `SMALL` bytes and `WIDTH` allow."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        picture = image.convert("RGB")
    if picture.width > WIDTH or picture.height > _HIGHEST:
        picture.thumbnail((WIDTH, _HIGHEST), Image.Resampling.LANCZOS)
    return encode_picture(picture, "webp", SMALL)
