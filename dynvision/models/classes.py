"""The classes of a network's outputs: those of the dataset it belongs to, its own, or none that are known."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynvision.config.sections.models import IMAGENET
from dynvision.config.values.names import repeats
from dynvision.errors import ConfigError
from dynvision.system.files import read_file

__all__ = ["NUMBERED", "OutputClasses", "name_outputs", "read_own_classes"]

NUMBERED = "numbers"
"""Where the classes of a network come from whose outputs nothing names: they are numbered."""

ClassEntry = Mapping[str, Any]


@dataclass(frozen=True)
class OutputClasses:
    """What the outputs of a network stand for.

    Attributes:
        entries: For each output `index`, `name` and `folder`.
        source: `imagenet`, the file, `list` or `NUMBERED`, if the classes are the network's own; `None` if they are
            those of its dataset.
    """

    entries: list[dict[str, Any]]
    source: str | None = None

    def to_details(self) -> dict[str, Any]:
        """Return what a record says of the classes. Output k is the dataset's class k only without `own_classes`."""
        own = {} if self.source is None else {"own_classes": True, "classes_from": self.source}
        return {"classes": self.entries, **own}


def name_outputs(
    outputs: int,
    own: tuple[str, Sequence[str]] | None,
    group: Sequence[ClassEntry],
    dataset: Sequence[ClassEntry],
    where: str,
) -> OutputClasses:
    """Say what the outputs of a network that is not trained here stand for.

    Args:
        outputs: The number of outputs.
        own: The network's own classes and where they come from, if the configuration names them.
        group: The classes of the group that the network belongs to, in order.
        dataset: All classes of the dataset, in order.
        where: The model and dataset, for the message.

    Returns:
        The network's own classes; or those of the group, or else of the dataset, if they are as many as the outputs;
        or numbers.

    Raises:
        ConfigError: If the configuration names another number of classes than there are outputs.
    """
    if own is not None:
        source, names = own
        if len(names) != outputs:
            raise ConfigError(
                f"{where}: the network has {outputs} outputs, but its 'classes' ({source}) are {len(names)}. Change "
                "'classes' in config_models.yaml, or the network's own argument for its number of classes."
            )
        return OutputClasses(_number(names), source)
    for classes in (group, dataset):
        if classes and len(classes) == outputs:
            return OutputClasses([dict(entry) for entry in classes])
    return OutputClasses(_number([str(index) for index in range(outputs)]), NUMBERED)


def read_own_classes(classes: str | Sequence[str], root: Path) -> tuple[str, list[str]]:
    """Read the names of a network's own classes.

    Args:
        classes: `imagenet`; a file; or the names themselves.
        root: What the path of a file is relative to.

    Returns:
        Where they come from, and the name of each output.

    Raises:
        ConfigError: If the file cannot be read, or names a class twice or none.
    """
    if not isinstance(classes, str):
        return "list", list(classes)
    if classes == IMAGENET:
        from torchvision.models import ResNet18_Weights

        return IMAGENET, list(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
    path = root / Path(classes).expanduser()  # An absolute path stays as it is.
    where = f"config_models.yaml: the file of classes {path}"
    try:
        names = _read_names(path, read_file(path).decode("utf-8-sig"))
    except (OSError, ValueError, LookupError, RecursionError) as error:
        raise ConfigError(
            f"{where} cannot be read ({error}). Write one name a line, in the order of the outputs; a JSON file is a "
            "list of names, and a CSV file has them in its column 'name', or in its only one."
        ) from error
    if not names or not all(names):
        raise ConfigError(f"{where} has {'an empty name' if names else 'no name'}. Write one name for each output.")
    if twice := repeats(names):
        raise ConfigError(f"{where} has the name '{twice[0]}' twice. Give each class a name of its own.")
    return classes, names


def _number(names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"index": index, "name": name, "folder": name} for index, name in enumerate(names)]


def _read_names(path: Path, text: str) -> list[str]:
    """Read the names in a file by its suffix; what is neither JSON nor CSV has one a line."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _read_json(json.loads(text))
    if suffix in (".csv", ".tsv"):
        rows = [row for row in csv.reader(io.StringIO(text), delimiter="\t" if suffix == ".tsv" else ",") if row]
        header = [field.strip().lower() for field in rows[0]]
        if "name" in header:
            column = header.index("name")
            return [row[column].strip() for row in _in_order(header, rows[1:])]
        if any(len(row) > 1 for row in rows):
            raise ValueError("it has several columns, and none is called 'name'")
        return [row[0].strip() for row in rows]
    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.strip() for line in lines]


def _in_order(header: Sequence[str], rows: list[list[str]]) -> list[list[str]]:
    """Sort rows by their column `index`, if there is one."""
    if "index" not in header:
        return rows
    numbers = [int(row[header.index("index")]) for row in rows]
    _check_numbers(numbers)
    return [row for _, row in sorted(zip(numbers, rows, strict=True), key=lambda pair: pair[0])]


def _read_json(content: Any) -> list[str]:
    """Read a list of names, or a mapping of each index to a name or to `[folder, name]`."""
    if isinstance(content, dict):
        numbers = [int(key) for key in content]
        _check_numbers(numbers)
        content = [content[key] for _, key in sorted(zip(numbers, content, strict=True))]
    if not isinstance(content, list):
        raise ValueError("it is no list of names")
    names = [entry[1] if isinstance(entry, list) and len(entry) == 2 else entry for entry in content]
    if not all(isinstance(name, str | int) for name in names):
        raise ValueError("an entry is no name")
    return [str(name).strip() for name in names]


def _check_numbers(numbers: Sequence[int]) -> None:
    if sorted(numbers) != list(range(len(numbers))):
        raise ValueError(f"its indices are not those from 0 to {len(numbers) - 1}, each once")
