"""Pictures as a part of a page: SVG as elements, with its text as text, and images as data."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

from dynvision.reports.content import Picture

__all__ = ["TYPES", "embed_image", "embed_svg"]

TYPES = {
    "png": "image/png",
    "apng": "image/apng",
    "webp": "image/webp",
    "gif": "image/gif",
    "jpg": "image/jpeg",
}
"""The type of each kind of image."""

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_DRAWN = frozenset(
    {
        *("svg", "g", "path", "defs", "clipPath", "use", "rect", "text", "tspan", "image", "line", "circle", "ellipse"),
        *("polygon", "polyline", "linearGradient", "radialGradient", "stop", "pattern"),
    }
)
"""The elements that draw; whatever else is in a file is left out, scripts above all."""

_LOCAL = re.compile(r"url\(\s*#([^)\s]+)\s*\)")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_COORDINATES = ("d", "points", "x", "y")


def embed_image(picture: Picture) -> str:
    """Return an image as an address that holds its bytes."""
    return f"data:{TYPES[picture.kind]};base64,{base64.b64encode(picture.content).decode()}"


def embed_svg(picture: Picture, prefix: str) -> str:
    """Return an SVG as an element of a page, with what is seen in it as its title.

    Only elements that draw are kept, and only references within the picture. Coordinates are rounded to a hundredth of
    a point.

    Args:
        picture: The picture.
        prefix: Begins the names of all its parts, so that those of two pictures of a page differ.

    Raises:
        ValueError: If it is no SVG.
    """
    try:
        root = ElementTree.fromstring(picture.content)
    except ElementTree.ParseError as error:
        raise ValueError(f"it is no SVG: {error}") from error
    if root.tag != f"{{{_SVG}}}svg":
        raise ValueError("it is no SVG: its first element is another one")
    _keep_drawing(root)
    used = {name for element in root.iter() for value in element.attrib.values() for name in _names_in(value)}
    for element in root.iter():
        _rewrite(element, prefix, used)
    width, height = (_read_length(root.attrib.pop(name, "")) for name in ("width", "height"))
    if "viewBox" not in root.attrib and width and height:
        root.set("viewBox", f"0 0 {width:g} {height:g}")
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title")
    if width:
        root.set("style", f"{root.get('style', '')};width:{width * 4 / 3:.0f}px".lstrip(";"))
    title = ElementTree.Element(f"{{{_SVG}}}title", {"id": f"{prefix}-title"})
    title.text = picture.alt
    root.insert(0, title)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK[1:].partition("}")[0])
    return ElementTree.tostring(root, encoding="unicode")


def _keep_drawing(root: ElementTree.Element) -> None:
    """Leave out every element that does not draw. A style for all elements becomes that of the picture."""
    for parent in list(root.iter()):
        for child in list(parent):
            name = child.tag.removeprefix(f"{{{_SVG}}}") if isinstance(child.tag, str) else ""
            if name == "style":
                rules = re.fullmatch(r"\s*\*\s*\{([^{}]*)\}\s*", child.text or "")
                if rules and "url" not in rules[1]:
                    root.set("style", ";".join(filter(None, [root.get("style", ""), rules[1].strip()])))
            if name not in _DRAWN:
                parent.remove(child)


def _rewrite(element: ElementTree.Element, prefix: str, used: set[str]) -> None:
    for name, value in list(element.attrib.items()):
        if name.lower().startswith("on"):
            del element.attrib[name]
        elif name in (_XLINK, "href"):
            del element.attrib[name]
            if value.startswith("#"):
                element.set("href", f"#{prefix}-{value[1:]}")
            elif value.startswith("data:image/png;base64,"):
                element.set("href", value)
        elif name == "id":
            if value in used:
                element.set("id", f"{prefix}-{value}")
            else:
                del element.attrib["id"]
        elif "url(" in value:
            local = _LOCAL.sub(lambda m: f"url(#{prefix}-{m[1]})", value)
            # What remains refers to something outside of the picture.
            element.set(name, local if local.count("url(") == len(_LOCAL.findall(value)) else "")
        elif name in _COORDINATES:
            element.set(name, _LONG_NUMBER.sub(lambda m: f"{float(m[0]):.2f}", value))


def _names_in(value: str) -> list[str]:
    return [value[1:]] if value.startswith("#") else _LOCAL.findall(value)


def _read_length(text: str) -> float:
    """Return a length in points; 0 if it is none."""
    found = re.fullmatch(r"\s*([\d.]+)\s*(pt)?\s*", text)
    return float(found[1]) if found else 0.0
