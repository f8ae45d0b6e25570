"""Two small configurations, and functions that edit them.

`write_small_config` shrinks the project's own configuration, so tests of the library cover what is shipped: its
comments, presets, datasets and experiments. `CONFIG` is a text of its own. Tests of the assets list every key, edge
and target of the graph and edit single values as text, so they need few subjects and each value written once. The
shipped configuration, made small, still has 31 assets instead of 12, and each of those tests loads all of them.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml

PROJECT_CONFIG = Path(__file__).resolve().parent.parent.parent / "config"


def edit_yaml(path: Path, change: Any) -> None:
    """Read a YAML file, let `change` alter its content in place, and write it back."""
    path.write_text(_edit_text(path.read_text(), change))


def _edit_text(text: str, change: Any) -> str:
    content = yaml.safe_load(text)
    change(content)
    return yaml.safe_dump(content, sort_keys=False)


def set_at(keys: str, value: Any) -> Any:
    """A change that sets the value at a dotted key path."""

    def change(content: dict[str, Any]) -> None:
        *parents, last = keys.split(".")
        for part in parents:
            content = content[part]
        content[last] = value

    return change


def remove_at(keys: str) -> Any:
    """A change that removes the key at a dotted key path."""

    def change(content: dict[str, Any]) -> None:
        *parents, last = keys.split(".")
        for part in parents:
            content = content[part]
        del content[last]

    return change


def write_small_config(folder: Path, *, with_normalizing: bool = False) -> Path:
    """Write the project's config made tiny: 3 orientations of 16 pixels, 12 + 4 images a class, one epoch.

    Args:
        folder: Where it is written; it does not exist yet.
        with_normalizing: Keep the normalizing network and its subjects, which make the configuration twice as large.
    """
    folder.mkdir(parents=True)
    for name, text in _small_config(with_normalizing).items():
        (folder / name).write_text(text)
    return folder


@functools.cache  # most tests need it, and PyYAML takes 0.1 s to read and write it
def _small_config(with_normalizing: bool) -> dict[str, str]:
    """The text of each file of the small configuration."""
    changes = {
        "config_data.yaml": _shrink_data,
        "config_models.yaml": _shrink_models,
        "config_experiments.yaml": _shrink_experiments,
    }
    texts = {path.name: path.read_text() for path in PROJECT_CONFIG.iterdir()}
    for name, change in changes.items():
        texts[name] = _edit_text(texts[name], change)
    if not with_normalizing:
        texts["config_models.yaml"] = _edit_text(texts["config_models.yaml"], _drop_normalizing("models"))
        texts["config_experiments.yaml"] = _edit_text(texts["config_experiments.yaml"], _drop_normalizing("subjects"))
    return texts


def _drop_normalizing(section: str) -> Any:
    def change(content: dict[str, Any]) -> None:
        content[section] = {n: entry for n, entry in content[section].items() if not n.startswith("normalizing")}

    return change


def _shrink_data(content: dict[str, Any]) -> None:
    content["data_resolution"]["gratings"] = 16
    content["gratings"] |= {"orientations": 3, "train_per_class": 12, "test_per_class": 4, "noise": 0.05}
    content["data_groups"]["gratings"] = {"pair": [2, 0]}


def _shrink_models(content: dict[str, Any]) -> None:
    del content["models"]["delayed_normalization"]
    content["models"]["rcnn"]["args"]["channels"] = [4, 4, 6, 6]
    content["models"]["normalizing"]["args"] |= {"channels": [4, 6], "kernel": 3}
    for name in ("rcnn", "normalizing"):
        training = content["models"][name]["training"]
        training |= {"epochs": 1, "n_timesteps": 3, "loss_from": 1, "batch_size": 16}
        for changes in training["datasets"].values():
            changes.pop("epochs", None)


def _shrink_experiments(content: dict[str, Any]) -> None:
    del content["subjects"]["dn_gratings"]
    experiments = content["experiment_config"]
    for name in experiments.keys() - {"contrast", "duration", "contrast_duration"}:
        del experiments[name]
    for experiment in experiments.values():
        experiment["idle"] = 2
        experiment["data_args"]["tsteps"] = 6
    experiments["contrast"]["data_args"] |= {"stim": 4, "contrast": [0.1, 0.5, 1.0]}
    experiments["duration"]["data_args"] |= {"stim": [1, 3]}
    experiments["contrast_duration"]["data_args"] |= {"stim": [1, 3], "contrast": [0.5, 1.0]}


CONFIG = {
    "config_data.yaml": """\
use_ffcv: true
train_ratio: 0.75
data_resolution: {gratings: 32}
data_statistics:
  gratings: {mean: [0.5, 0.5, 0.5], std: [0.29, 0.29, 0.29]}
data_groups:
  gratings: {ends: [0, 2]}
gratings: {orientations: 3, train_per_class: 12, test_per_class: 4}
transform_presets: {train: []}
""",
    "config_models.yaml": """\
models:
  rcnn:
    class: "dynvision.models:RCNN"
    args: {channels: [4, 4, 4, 4], strides: [2, 2, 2, 1], tau: 10.0, dt: 5.0, max_gain: 0.9}
    training: {epochs: 1, n_timesteps: 3, loss_from: 1, batch_size: 12, transform: train}
    record: {layers: [V1, IT, classifier], resolution: channel}
""",
    "config_experiments.yaml": """\
subjects:
  rcnn_gratings: {model: rcnn, dataset: gratings, trained_on: all, group: all, seed: 0, sensor_noise: 0.5}
  rcnn_ends: {model: rcnn, dataset: gratings, trained_on: all, group: ends, seed: 0, sensor_noise: 0.25}
experiment_config:
  contrast:
    parameter: contrast
    data_loader: StimulusContrast
    subjects: all
    idle: 2
    data_args: {tsteps: 6, intro: 1, stim: 3, contrast: [0.1, 0.5, 0.8, 1.0]}
  contrast_duration:
    parameter: [duration, contrast]
    data_loader: StimulusContrast
    subjects: [rcnn_gratings]
    data_args: {tsteps: 5, intro: 1, stim: [1, 3], contrast: [0.1, 0.5, 1.0]}
""",
}
"""Gratings of three orientations. Two parameters are swept together, in an order that is not alphabetical."""


def write_config(root: Path) -> Path:
    """Write the small configuration as the root's own."""
    folder = root / "config"
    folder.mkdir(parents=True)
    for name, text in CONFIG.items():
        (folder / name).write_text(text)
    return folder


def edit_config(root: Path, old: str, new: str) -> None:
    """Replace a text that occurs exactly once in the configuration."""
    files = [path for path in sorted((root / "config").iterdir()) if old in path.read_text()]
    assert [path.read_text().count(old) for path in files] == [1], f"'{old}' is in {files}"
    files[0].write_text(files[0].read_text().replace(old, new))
