"""Settings of the environment, and those that a root keeps in its file `.env`.

The rule is the same for every command: a variable of the environment wins, then a line of `<root>/.env` counts. A
`.env` in any other folder is not read. Paths in `.env` are relative to the root.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from dynvision.errors import ConfigError

__all__ = ["FILE", "OF_WORKERS", "expand_path", "load_environment", "read_env_file", "read_setting", "without_launcher"]

FILE = ".env"
"""The file in the root."""

OF_WORKERS = ("DYNVISION_ROOT", "DYNVISION_CONFIG", "DYNVISION_SHARE_GPUS")
"""This project's variables that a process on another machine reads. It is given no other: one may hold a password."""

_PATHS = ("DAGSTER_HOME", "DYNVISION_CONFIG")
"""The settings that are paths."""

_ROOT = "DYNVISION_ROOT"

_LAUNCHER = re.compile(
    r"SLURM_(NTASKS|NPROCS|PROCID|LOCALID|NODEID|TASKS_PER_NODE|NTASKS_PER_NODE|GTIDS|STEP_\w+|STEPID|SRUN_\w+|LAUNCH_\w+)"
    r"|(PMI|PMIX|OMPI|MV2_COMM|JSM|TORCHELASTIC)_\w+|MPI_(LOCALRANKID|LOCALNRANKS)"
    r"|RANK|LOCAL_RANK|GROUP_RANK|NODE_RANK|ROLE_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|MASTER_ADDR|MASTER_PORT"
)
"""Variables by which the launcher of a distributed program tells a process which of many it is."""


def read_setting(name: str, root: Path) -> str | None:
    """Return a setting from the environment, otherwise from the root's `.env`; `None` if neither has it.

    Args:
        name: The variable. If it is set in the environment to nothing, it counts as set.
        root: The root.

    Raises:
        ConfigError: If `.env` cannot be read.
    """
    return os.environ[name] if name in os.environ else read_env_file(root).get(name)


def read_env_file(root: Path) -> dict[str, str]:
    """Return the settings of the root's `.env`, paths made absolute; nothing if there is no such file.

    Raises:
        ConfigError: If it cannot be read.
    """
    path = root / FILE
    try:
        if not os.path.lexists(path) or path.is_dir():  # A virtual environment may have this name.
            return {}
        if not path.is_file():
            raise ConfigError(f"{path} is no file, but its settings would count. Move it away, or make it a text file.")
        from dotenv import dotenv_values

        values = dotenv_values(path)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8."
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Change its permissions, or move it.") from error
    settings = {name: value for name, value in values.items() if value is not None and "\0" not in name + value}
    for name in _PATHS:
        if settings.get(name):
            settings[name] = str(expand_path(settings[name], root))
    return settings


def expand_path(text: str, root: Path) -> Path:
    """Return the absolute path that a setting names; a relative one is relative to the root.

    Raises:
        ConfigError: If it begins with `~` and a user that does not exist.
    """
    try:
        return (root / Path(text).expanduser()).absolute()
    except RuntimeError as error:
        raise ConfigError(f"'{text}' names no folder: {error}. Write the whole path.") from None


def load_environment(root: Path) -> None:
    """Set what the root's `.env` says in the environment of this process and its children, unless it is set there.

    Args:
        root: The root, which has been found without its `.env`.

    Raises:
        ConfigError: If `.env` cannot be read, or names another root.
    """
    settings = read_env_file(root)
    other = settings.pop(_ROOT, "")
    if other and _ROOT not in os.environ and expand_path(other, root).resolve() != root.resolve():
        raise ConfigError(
            f"{root / FILE} names another root ({_ROOT}={other}), but it is read only after the root has been found. "
            f"Set it in the environment (export {_ROOT}={other}), or remove the line."
        )
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what makes libraries take a process for one of many of a distributed program.

    A job of a cluster has such variables also if it runs one process; Lightning and others then wait for processes
    that do not exist. The number of the job (`SLURM_JOB_ID`) stays.
    """
    return {name: value for name, value in environment.items() if not _LAUNCHER.fullmatch(name)}
