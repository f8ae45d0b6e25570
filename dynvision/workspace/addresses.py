"""How users name targets: a path, an asset key, or a key with a partition."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dynvision.errors import UnknownNameError, unknown_name
from dynvision.paths import ALL_SUBJECTS
from dynvision.targets import Target
from dynvision.workspace.workspace import Workspace

__all__ = ["parse_target"]

_FOLDERS = {
    "raw": "raw",
    "interim": "interim",
    "processed": "processed",
    "models": "models",
    "responses": "responses",
    "reports": "summary",
}


def parse_target(workspace: Workspace, text: str) -> list[Target]:
    """Find the targets that a text names.

    Args:
        workspace: The workspace.
        text: A path (`data/processed/cifar100/train_all/train.beton`), a key with a partition
            (`responses/contrast/rcnn_gratings:0.5`), or a key (all of its partitions).

    Raises:
        UnknownNameError: Nothing has that name; the message names the nearest.
    """
    name, _, partition = text.partition(":")
    key = tuple(PurePosixPath(name).parts)
    as_path = None if key in workspace.keys else _parse_path(workspace, text)
    if as_path is not None:
        return as_path
    if not key or ".." in key:
        raise UnknownNameError(
            f"'{text}' names no target. Write an asset key like raw/gratings, or a path under data/."
        )
    workspace.check_key(key)
    if ":" not in text:
        return workspace.targets(key)
    return [Target(key, workspace.stages[key[0]].parse_partition(key, partition))]


def _parse_path(workspace: Workspace, text: str) -> list[Target] | None:
    path = Path(text)
    candidates = [path] if path.is_absolute() else [workspace.paths.root / path, Path.cwd() / path]
    inside = next((p for p in candidates if workspace.paths.data in p.parents), None)
    if inside is None:
        if path.is_absolute():
            raise UnknownNameError(f"{text} is outside the data folder {workspace.paths.data}")
        return None
    folder, *parts = inside.relative_to(workspace.paths.data).parts
    if folder not in _FOLDERS:
        raise unknown_name("folder", folder, _FOLDERS, text)
    stage = _FOLDERS[folder]
    depth = {"raw": 1, "interim": 1, "processed": 1}.get(stage, 2)
    key = (stage, *parts[:depth])
    if stage == "summary" and parts[1:2] == [ALL_SUBJECTS]:
        key = (stage, parts[0])
    workspace.check_key(key)
    if stage == "summary" or len(parts) == depth:
        return workspace.targets(key)
    partition = parts[depth].removesuffix(".zarr")
    return [Target(key, workspace.stages[stage].parse_partition(key, partition))]
