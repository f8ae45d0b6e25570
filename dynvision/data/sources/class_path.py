"""Datasets that are given as a class by import path; their images are exported like those of an archive."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.config.data import DataSource
from dynvision.data.sources.base import ExportedSource
from dynvision.errors import ConfigError, DataError
from dynvision.system.source_code import digest_source

__all__ = ["ImportedClass", "OwnDataset", "open_own_dataset"]


class ImportedClass(ExportedSource):
    """The class that `data_sources.<dataset>.class` names."""

    def settings(self, split: str) -> dict[str, Any]:
        """Return the class, its arguments, a digest of its source files, and the channels."""
        given = self._given
        return {
            "class": given.class_path,
            "args": given.args,
            "source": digest_source(str(given.class_path), given.args),
            "channels": self.channels,
        }

    def open(self, split: str) -> OwnDataset:
        """Make the dataset of a split. Its files are in `data/external/<dataset>` or `data/raw/<dataset>`."""
        bases = [self.paths.external(self.dataset), self.paths.raw(self.dataset)]
        folder = next((base for base in bases if base.is_dir()), bases[0])
        where = f"{self.config.folder / 'config_data.yaml'}: data_sources.{self.dataset}.class"
        return open_own_dataset(str(self._given.class_path), self._given.args, folder, split, where)

    @property
    def _given(self) -> DataSource:
        return self.config.data.data_sources[self.dataset]


@dataclass(frozen=True)
class OwnDataset:
    """One split of a dataset that the user wrote.

    Attributes:
        dataset: Gives (image, label) items.
        classes: The names of the classes, by index.
        where: Names it in errors.
    """

    dataset: Any
    classes: list[str]
    where: str

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        for index in range(len(self.dataset)):
            image, label = _take(self.dataset, index, self.where)
            if not 0 <= label < len(self.classes):
                raise DataError(
                    f"{self.where}: item {index} has the label {label}, and there are {len(self.classes)} classes"
                )
            yield label, _as_pixels(image, f"{self.where}: item {index}")


def open_own_dataset(class_path: str, arguments: dict[str, Any], folder: Path, split: str, where: str) -> OwnDataset:
    """Make a split of a dataset from its class.

    The class takes `split` ('train', 'test') or `train` (true, false), and `root` for the folder if it has such a
    parameter. Its items are (image, label): a PIL image, an array `[H, W]` or `[H, W, 3]`, or a tensor `[C, H, W]`,
    with 8 bits or in [0, 1]. Labels are indices from 0. Its attribute `classes`, if it has one, names the classes.

    Args:
        class_path: `module:Class`.
        arguments: Further arguments of the class.
        folder: The folder of its files.
        split: `train` or `test`.
        where: The file and key that name the class, for messages.

    Raises:
        ConfigError: If the class cannot be imported or made, or does not say which images are which split.
        DataError: If it has no images for the split, or its items are not images with labels.
    """
    try:
        cls = pkgutil.resolve_name(class_path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{where}: cannot import '{class_path}': {error}. Write it as module:Class.") from error
    given = _choose_arguments(cls, class_path, split, where) | arguments
    if "root" in inspect.signature(cls).parameters:
        given["root"] = str(folder)
    try:
        dataset = cls(**given)
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        raise ConfigError(f"{where}: '{class_path}' cannot be made with {given}: {error}") from error
    if not hasattr(dataset, "__len__") or len(dataset) == 0:
        raise DataError(f"{where}: '{class_path}' has no images for the split '{split}'")
    return OwnDataset(dataset, _name_classes(dataset, where), f"{class_path} ({split})")


def _choose_arguments(cls: Any, class_path: str, split: str, where: str) -> dict[str, Any]:
    """The argument with which a class takes the split."""
    parameters = inspect.signature(cls).parameters
    if "split" in parameters:
        return {"split": split}
    if "train" in parameters:
        return {"train": split == "train"}
    raise ConfigError(
        f"{where}: '{class_path}' takes neither 'split' nor 'train', so it cannot say which images are for testing. "
        "Give its __init__ one of them."
    )


def _name_classes(dataset: Any, where: str) -> list[str]:
    names = getattr(dataset, "classes", None)
    if names is not None:
        return [str(name) for name in names]
    targets = getattr(dataset, "targets", None)
    if targets is None:
        targets = [_take(dataset, index, where)[1] for index in range(len(dataset))]
    return [str(index) for index in range(int(max(targets)) + 1)]


def _take(dataset: Any, index: int, where: str) -> tuple[Any, int]:
    item = dataset[index]
    try:
        image, label = item
        return image, int(label)
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: item {index} is not an (image, label) pair: {type(item).__name__}") from error


def _as_pixels(image: Any, where: str) -> npt.NDArray[np.uint8]:
    """Convert an image to `[H, W]` or `[H, W, 3]`, uint8."""
    if hasattr(image, "convert"):  # PIL
        return np.asarray(image.convert("L" if image.mode in ("L", "1") else "RGB"))
    is_tensor = hasattr(image, "numpy")
    pixels = np.asarray(image.numpy() if is_tensor else image)
    if is_tensor and pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.dtype != np.uint8:
        if not np.issubdtype(pixels.dtype, np.floating) or pixels.min() < 0 or pixels.max() > 1:
            raise DataError(
                f"{where}: an image of type {pixels.dtype} from {pixels.min()} to {pixels.max()}; images have 8 "
                "bits, or numbers in [0, 1]. Leave out transforms that standardize: data_statistics does that."
            )
        pixels = np.round(pixels * 255).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise DataError(f"{where}: an image of shape {pixels.shape}; images are [H, W] or [H, W, 3], tensors [C, H, W]")
    return np.ascontiguousarray(pixels)
