"""The settings that an asset of the group `config` stands for, as they stand in the configuration."""

from __future__ import annotations

from typing import Any

import yaml

from dynvision.config.yaml_text.parsing import parse_yaml
from dynvision.workspace import Workspace

__all__ = ["ConfigTexts", "show_settings"]

FILES = DATA, MODELS, EXPERIMENTS = "config_data.yaml", "config_models.yaml", "config_experiments.yaml"

_MOST_LINES = 120
"""Lines of settings that a page shows: a list of the classes of ImageNet is longer than the page."""


class ConfigTexts:
    """The config files of a workspace, parsed once.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._config = workspace.config
        texts = workspace.config.snapshot.texts if workspace.config.snapshot is not None else {}
        self._files = {name: _name_keys(parse_yaml(text, name)) for name, text in texts.items() if name in FILES}

    def of_dataset(self, dataset: str) -> dict[str, Any]:
        """Return what of `config_data.yaml` is about a dataset, and what is about all of them."""
        found: dict[str, Any] = {}
        for name, value in self._files.get(DATA, {}).items():
            part = _name_keys(value)
            if name == dataset or not isinstance(value, dict | list):
                found[name] = value
            elif dataset in part:
                found[name] = {dataset: part[dataset]}
        return found

    def of_model(self, model: str) -> dict[str, Any]:
        """Return the entry of a model, and those of the subjects whose network it is."""
        own = [name for name, subject in self._config.subjects.items() if subject.model == model]
        subjects = self._entries(EXPERIMENTS, "subjects", own)
        return self._entries(MODELS, "models", [model]) | (subjects if own else {})

    def of_experiment(self, experiment: str) -> dict[str, Any]:
        """Return the entry of an experiment."""
        return self._entries(EXPERIMENTS, "experiment_config", [experiment])

    def _entries(self, file: str, section: str, names: list[str]) -> dict[str, Any]:
        existing = _name_keys(self._files.get(file, {}).get(section))
        return {section: {name: existing.get(name) for name in names}}


def show_settings(settings: dict[str, Any]) -> str:
    """Return settings as a block of YAML in Markdown."""
    lines = yaml.safe_dump(
        settings, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    ).splitlines()
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"# … and {len(lines) - _MOST_LINES} more lines"]
    # A fence of its own length, so that no setting can end the block.
    return "\n".join(["````yaml", *(line.replace("````", "'''") for line in lines), "````"])


def _name_keys(content: Any) -> dict[str, Any]:
    """Return a mapping with its keys as the configuration reads names: a number is a text, too."""
    return {str(name): value for name, value in content.items()} if isinstance(content, dict) else {}
