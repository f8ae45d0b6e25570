"""Finding and reading the config files; every error names the file and the key or line in it."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from dynvision.config.checking import check_config
from dynvision.config.problems import explain_problems
from dynvision.config.schema import Config, ExperimentsFile, ModelsFile
from dynvision.config.sections.compute import ComputeConfig
from dynvision.config.sections.data import DataConfig
from dynvision.config.snapshot import Snapshot
from dynvision.config.yaml_text.files import read_text
from dynvision.config.yaml_text.parsing import parse_yaml
from dynvision.errors import ConfigError
from dynvision.roots import COMPUTE_FILE, CONFIG_FILES, find_root, named_folder
from dynvision.system.environment import read_env_file
from dynvision.system.escaping import show_text

__all__ = ["find_config_folder", "load_config", "load_snapshot", "read_snapshot"]

FILES = CONFIG_FILES

_Model = TypeVar("_Model", bound=BaseModel)


def find_config_folder(root: Path | None = None) -> Path:
    """Find the config folder: `$DYNVISION_CONFIG`, otherwise `<root>/config`, otherwise the packaged copy.

    The variable may also be a line of `<root>/.env`.

    Args:
        root: The root of the data; by default the one that `find_root` returns.

    Raises:
        ConfigError: If `$DYNVISION_CONFIG` names no folder.
    """
    folder = root or find_root()
    chosen = _named_config(folder)
    if chosen is not None:
        if not chosen.is_dir():
            wrong = "is a file; name the folder that it is in" if chosen.is_file() else "does not exist"
            raise ConfigError(
                f"DYNVISION_CONFIG names {chosen}, which {wrong}. It is the folder that contains {', '.join(FILES)}."
            )
        return chosen
    own = folder / "config"
    if any(_exists(own / name) for name in (*FILES, COMPUTE_FILE)):
        return own.absolute()
    return packaged_config()


def _named_config(root: Path) -> Path | None:
    """Return the folder that `$DYNVISION_CONFIG` names, in the environment or in the root's `.env`."""
    if "DYNVISION_CONFIG" in os.environ:
        return named_folder("DYNVISION_CONFIG")
    text = read_env_file(root).get("DYNVISION_CONFIG")
    return Path(text) if text else None


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
    """Read and validate the files of a config folder: three, and `config_compute.yaml` if there is one.

    Args:
        folder: The folder; by default the one that `find_config_folder` returns.

    Raises:
        ConfigError: If a file is missing, is not YAML, or has a wrong value. The message names the file, the line or
            key path, and the nearest valid name.
    """
    return load_snapshot(read_snapshot(folder))


def read_snapshot(folder: Path | str | None = None) -> Snapshot:
    """Read the texts of the files of a config folder, and validate nothing.

    Args:
        folder: The folder; by default the one that `find_config_folder` returns.

    Raises:
        ConfigError: If a file cannot be read.
    """
    path = _absolute(folder, "the config folder") if folder is not None else find_config_folder()
    texts = {name: _read_text(path / name) for name in FILES}
    compute = path / COMPUTE_FILE
    return Snapshot(str(path), texts | ({COMPUTE_FILE: _read_text(compute)} if os.path.lexists(compute) else {}))


def load_snapshot(snapshot: Snapshot) -> Config:
    """Validate the texts of a reading. The same texts are validated once in a process.

    Raises:
        ConfigError: As `load_config`.
    """
    try:
        config = _validate(
            snapshot.folder, *(snapshot.texts[name] for name in FILES), snapshot.texts.get(COMPUTE_FILE, "")
        )
    except ConfigError as error:
        lines = [show_text(line) for line in str(error).split("\n")]
        if lines == str(error).split("\n"):
            raise
        raise type(error)("\n".join(lines)) from error  # Texts of the files are in it.
    return config.model_copy(update={"snapshot": snapshot})


@lru_cache(maxsize=2)  # Texts of several megabytes take seconds, and one run asks for them several times.
def _validate(folder: str, data_text: str, models_text: str, experiments_text: str, compute_text: str) -> Config:
    path = Path(folder)
    data = _parse(path / FILES[0], data_text, DataConfig)
    models = _parse(path / FILES[1], models_text, ModelsFile)
    experiments = _parse(path / FILES[2], experiments_text, ExperimentsFile)
    config = Config.model_construct(  # Its parts are valid; what is true of all of them together is checked next.
        folder=path,
        data=data,
        models=models.models,
        subjects=experiments.subjects,
        experiments=experiments.experiment_config,
        compute=_parse(path / COMPUTE_FILE, compute_text, ComputeConfig),
    )
    check_config(config)
    return config


def _read_text(path: Path) -> str:
    try:
        return read_text(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ConfigError(f"the config file {path} is a link to a file that does not exist") from error
        raise ConfigError(
            f"the config file {path} does not exist. Copy the default from {packaged_config() / path.name}, "
            "or set DYNVISION_CONFIG to the folder that contains it."
        ) from error


def _parse(path: Path, text: str, schema: type[_Model]) -> _Model:
    content = parse_yaml(text, str(path))
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{path}: the file must contain keys and values, not a {type(content).__name__}")
    try:
        return schema.model_validate(content or {})
    except ValidationError as error:
        raise ConfigError(explain_problems(path, error, schema)) from None
