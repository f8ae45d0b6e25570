"""Finding and reading the config files; every error names the file and the key or line in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from dynvision.config.checking import check_config
from dynvision.config.data import DataConfig
from dynvision.config.problems import explain_problems
from dynvision.config.schema import Config, ExperimentsFile, ModelsFile
from dynvision.config.yaml_files import read_yaml
from dynvision.errors import ConfigError
from dynvision.system.escaping import show_text

__all__ = ["find_config_folder", "load_config"]

FILES = ("config_data.yaml", "config_models.yaml", "config_experiments.yaml")

_Model = TypeVar("_Model", bound=BaseModel)


def find_config_folder(root: Path | None = None) -> Path:
    """Find the config folder: `$DYNVISION_CONFIG`, otherwise `<root>/config`, otherwise the packaged copy.

    Args:
        root: The root of the data; by default the current folder.

    Raises:
        ConfigError: If the folder cannot be looked at, or the current folder does not exist any more.
    """
    chosen = os.environ.get("DYNVISION_CONFIG")
    if chosen:
        return _absolute(chosen, "DYNVISION_CONFIG")
    own = _absolute(root or ".", "the root") / "config"
    if any(_exists(own / name) for name in FILES):
        return own
    return packaged_config()


def _absolute(folder: Path | str, source: str) -> Path:
    try:
        return Path(folder).expanduser().absolute()
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{source}: the folder '{folder}' cannot be found: {reason}") from error


def _exists(path: Path) -> bool:
    """Whether a path exists. One that may not be looked at is an error: another configuration would be taken."""
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"the config file {path} cannot be read: {reason}. Check the rights of its folder."
        ) from error


def packaged_config() -> Path:
    """Return the folder of the default config: that of the installed package, or that of the checkout."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "default_config"
    return shipped if shipped.is_dir() else package.parent / "config"


def load_config(folder: Path | str | None = None) -> Config:
    """Read and validate the three files of a config folder.

    Args:
        folder: The folder; by default the one that `find_config_folder` returns.

    Raises:
        ConfigError: If a file is missing, is not YAML, or has a wrong value. The message names the file, the line or
            key path, and the nearest valid name.
    """
    path = _absolute(folder, "the config folder") if folder is not None else find_config_folder()
    try:
        return _load(path)
    except ConfigError as error:
        lines = [show_text(line) for line in str(error).split("\n")]
        if lines == str(error).split("\n"):
            raise
        raise type(error)("\n".join(lines)) from error  # Texts of the files are in it.


def _load(path: Path) -> Config:
    data = _read(path / FILES[0], DataConfig)
    models = _read(path / FILES[1], ModelsFile)
    experiments = _read(path / FILES[2], ExperimentsFile)
    config = Config(
        folder=path,
        data=data,
        models=models.models,
        subjects=experiments.subjects,
        experiments=experiments.experiment_config,
    )
    check_config(config)
    return config


def _read(path: Path, schema: type[_Model]) -> _Model:
    try:
        content = read_yaml(path)
    except FileNotFoundError as error:
        raise ConfigError(
            f"the config file {path} does not exist. Copy the default from {packaged_config() / path.name}, "
            "or set DYNVISION_CONFIG to the folder that contains it."
        ) from error
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{path}: the file must contain keys and values, not a {type(content).__name__}")
    try:
        return schema.model_validate(content or {})
    except ValidationError as error:
        raise ConfigError(explain_problems(path, error, schema)) from None
