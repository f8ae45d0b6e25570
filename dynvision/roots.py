"""Which folder is the root: the one of `$DYNVISION_ROOT`, else the nearest root at or above the current folder."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from dynvision.errors import ConfigError, printable

__all__ = ["COMPUTE_FILE", "CONFIG_FILES", "find_root", "is_root", "named_folder", "passed_over", "require_root"]

CONFIG_FILES = ("config_data.yaml", "config_models.yaml", "config_experiments.yaml")
"""The files of a config folder."""

COMPUTE_FILE = "config_compute.yaml"
"""One that may be missing."""

_MARKS = (*(f"config/{name}" for name in (*CONFIG_FILES, COMPUTE_FILE)), ".dagster/dynvision_workspace.yaml")
"""Files that only a root has."""

_OUTPUTS = ("raw/*/*/manifest.json", "raw/*/*.manifest.json", "interim/*/*/folder.link", "models/*/*/*/record.json")
"""Records below `data/`. Other projects have folders such as `data/raw` as well, so those alone make no root."""


def find_root() -> Path:
    """Return the folder that holds `data/` and `.dagster/`.

    It is the folder that `$DYNVISION_ROOT` names. Without the variable it is the nearest root at or above the current
    folder, or else the current folder, which becomes one. A root above is not looked for in the home folder, in `/`, or
    in a folder that everybody may write to: anybody could put a configuration there.

    Raises:
        ConfigError: The variable names no folder, or the current folder was deleted.
    """
    chosen = named_folder("DYNVISION_ROOT")
    if chosen is not None:
        return require_root(chosen, "DYNVISION_ROOT names ")
    current = _current_folder()
    return next((folder for folder in _candidates(current) if is_root(folder)), current)


def passed_over(root: Path) -> str:
    """Say which root above a folder was not taken for it, and why; nothing if there is none.

    Args:
        root: The current folder, which `find_root` gave.
    """
    if os.environ.get("DYNVISION_ROOT") or is_root(root):
        return ""
    for folder in root.parents:
        if is_root(folder):
            why = "it is your home folder" if folder == Path.home() else "anybody may write to it"
            why = "it is the whole disk" if folder == Path(folder.anchor) else why
            return (
                f"{printable(str(folder))} above the current folder is a root, but is not taken, because {why}: "
                f"{printable(str(root))} is another one. To work on that, change to it (cd), or set DYNVISION_ROOT"
            )
    return ""


def is_root(folder: Path) -> bool:
    """Whether a folder has a configuration of its own, Dagster's home as this project writes it, or outputs."""
    try:
        return any((folder / mark).is_file() for mark in _MARKS) or any(
            next((folder / "data").glob(pattern), None) is not None for pattern in _OUTPUTS
        )
    except OSError:  # It cannot be searched.
        return False


def named_folder(variable: str) -> Path | None:
    """Return the absolute path that an environment variable names; `None` if it is not set, or empty.

    Raises:
        ConfigError: It is blank, or begins with a `~` that leads nowhere.
    """
    text = os.environ.get(variable, "")
    if not text:
        return None
    if not text.strip():
        raise ConfigError(f"{variable} is blank. Set it to a folder, or unset it.")
    try:
        return Path(os.path.normpath(Path(text).expanduser().absolute()))
    except (RuntimeError, OSError) as error:
        raise ConfigError(
            f"{variable} is '{printable(text)}', which is no folder ({error}). Write the whole path."
        ) from error


def require_root(folder: Path, named_by: str = "") -> Path:
    """Return a folder, if there is one.

    Args:
        folder: The path of the root.
        named_by: What stands before the path in the message.

    Raises:
        ConfigError: There is nothing at the path, or it is not a folder.
    """
    if folder.is_dir():
        return folder
    shown = printable(str(folder))
    if os.path.lexists(folder) and not folder.is_symlink():
        raise ConfigError(f"{named_by}{shown}, which is not a folder. The root is the folder that holds data/.")
    raise ConfigError(
        f"{named_by}{shown}, which does not exist. For a new root, make the folder first: "
        f"mkdir -p {shlex.quote(shown)}. Otherwise correct the name: set DYNVISION_ROOT to the folder that holds data/."
    )


def _current_folder() -> Path:
    """Return the current folder, by the path on which a shell came to it: `data/` may be a link to another disk."""
    try:
        current = Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError("the current folder was deleted. Change to another one, or set DYNVISION_ROOT.") from error
    typed = Path(os.environ.get("PWD", ""))
    try:
        return typed if typed.is_absolute() and typed.samefile(current) else current
    except OSError:  # The variable is an old one.
        return current


def _candidates(current: Path) -> Iterator[Path]:
    """Yield the current folder, and the folders above it whose configuration may be trusted."""
    yield current
    ends = {Path.home(), Path(current.anchor)} if "HOME" in os.environ else {Path(current.anchor)}
    for folder in current.parents:
        if folder in ends:
            return
        try:
            is_open = bool(folder.stat().st_mode & stat.S_IWOTH)
        except OSError:
            continue
        if not is_open:
            yield folder
