"""Finding and reading the config files; every error names the file and the key or line in it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from dynvision.config.data import DataConfig
from dynvision.config.meaning import check_meaning
from dynvision.config.schema import Config, ExperimentsFile, ModelsFile
from dynvision.config.snapshot import Snapshot
from dynvision.errors import ConfigError, nearest_name
from dynvision.roots import CONFIG_FILES, find_root, named_folder

__all__ = ["find_config_folder", "load_config", "load_snapshot", "read_snapshot"]

FILES = CONFIG_FILES

_Model = TypeVar("_Model", bound=BaseModel)


def find_config_folder(root: Path | None = None) -> Path:
    """Find the config folder: `$DYNVISION_CONFIG`, otherwise `<root>/config`, otherwise the packaged copy.

    Args:
        root: The root of the data; by default the one that `find_root` returns.

    Raises:
        ConfigError: If `$DYNVISION_CONFIG` names no folder.
    """
    chosen = named_folder("DYNVISION_CONFIG")
    if chosen is not None:
        if not chosen.is_dir():
            wrong = "is a file; name the folder that it is in" if chosen.is_file() else "does not exist"
            raise ConfigError(
                f"DYNVISION_CONFIG names {chosen}, which {wrong}. It is the folder that contains {', '.join(FILES)}."
            )
        return chosen
    own = (root or find_root()) / "config"
    if any((own / name).exists() for name in FILES):
        return own.absolute()
    return packaged_config()


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
    return load_snapshot(read_snapshot(folder))


def read_snapshot(folder: Path | str | None = None) -> Snapshot:
    """Read the texts of the three files of a config folder, and validate nothing.

    Args:
        folder: The folder; by default the one that `find_config_folder` returns.

    Raises:
        ConfigError: If a file cannot be read.
    """
    path = Path(folder).absolute() if folder is not None else find_config_folder()
    return Snapshot(str(path), {name: _read_text(path / name) for name in FILES})


def load_snapshot(snapshot: Snapshot) -> Config:
    """Validate the texts of a reading. The same texts are validated once in a process.

    Raises:
        ConfigError: As `load_config`.
    """
    config = _validate(snapshot.folder, *(snapshot.texts[name] for name in FILES))
    return config.model_copy(update={"snapshot": snapshot})


@lru_cache(maxsize=2)  # Texts of several megabytes take seconds, and one run asks for them several times.
def _validate(folder: str, data_text: str, models_text: str, experiments_text: str) -> Config:
    path = Path(folder)
    data = _parse(path / FILES[0], data_text, DataConfig)
    models = _parse(path / FILES[1], models_text, ModelsFile)
    experiments = _parse(path / FILES[2], experiments_text, ExperimentsFile)
    config = Config(
        folder=path,
        data=data,
        models=models.models,
        subjects=experiments.subjects,
        experiments=experiments.experiment_config,
    )
    check_meaning(config)
    config.check_names()
    return config


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise ConfigError(
            f"the config file {path} does not exist. Copy the default from {packaged_config() / path.name}, "
            "or set DYNVISION_CONFIG to the folder that contains it."
        )
    return path.read_text(encoding="utf-8")


def _parse(path: Path, text: str, schema: type[_Model]) -> _Model:
    try:
        content = yaml.load(text, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{path}: the file must contain keys and values, not a {type(content).__name__}")
    try:
        return schema.model_validate(content or {})
    except ValidationError as error:
        raise ConfigError(_explain(path, error, schema)) from None


def _explain(path: Path, error: ValidationError, schema: type[BaseModel]) -> str:
    lines = []
    for problem in error.errors():
        location = [p for p in problem["loc"] if p != "[key]"]
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"unknown key. {nearest_name(location[-1], _keys_at(schema, location[:-1]))}"
        key = ".".join(str(part) for part in location)
        lines.append(f"{path}: {key}: {message}" if key else f"{path}: {message}")
    return "\n".join(lines)


def _keys_at(schema: type[BaseModel], location: list[Any]) -> list[str]:
    """Return the valid keys of the section at a location; the names inside a dictionary are skipped."""
    current: Any = schema
    for part in location:
        fields = getattr(current, "model_fields", None)
        if fields is None or part not in fields:
            continue
        current = _section_inside(fields[part].annotation)
    fields = getattr(current, "model_fields", {})
    return [field.alias or name for name, field in fields.items()]


def _section_inside(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        section = _section_inside(inner)
        if section is not None:
            return section
    return None


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a repeated key is an error; plain YAML silently keeps the last one."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)
