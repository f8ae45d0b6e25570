"""Pictures and animations as bytes of bounded size, which say by themselves that they are ours."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dynvision.films.animation import Animation, Moment, choose_moments
from dynvision.system.files import make_directory, write_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MARK", "encode_animation", "encode_picture", "is_film", "read_about"]

MARK = "a film of dynvision"
"""Stands in every file, so that a later call may replace it."""

_ABOUT = "Description"
"""The keyword of PNG for a text about the picture."""

_COLORS = (256, 128, 64, 32)

_SAMPLED = 9
"""Colours are chosen by one of so many pixels."""

_LAST_COLORS = 64
"""Colours of a picture that has fewer pixels in the end."""

_LESS = " Drawn with fewer colours or pixels than the frames have, so that the file is small."

_ATTEMPTS = ((60, 85), (60, 45), (40, 45), (24, 45), (16, 35), (8, 30))
"""The most frames of an animation and the quality of lossy ones, from the best on."""


def is_film(path: Path) -> bool:
    """Whether a file was written by this module."""
    try:
        return MARK.encode() in path.read_bytes()
    except OSError:
        return False


def is_whole_film(path: Path) -> bool:
    """Whether a file is a film strip that was written to its end."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return content.startswith(b"\x89PNG") and MARK.encode() in content and content[-8:-4] == b"IEND"


def write_film(path: Path, content: bytes) -> Path:
    """Write a film to a file; an earlier film is replaced.

    Returns:
        The path.

    Raises:
        FileExistsError: If there is a file that is no film of this project.
        DynvisionError: If its folder cannot be made.
        OSError: If it cannot be written.
    """
    if path.exists() and not is_film(path):
        raise FileExistsError(f"{path} is there already, and is no film of this project. Name another file.")
    make_directory(path.parent)
    write_bytes(path, content)
    return path


def encode_picture(picture: Image, form: str = "png", most_bytes: int = 50_000, about: str = "") -> bytes:
    """Encode a picture. If it takes too many bytes, it has fewer colours, and at last fewer pixels.

    Args:
        picture: The picture.
        form: `png` or `webp`.
        most_bytes: How many bytes it takes at most, if the last resort is enough.
        about: What is seen in it, which a PNG holds for those who do not see it; see `read_about`.
    """
    content = _encode_still(picture, form, about, is_quick=True)
    ratio = len(content) / most_bytes
    about += _LESS if about and ratio > 1 else ""
    # What is far from small enough would only lose time with many colours.
    for colors in _COLORS[(ratio > 2.3) + (ratio > 5) :]:
        if len(content) <= most_bytes:
            return content
        content = _encode_still(_reduce_colors(picture, colors), form, about)
    while len(content) > most_bytes and min(picture.size) > 64:
        scale = min(0.9, max(0.5, 0.95 * math.sqrt(most_bytes / len(content))))
        picture = picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))
        content = _encode_still(_reduce_colors(picture, _LAST_COLORS), form, about)
    return content


def read_about(path: Path) -> str:
    """Return what is seen in a PNG of `encode_picture`; empty if it does not say, or cannot be read."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return str(getattr(image, "text", {}).get(_ABOUT, ""))
    except (OSError, SyntaxError, ValueError):
        return ""


def encode_animation(animation: Animation, form: str = "webp", most_bytes: int = 300_000) -> bytes:
    """Encode an animation that loops. If it takes too many bytes, it is coarser or has fewer frames.

    Args:
        animation: The animation.
        form: `webp`, `gif` or `png` (APNG).
        most_bytes: How many bytes it takes at most, if the last resort is enough.
    """
    encode, content, per_frame = _FORMS[form], b"", 0.0
    for number, (most, quality) in enumerate(_ATTEMPTS):
        moments = choose_moments(animation.timeline, most)
        # Only the bytes of WebP depend on the quality.
        scale = 0.35 + 0.0076 * quality if form == "webp" else 1.0
        is_last = number == len(_ATTEMPTS) - 1
        if not is_last and per_frame * len(moments) * scale > 1.1 * most_bytes:
            continue  # By the last attempt, this one takes too many bytes, too.
        content = encode(list(animation.draw(moments)), moments, quality)
        if len(content) <= most_bytes:
            break
        per_frame = len(content) / len(moments) / scale
    return content


def _encode_still(picture: Image, form: str, about: str, is_quick: bool = False) -> bytes:
    buffer = io.BytesIO()
    if form == "webp":
        picture.convert("RGB").save(buffer, "webp", lossless=True, method=0 if is_quick else 4, xmp=MARK.encode())
    else:
        picture.save(buffer, "png", compress_level=4, pnginfo=_png_text(about))
    return buffer.getvalue()


def _reduce_colors(picture: Image, colors: int) -> Image:
    from PIL import Image

    if picture.mode != "RGB" or picture.getcolors(colors) is not None:  # It has so few that none is lost.
        return picture.quantize(colors, dither=Image.Dither.NONE)
    # A part of the pixels shows which colours there are, in a fraction of the time. They are drawn by lot, because
    # every third row and column of a grating may be the same stripe.
    pixels = np.asarray(picture).reshape(-1, 3)
    chosen = np.random.default_rng(0).integers(0, len(pixels), max(1, len(pixels) // _SAMPLED))
    palette = Image.fromarray(pixels[chosen][None]).quantize(colors, dither=Image.Dither.NONE)
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def _png_text(about: str = "") -> Any:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Software", MARK)
    if about:
        text.add_itxt(_ABOUT, about)
    return text


def _encode_webp(frames: Sequence[Image], moments: Sequence[Moment], quality: int) -> bytes:
    return _encode_frames(frames, moments, "webp", quality=quality, method=4, xmp=MARK.encode())


def _encode_gif(frames: Sequence[Image], moments: Sequence[Moment], quality: int) -> bytes:
    indexed = [_reduce_colors(frame, 128) for frame in frames]
    return _encode_frames(indexed, moments, "gif", comment=MARK.encode(), optimize=False)


def _encode_apng(frames: Sequence[Image], moments: Sequence[Moment], quality: int) -> bytes:
    return _encode_frames(frames, moments, "png", pnginfo=_png_text(), default_image=False)


def _encode_frames(frames: Sequence[Image], moments: Sequence[Moment], form: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    durations = [moment.milliseconds for moment in moments]
    frames[0].save(buffer, form, save_all=True, append_images=list(frames[1:]), duration=durations, loop=0, **settings)
    return buffer.getvalue()


_FORMS: dict[str, Callable[[Sequence[Image], Sequence[Moment], int], bytes]] = {
    "webp": _encode_webp,
    "gif": _encode_gif,
    "png": _encode_apng,
}
