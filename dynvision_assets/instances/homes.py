"""Which folder is the Dagster home of a root, and making it."""

from __future__ import annotations

import os
from pathlib import Path

from dynvision.errors import ConfigError
from dynvision.paths import Paths
from dynvision.system.environment import FILE, expand_path, read_env_file, read_setting

__all__ = ["HOME", "describe_home", "find_home", "make_home"]

HOME = "DAGSTER_HOME"

"""The environment variable, or line of `.env`, that names the home; Dagster reads it too."""


def find_home(paths: Paths) -> Path:
    """Return the Dagster home: `$DAGSTER_HOME`, that of the root's `.env`, or `.dagster/` under the root.

    A relative path is relative to the root.
    """
    chosen = read_setting(HOME, paths.root)
    return expand_path(chosen, paths.root) if chosen else paths.dagster_home


def describe_home(paths: Paths) -> str:
    """Say which home is used and who chose it, if it is not the usual one; otherwise return nothing."""
    home = find_home(paths)
    if home.resolve() == paths.dagster_home.resolve():
        return ""
    sentence = f"runs are kept in {home} ({_name_source(home, paths)})"
    if home.name == paths.dagster_home.name and (home.parent / "data").is_dir():
        sentence += f", which is also the home of the root {home.parent}: the UI shows the runs of both"
    return sentence


def make_home(home: Path, paths: Paths) -> None:
    """Make the folder of the home.

    Raises:
        ConfigError: If it cannot be made or written, or a chosen one has no parent; names the setting.
    """
    is_usual = home == paths.dagster_home
    advice = (
        "Set DYNVISION_ROOT to a place that you can write to" if is_usual else f"Correct {_name_source(home, paths)}"
    )
    if not is_usual and not home.parent.exists():
        raise ConfigError(
            f"the Dagster home {home} cannot be made, because {home.parent} does not exist. Make that folder, or "
            f"correct {_name_source(home, paths)}."
        )
    try:
        home.mkdir(parents=is_usual, exist_ok=True)
    except OSError as error:
        reason = "it is a file" if home.is_file() else str(error.strerror)
        raise ConfigError(
            f"the Dagster home {home} cannot be a folder: {reason}. {advice}, or move what is there."
        ) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise ConfigError(f"the Dagster home {home} is not writable. {advice}, or change its permissions.")


def _name_source(home: Path, paths: Paths) -> str:
    """Say where a home is set: in the environment, or in the root's `.env`."""
    in_file = read_env_file(paths.root).get(HOME)
    is_from_file = in_file and expand_path(in_file, paths.root) == home
    return f"{HOME} in {paths.root / FILE}" if is_from_file else f"${HOME}"
