"""Pages as HTML: one file with everything in it, which asks for nothing else and runs no script."""

from __future__ import annotations

import functools
import importlib.metadata
from pathlib import Path
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from dynvision.errors import ConfigError
from dynvision.reports.content import Page, Picture
from dynvision.reports.embedding import embed_image, embed_svg
from dynvision.system.escaping import show_text
from dynvision.system.files import write_bytes

__all__ = ["GENERATOR", "is_own_page", "render_page", "says_stale", "write_page"]

GENERATOR = '<meta name="generator" content="dynvision-assets'
"""What every page of this project holds near its beginning, and no page of a user's own."""

_STALE = b'<meta name="dynvision-state" content="stale">'

_HEAD = 4096


def render_page(page: Page) -> bytes:
    """Return a page as HTML. Every text in it is escaped."""
    return _template().render(page=page, program=f"dynvision-assets {_version()}").encode()


def write_page(page: Page, path: Path) -> None:
    """Write a page whole or not at all.

    Raises:
        ConfigError: If a file is in the way that this project did not write.
        OSError: If it cannot be written.
    """
    if not is_own_page(path):
        raise ConfigError(
            f"{path} was not written by this project, so it is not replaced. Rename it; then: dynvision report"
        )
    write_bytes(path, render_page(page))


def says_stale(path: Path) -> bool:
    """Tell whether a page says of itself that it was not up to date when it was written."""
    try:
        with path.open("rb") as file:
            return _STALE in file.read(_HEAD)
    except OSError:
        return False


def is_own_page(path: Path) -> bool:
    """Tell whether a page may be written to a path: nothing is there, or a page of this project."""
    try:
        with path.open("rb") as file:
            return GENERATOR.encode() in file.read(_HEAD)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return False


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dynvision.reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["embed"] = _embed
    environment.globals["style"] = Markup(environment.get_template("style.css").render())
    # Characters that no one can see, or that turn the direction of writing, stand as their escape sequence.
    environment.finalize = lambda value: show_text(value) if type(value) is str and "\n" not in value else value
    environment.filters["address"] = lambda text: quote(text, safe="/.#=+,_-")
    return environment.get_template("page.html.j2")


def _embed(picture: Picture, prefix: str) -> Markup:
    """Return a picture as elements of the page; its texts are escaped."""
    if picture.kind == "svg":
        return Markup(embed_svg(picture, prefix))
    return Markup('<img src="{}" alt="{}">').format(embed_image(picture), picture.alt)


@functools.cache
def _version() -> str:
    try:
        return importlib.metadata.version("dynvision-assets")
    except importlib.metadata.PackageNotFoundError:
        return ""
