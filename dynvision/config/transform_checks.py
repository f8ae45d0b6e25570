"""Checks of transform presets: what would standardize images twice, or paint them with numbers of another scale.

Images are in [0, 1] when they are augmented in training, and are standardized by `data_statistics` afterwards. Nothing
of torchvision is imported here: a transform is only read as text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from dynvision.config.schema import Config
from dynvision.errors import ConfigError

__all__ = ["check_transforms", "choose_preset"]


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
    for name, _, _ in _calls(texts):
        if name == "NormalizeImage":
            raise ConfigError(
                f"{where}: NormalizeImage would standardize the images twice: the loader does that by data_statistics. "
                "Leave it out."
            )


def _check_training(where: str, texts: list[str], dataset: str) -> None:
    for name, arguments, named in _calls(texts):
        if name == "Normalize":
            raise ConfigError(
                f"{where} has Normalize, which would standardize the images of '{dataset}' twice, and in training "
                "only: they are standardized by data_statistics wherever they are shown. Leave it out."
            )
        if name == "ToPILImage":
            raise ConfigError(f"{where} has ToPILImage, but training takes tensors. Leave it out.")
        for key in ("fill", "value"):
            if (number := _largest(named.get(key))) > 1:
                raise ConfigError(
                    f"{where} has {name}({key}={named[key]!r}), but images are in [0, 1] there: {number:g} is brighter "
                    f"than white. Write it as a share, as in {key}=0.5."
                )
        if name == "RandomSolarize":
            threshold = named.get("threshold", arguments[0] if arguments else None)
            if (number := _largest(threshold)) > 1:
                raise ConfigError(
                    f"{where} has {name} with a threshold of {number:g}, but images are in [0, 1] there, so that it "
                    "would change nothing. Write it as a share, as in threshold=0.5."
                )


def _calls(texts: list[str]) -> Iterator[tuple[str, list[Any], dict[str, Any]]]:
    """Yield the transforms that can be read; whoever makes a transform says what is wrong with the others."""
    for text in texts:
        try:
            yield _read_call(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue


def _read_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Read the name of a transform, its arguments, and those with names.

    Raises:
        ValueError: If the text has another form.
        SyntaxError: If it is no Python.
    """
    call = ast.parse(text.strip(), mode="eval").body
    if isinstance(call, ast.Name):
        return call.id, [], {}
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise ValueError("write it as Name(arguments)")
    arguments = [ast.literal_eval(a) for a in call.args]
    return call.func.id, arguments, {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}


def _largest(value: Any) -> float:
    """Return the largest number in an argument; 0 if there is none."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return max((_largest(one) for one in value), default=0.0)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
