"""In which order the outputs of a network that was trained elsewhere stand for the classes of its dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynvision.config.sections.models import IMAGE_FOLDER
from dynvision.errors import ConfigError, unknown_name
from dynvision.system.files import read_file

__all__ = ["order_classes", "read_class_order"]

ClassEntry = Mapping[str, Any]


def read_class_order(given: str | Sequence[int | str], root: Path) -> str | list[int | str]:
    """Read an order of classes.

    Args:
        given: `imagefolder`; a file with one class a line; or the classes themselves.
        root: What the path of a file is relative to.

    Returns:
        `imagefolder`, or a class for each output.

    Raises:
        ConfigError: If the file cannot be read.
    """
    if not isinstance(given, str):
        return list(given)
    if given == IMAGE_FOLDER:
        return given
    path = root / Path(given).expanduser()  # An absolute path stays as it is.
    try:
        lines = read_file(path).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"config_models.yaml: the file of class_order {path} cannot be read ({error}). Write one class a line, in "
            f"the order of the outputs, or '{IMAGE_FOLDER}', or a list."
        ) from error
    return [line.strip() for line in lines if line.strip()]


def order_classes(
    classes: Sequence[ClassEntry], order: str | Sequence[int | str] | None, where: str
) -> list[dict[str, Any]]:
    """Put classes into the order of a network's outputs.

    Args:
        classes: The classes of the outputs (`index`, `name`, `folder`, …), in the dataset's own order.
        order: `imagefolder` is that of their folders' names as text, which torchvision's `ImageFolder` has: 0, 1, 10,
            2. Otherwise a class for each output: a whole number is its index, a text its name, folder or index. `None`
            keeps the order.
        where: The model and dataset, for messages.

    Raises:
        ConfigError: If it names not each class once.
    """
    if order is None:
        return [dict(entry) for entry in classes]
    if order == IMAGE_FOLDER:
        return [dict(entry) for entry in sorted(classes, key=lambda entry: str(entry["folder"]))]
    if len(order) != len(classes):
        raise ConfigError(
            f"{where}: class_order names {len(order)} classes, but the network has {len(classes)} outputs. Name the "
            "class of each output in config_models.yaml."
        )
    ordered = [_find(classes, name, where) for name in order]
    for position, entry in enumerate(ordered):
        if entry in ordered[:position]:
            raise ConfigError(
                f"{where}: class_order names the class '{entry['name']}' twice, as outputs {ordered.index(entry)} and "
                f"{position}. Name each class once in config_models.yaml."
            )
    return ordered


def _find(classes: Sequence[ClassEntry], name: int | str, where: str) -> dict[str, Any]:
    """Find a class by its index, or by the text of its name, folder or index."""
    for key in ("index",) if isinstance(name, int) else ("name", "folder", "index"):
        for entry in classes:
            if (entry[key] if isinstance(name, int) else str(entry[key])) == name:
                return dict(entry)
    known = [entry["index"] if isinstance(name, int) else entry["name"] for entry in classes]
    raise unknown_name("class", name, known, f"{where}: class_order in config_models.yaml")
