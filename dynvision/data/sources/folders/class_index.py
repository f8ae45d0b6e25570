"""The class index file of a dataset: which folder and which name each class index stands for."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynvision.data.sources.folders.class_names import join_names
from dynvision.errors import ConfigError
from dynvision.system.files import read_file

__all__ = ["LARGEST_INDEX", "name_apart", "read_class_index"]

LARGEST_INDEX = 2**31 - 1
"""Labels are stored as integers of 32 bits or more."""


def read_class_index(path: Path, where: str, text: str | None = None) -> dict[int, tuple[str, str]]:
    """Read the folder and the name of each class.

    Args:
        path: A JSON file that maps each index to `[folder, name]`.
        where: The file and key that name it, for messages.
        text: What was read of the file before; `None` reads it.

    Raises:
        ConfigError: If the file cannot be read, or an index, a folder or an entry in it is not usable.
    """
    try:
        content = json.loads(read_file(path).decode() if text is None else text, object_pairs_hook=_Pairs)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: cannot read {path} ({error}). It maps each index to [folder, name].") from error
    if not isinstance(content, _Pairs) or not content:
        raise ConfigError(f"{where}: cannot read {path} (it lists no class). It maps each index to [folder, name].")
    classes: dict[int, tuple[str, str]] = {}
    for key, entry in content:
        index = _read_index(key, f"{where}: {path}")
        if index in classes:
            raise ConfigError(f"{where}: {path}: the index {index} stands there twice. Give each class an own index.")
        classes[index] = _read_entry(entry, f"{where}: {path}: index {index}")
    counts = Counter(folder for folder, _ in classes.values())
    twice = [folder for folder, count in counts.items() if count > 1]
    if twice:
        indices = [index for index, (folder, _) in classes.items() if folder == twice[0]]
        raise ConfigError(
            f"{where}: {path}: the folder '{join_names(twice[:1])}' has the indices {', '.join(map(str, indices))}. "
            "A folder is one class: keep one of them."
        )
    return classes


def name_apart(classes: Mapping[str, str]) -> dict[str, str]:
    """Give classes of the same name different ones, by adding the folder: `crane (n02012849)`.

    Args:
        classes: The name of each class, by its folder.

    Returns:
        The name of each class by its folder. A name that stands once is unchanged.
    """
    counts = Counter(classes.values())
    return {folder: name if counts[name] == 1 else f"{name} ({folder})" for folder, name in classes.items()}


class _Pairs(list[tuple[str, Any]]):
    """The entries of a JSON object, a key that stands twice among them."""


def _read_index(key: str, where: str) -> int:
    index = int(key) if re.fullmatch(r"[0-9]{1,10}", key) else -1
    if not 0 <= index <= LARGEST_INDEX:
        raise ConfigError(f"{where}: '{join_names([key])}' is no class index: it is a whole number from 0 on")
    return index


def _read_entry(entry: Any, where: str) -> tuple[str, str]:
    is_pair = isinstance(entry, list) and not isinstance(entry, _Pairs) and len(entry) >= 2
    if is_pair and all(isinstance(part, str | int) and not isinstance(part, bool) and str(part) for part in entry[:2]):
        return str(entry[0]), str(entry[1])
    raise ConfigError(f'{where}: the entry is not [folder, name], for example ["n01440764", "tench"]')
