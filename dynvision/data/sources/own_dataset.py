"""One split of a dataset that a user's class gives: its items checked one by one, and read as pixels and labels."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.data.images.converting import as_pixels, require_channels
from dynvision.data.sources.labels import check_names, number_classes, read_label
from dynvision.data.sources.split_arguments import accepted_names, choose_split_arguments
from dynvision.errors import ConfigError, DataError
from dynvision.system.imports import explain_import
from dynvision.system.progress import say

__all__ = ["OwnDataset", "open_own_dataset"]


@dataclass(frozen=True)
class OwnDataset:
    """One split of a dataset that the user wrote.

    Attributes:
        dataset: Gives (image, label) items.
        classes: The names of the classes, by index.
        where: Names it in errors.
        count: How many images it says it has.
        channels: The channels of `data_statistics`; `None` if there are none.
        bit_depth: The bits of images that have more than 8; `None` if the configuration does not say.
        finish: Called after the last image.
    """

    dataset: Any
    classes: list[str]
    where: str
    count: int
    channels: int | None = None
    bit_depth: int | None = None
    finish: Callable[[], None] | None = None

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        used, colours = set(), []
        for index in range(self.count):
            item = f"{self.where}: item {index}"
            image, given = _take(self.dataset, index, self.count, self.where)
            label = read_label(given, item)
            if label >= len(self.classes):
                raise DataError(f"{item} has the label {label}, and there are {len(self.classes)} classes")
            pixels = as_pixels(image, item, self.bit_depth)
            colours.append(pixels.ndim == 3)
            if self.channels is None and colours[-1] != colours[0]:
                raise DataError(
                    f"{item} is {'in colour' if colours[-1] else 'grey'}, and those before it are "
                    f"{'in colour' if colours[0] else 'grey'}. Give the dataset data_statistics with three means: "
                    "grey images then have three equal channels."
                )
            used.add(label)
            yield label, require_channels(pixels, self.channels, item)
        self._finish(used, any(colours))

    def _finish(self, used: set[int], has_colours: bool) -> None:
        """Say which classes are empty, and refuse what only all images together tell."""
        if self.channels == 3 and not has_colours:
            raise DataError(
                f"{self.where}: all {self.count} images are grey, and data_statistics has three means. Give one mean "
                "and one std; or let the class return three channels, if a network needs them."
            )
        empty = [index for index in range(len(self.classes)) if index not in used]
        if empty:
            names = ", ".join(f"{index} ({self.classes[index]})" for index in empty[:5])
            more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
            say(f"{self.where}: no image has the label {names}{more}; labels are counted from 0")
        if self.finish is not None:
            self.finish()


def open_own_dataset(
    class_path: str,
    arguments: dict[str, Any],
    folder: Path,
    split: str,
    where: str,
    *,
    split_args: Mapping[str, Mapping[str, Any]] | None = None,
    channels: int | None = None,
    bit_depth: int | None = None,
    finish: Callable[[], None] | None = None,
) -> OwnDataset:
    """Make a split of a dataset from its class.

    The class takes `split` ('train', 'test') or `train` (true, false), and `root` for the folder if it has such a
    parameter; see `choose_split_arguments`. Its items are (image, label): see `as_pixels` and `read_label`. Its
    attribute `classes`, if it has one, names the classes.

    Args:
        class_path: `module:Class`.
        arguments: Further arguments of the class.
        folder: The folder of its files.
        split: `train` or `test`.
        where: The file and key that name the class, for messages.
        split_args: The arguments of each split, if the user states them.
        channels: The channels of `data_statistics`, which the images have to have; `None` if there are none.
        bit_depth: The bits of images that have more than 8; `None` if the configuration does not say.
        finish: Called after the last image.

    Raises:
        ConfigError: If the class cannot be imported or made, or does not say which images are which split.
        DataError: If it has no images for the split, or its items are not images with labels.
    """
    try:
        cls = pkgutil.resolve_name(class_path)
    except Exception as error:
        raise ConfigError(f"{where}: cannot import '{class_path}': {explain_import(class_path, error)}") from error
    given = arguments | choose_split_arguments(cls, class_path, arguments, split_args, split, where)
    if "root" in accepted_names(cls, where):
        given["root"] = str(folder)
    try:
        dataset = cls(**given)
    except Exception as error:
        raise ConfigError(
            f"{where}: '{class_path}' cannot be made with {given}: {_say_error(error)}. If it names its splits "
            "otherwise, state them next to 'class': split_args: {train: {…}, test: {…}}."
        ) from error
    name = f"{class_path} ({split})"
    count = _count(dataset, f"{where}: '{class_path}'", split)
    return OwnDataset(dataset, _name_classes(dataset, count, name), name, count, channels, bit_depth, finish)


def _count(dataset: Any, about: str, split: str) -> int:
    try:
        count = len(dataset)
    except Exception as error:
        raise DataError(
            f"{about} has no images for the split '{split}' that can be counted: {_say_error(error)}. "
            "Give it __len__ and __getitem__."
        ) from error
    if count == 0:
        raise DataError(f"{about} has no images for the split '{split}'")
    return count


def _name_classes(dataset: Any, count: int, where: str) -> list[str]:
    names = getattr(dataset, "classes", None)
    if names is not None and not callable(names):
        return check_names(names, where)
    targets: Any = getattr(dataset, "targets", None)
    if hasattr(targets, "__len__") and hasattr(targets, "__getitem__") and not isinstance(targets, (str, dict)):
        is_column = tuple(getattr(targets, "shape", ()))[1:] == (1,)
        targets = targets.reshape(-1) if is_column else targets
        values = targets.tolist() if hasattr(targets, "tolist") else list(targets)
        if values:
            return number_classes(((f"{where}: targets: item {n}", v) for n, v in enumerate(values)), count, where)
    labels = ((f"{where}: item {n}", _take(dataset, n, count, where)[1]) for n in range(count))
    return number_classes(labels, count, where)


def _take(dataset: Any, index: int, count: int, where: str) -> tuple[Any, Any]:
    """Take an item, which is an image and its label."""
    try:
        item = dataset[index]
    except IndexError as error:
        raise DataError(
            f"{where}: it says that it has {count} items, but item {index} does not exist: {_say_error(error)}"
        ) from error
    except Exception as error:
        raise DataError(f"{where}: item {index} cannot be read: {_say_error(error)}") from error
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        length = f" of {len(item)}" if isinstance(item, (tuple, list)) else ""
        raise DataError(f"{where}: item {index} is not an (image, label) pair: {type(item).__name__}{length}")
    return item[0], item[1]


def _say_error(error: Exception) -> str:
    """Return the name and the text of an error, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ").removesuffix(".")
