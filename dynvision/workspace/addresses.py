"""How users name targets: a path, an asset key, or a key with a partition."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from dynvision.errors import UnknownNameError, unknown_name
from dynvision.targets import Target
from dynvision.workspace.workspace import Workspace

__all__ = ["parse_target"]


def parse_target(workspace: Workspace, text: str) -> list[Target]:
    """Find the targets that a text names.

    Args:
        workspace: The workspace.
        text: A path (`data/processed/cifar100/train_all/train.beton`), a key with a partition
            (`responses/contrast/rcnn_gratings:0.5`), or a key (all of its partitions).

    Raises:
        UnknownNameError: If nothing has that name; the message names the nearest.
    """
    name, colon, partition = text.partition(":")
    key = tuple(PurePosixPath(name).parts)
    if key not in workspace.keys:
        targets = _parse_path(workspace, text)
        if targets is not None:
            return targets
    if not key or ".." in key:
        raise UnknownNameError(
            f"'{text}' names no target. Write an asset key like raw/gratings, or a path under data/."
        )
    workspace.check_key(key)
    if not colon:
        return workspace.targets(key)
    return [Target(key, workspace.stages[key[0]].parse(key, partition))]


def _parse_path(workspace: Workspace, text: str) -> list[Target] | None:
    """Find the targets that a path names; `None` if the text is not a path under `data/`."""
    path = Path(text)
    candidates = [path] if path.is_absolute() else [workspace.paths.root / path, Path.cwd() / path]
    inside = next((p for p in candidates if workspace.paths.data in p.parents), None)
    if inside is None:
        if path.is_absolute():
            raise UnknownNameError(f"{text} is outside the data folder {workspace.paths.data}")
        return None
    folder, *parts = inside.relative_to(workspace.paths.data).parts
    by_folder = {stage.folder: stage for stage in workspace.stages.values()}
    if folder not in by_folder:
        raise unknown_name("folder", folder, by_folder, text)
    key, partition = by_folder[folder].parse_path(parts)
    workspace.check_key(key)
    if partition is None:
        return workspace.targets(key)
    return [Target(key, by_folder[folder].parse(key, partition))]
