"""Checks of transform presets: what would standardize images twice, or paint them with numbers of another scale.

Images are in [0, 1] when they are augmented in training, and are standardized by `data_statistics` afterwards. Nothing
of torchvision is imported here: a transform is only read as text.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from dynvision.config.schema import Config
from dynvision.config.values.transform_calls import TransformCall, parse_call
from dynvision.errors import ConfigError

__all__ = ["check_transforms", "choose_preset"]

_FILLS = {
    **{"RandomZoomOut": 0, "Pad": 1, "AutoAugment": 2, "TrivialAugmentWide": 2, "ElasticTransform": 3},
    **{"RandomCrop": 3, "RandomPerspective": 3, "RandAugment": 4, "RandomRotation": 4, "RandomAffine": 5, "AugMix": 6},
}
"""The position of the argument `fill` of each transform of torchvision that has one."""

_VALUES = {"RandomErasing": 3}
"""The same for `value`."""


def choose_preset(presets: dict[str, list[str]], name: str, dataset: str) -> str:
    """Return the preset that a dataset is trained with: its own variant of a preset, if there is one."""
    own = f"{name}_{dataset}"
    return own if own in presets else name


def check_transforms(config: Config) -> None:
    """Check the presets of training, and those of FFCV.

    Raises:
        ConfigError: If one standardizes images that are standardized anyway, fills with a number above 1, or is not for
            tensors; the message names file, key and transform.
    """
    presets = config.data.transform_presets
    for name, texts in presets.items():
        if name.startswith("ffcv"):
            _check_ffcv(f"{config.folder / 'config_data.yaml'}: transform_presets.{name}", texts)
    for name, model in config.models.items():
        if model.training is None:
            continue
        for dataset in config.datasets:
            chosen = model.training.for_dataset(dataset).transform
            if chosen is None:
                continue
            preset = choose_preset(presets, chosen, dataset)
            where = f"{config.folder / 'config_models.yaml'}: models.{name}.training.transform"
            if preset.startswith("ffcv"):
                raise ConfigError(
                    f"{where}: '{preset}' holds operations of FFCV, and training takes transforms of torchvision. Name "
                    "a preset that does not begin with 'ffcv'."
                )
            _check_training(f"{where}: the preset '{preset}' (config_data.yaml)", presets.get(preset, []), dataset)


def _check_ffcv(where: str, texts: list[str]) -> None:
    for call in _calls(texts):
        if call.name == "NormalizeImage":
            raise ConfigError(
                f"{where}: NormalizeImage would standardize the images twice: the loader does that by data_statistics. "
                "Leave it out."
            )


def _check_training(where: str, texts: list[str], dataset: str) -> None:
    for call in _calls(texts):
        name, arguments, named = call.name, call.arguments, call.named
        if name == "Normalize":
            raise ConfigError(
                f"{where} has Normalize, which would standardize the images of '{dataset}' twice, and in training "
                "only: they are standardized by data_statistics wherever they are shown. Leave it out."
            )
        if name == "ToPILImage":
            raise ConfigError(f"{where} has ToPILImage, but training takes tensors. Leave it out.")
        for key, place in (("fill", _FILLS.get(name)), ("value", _VALUES.get(name))):
            value = named.get(key, arguments[place] if place is not None and place < len(arguments) else None)
            if (number := _largest(value)) > 1:
                raise ConfigError(
                    f"{where} has {name}({key}={value!r}), but images are in [0, 1] there: {number:g} is brighter "
                    f"than white. Write it as a share, as in {key}=0.5."
                )
        if name == "RandomSolarize":
            threshold = named.get("threshold", arguments[0] if arguments else None)
            if (number := _largest(threshold)) > 1:
                raise ConfigError(
                    f"{where} has {name} with a threshold of {number:g}, but images are in [0, 1] there, so that it "
                    "would change nothing. Write it as a share, as in threshold=0.5."
                )


def _calls(texts: list[str]) -> Iterator[TransformCall]:
    """Yield the transforms that can be read; whoever makes a transform says what is wrong with the others."""
    for text in texts:
        with contextlib.suppress(ValueError):
            yield parse_call(text)


def _largest(value: Any) -> float:
    """Return the largest number in an argument; 0 if there is none."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return max((_largest(one) for one in value), default=0.0)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
