"""Transforms from the presets of the config file, and the maps between label spaces."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from dynvision.config import Config, load_config
from dynvision.config.values.transform_calls import parse_call
from dynvision.errors import ConfigError, UnknownNameError, unknown_name

__all__ = ["TargetTransform", "get_data_transform", "get_target_transform", "parse_transform"]


def get_data_transform(
    presets: str | Sequence[str],
    data_name: str | None = None,
    *,
    config: Config | None = None,
    tensors: bool = False,
) -> Callable[[Any], Any] | list[Any]:
    """Make the transform of one or several presets of `transform_presets`.

    A preset is a list of `Name(arguments)` strings. The names are those of torchvision.transforms.v2, or of
    ffcv.transforms in presets that begin with `ffcv`.

    Args:
        presets: The name of the preset, or several that are applied one after the other.
        data_name: A dataset. Its own variant of a preset (`train_mnist` for `train`) replaces the general one, and the
            preset with the dataset's name is applied last.
        config: The configuration; by default that of the current folder.
        tensors: Whether the images are float tensors already, so that no PIL image is converted.

    Returns:
        A callable on images; for `ffcv…` presets the list of operations of an FFCV pipeline.

    Raises:
        UnknownNameError: If a preset or transform does not exist; the message names the nearest.
        ConfigError: If the text or the arguments of a transform are wrong.
    """
    config = config or load_config()
    valid = config.data.transform_presets
    names = _choose_presets([presets] if isinstance(presets, str) else list(presets), data_name, valid)
    is_ffcv = any(name.startswith("ffcv") for name in names)
    if is_ffcv and not all(name.startswith("ffcv") for name in names):
        raise ConfigError(f"presets of FFCV and of torchvision cannot be put together: {', '.join(names)}")
    where = config.folder / "config_data.yaml"
    library = _library(is_ffcv)
    steps = [parse_transform(text, library, f"{where}: transform_presets.{n}") for n in names for text in valid[n]]
    if is_ffcv:
        return steps
    import torch
    from torchvision.transforms import v2

    if sum(isinstance(step, v2.Normalize) for step in steps) > 1:
        raise ConfigError(
            f"{where}: transform_presets: {', '.join(names)} together standardize images twice. Leave Normalize out of "
            "all but one of them."
        )
    first = [] if tensors else [turn_upright, v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    composed: Callable[[Any], Any] = v2.Compose([*first, *steps]) if first or steps else v2.Identity()
    return composed


def turn_upright(image: Any) -> Any:
    """Turn a PIL image as its EXIF orientation says, as everywhere else; torchvision does not look at it."""
    if not hasattr(image, "getexif"):
        return image
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _choose_presets(names: list[str], data_name: str | None, valid: Mapping[str, list[str]]) -> list[str]:
    """Replace presets by the dataset's own variants, and add the preset with the dataset's name."""
    if not names:
        raise ConfigError("no transform preset is named; name one, such as 'train'")
    if data_name is not None:
        names = [f"{name}_{data_name}" if f"{name}_{data_name}" in valid else name for name in names]
        if data_name in valid and data_name not in names and not names[0].startswith("ffcv"):
            names = [*names, data_name]
    for name in names:
        if name not in valid:
            raise unknown_name("transform preset", name, valid)
    return names


def parse_transform(text: str, library: ModuleType, where: str = "") -> Any:
    """Make a transform from text such as `RandomCrop(32, padding=4)`. Arguments are literals; nothing is evaluated.

    Args:
        text: The text.
        library: The module that has the transform.
        where: The file and key of the text, for the message.

    Raises:
        UnknownNameError: If the module has no such transform; the message names the nearest.
        ConfigError: If the text or the arguments are wrong.
    """
    try:
        call = parse_call(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    transforms = {n: cls for n, cls in vars(library).items() if inspect.isclass(cls) and not n.startswith("_")}
    if call.name not in transforms:
        raise unknown_name("transform", call.name, transforms, where)
    try:
        return transforms[call.name](*call.arguments, **call.named)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RuntimeError, AssertionError) as error:
        raise ConfigError(f"{where}: '{text}' does not take these arguments: {error}") from error


class TargetTransform:
    """Maps a label in the dataset's own order to its label within a group.

    Attributes:
        classes: The class indices of the group, in the order of its labels.
        name: The full name of the group, for messages.
    """

    def __init__(self, classes: Sequence[int], name: str) -> None:
        self.classes, self.name = list(classes), name
        self._group_labels = {index: label for label, index in enumerate(self.classes)}

    def __call__(self, label: int) -> int:
        """Map a label in the dataset's own order to the label within the group.

        Raises:
            ValueError: If the label is not in the group.
        """
        if label != int(label) or int(label) not in self._group_labels:
            raise ValueError(f"label {label} is not in the group '{self.name}', whose classes are {self.classes}")
        return self._group_labels[int(label)]

    def inverse(self, label: int) -> int:
        """Map a label within the group to the label in the dataset's own order.

        Raises:
            ValueError: If the group has no such label.
        """
        if label != int(label) or not 0 <= int(label) < len(self.classes):
            raise ValueError(f"'{self.name}' has the labels 0 to {len(self.classes) - 1}, not {label}")
        return self.classes[int(label)]


def get_target_transform(name: str, *, config: Config | None = None) -> TargetTransform:
    """Make the map of a group's labels: `cifar100_invertebrates` maps 6, 7, 14 … to 0, 1, 2 ….

    Args:
        name: `<dataset>_<group>`.
        config: The configuration; by default that of the current folder.

    Raises:
        UnknownNameError: If there is no such dataset or group; the message names the nearest.
    """
    config = config or load_config()
    for dataset in sorted(config.datasets, key=len, reverse=True):
        if name.startswith(f"{dataset}_"):
            group = name.removeprefix(f"{dataset}_")
            groups = config.data.groups(dataset)
            if group not in groups:
                raise unknown_name("class group", group, groups, dataset)
            classes = groups[group]
            count = config.class_count(dataset)
            if classes is None and count is None:
                raise UnknownNameError(f"the classes of '{dataset}' are its folders; name one of its groups instead")
            return TargetTransform(classes if classes is not None else range(int(count or 0)), name)
    known = [f"{d}_{g}" for d in config.datasets for g in config.data.groups(d)]
    raise unknown_name("target transform", name, known)


def _library(is_ffcv: bool) -> ModuleType:
    if not is_ffcv:
        return importlib.import_module("torchvision.transforms.v2")
    from dynvision.data.betons.spec import require_ffcv

    require_ffcv()
    import torch

    threads = torch.get_num_threads()
    library = importlib.import_module("ffcv.transforms")
    torch.set_num_threads(threads)
    return library
