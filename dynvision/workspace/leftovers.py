"""What earlier configurations left on the disk: outputs whose level, subject, seed, group, … is no longer named.

Nothing here deletes anything. A folder counts only if it holds a record of this project, so that a user's own files
below `data/` are left alone.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dynvision.errors import UnknownNameError
from dynvision.keys import Condition, find_level
from dynvision.paths import ALL_SUBJECTS
from dynvision.stages.base import Stage
from dynvision.targets import Target
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.workspace import Workspace

__all__ = ["Leftover", "find_leftovers", "hint_at_leftover", "parse_existing"]

_RECORDS = ("record.json", "manifest.json", "folder.link", "journal.jsonl", "pending.json", "checkpoint.json")
"""Files that only this project writes into the folder of an output."""

_SUFFIXES = (".beton.json", ".manifest.json")

_PARTIAL = re.compile(r"\.(.+)\.(partial(-[\w-]+)?|training)")
"""The name of an output that was being written, or of the checkpoints of one."""


@dataclass(frozen=True)
class Leftover:
    """A folder of outputs that the configuration does not name.

    Attributes:
        key: Its asset key; a part of one, if the whole folder of an experiment, model or dataset is left.
        partition: The partition; `None` if the folder holds several, or belongs to an asset without partitions.
        path: The folder.
        noun: What the configuration does not name: `experiment`, `subject`, `partition`, …
    """

    key: tuple[str, ...]
    partition: str | None
    path: Path
    noun: str

    @property
    def name(self) -> str:
        """The text by which it was named while the configuration had it."""
        text = "/".join(self.key)
        return text if self.partition is None else f"{text}:{self.partition}"

    def count_bytes(self) -> int:
        """Return the size of all its files; those behind links do not count."""
        total = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(OSError):  # It is being deleted.
                    total += (Path(folder) / name).lstat().st_size
        return total


def find_leftovers(workspace: Workspace, stages: tuple[str, ...] = ()) -> list[Leftover]:
    """Find the outputs on the disk that the configuration of a workspace does not name.

    Args:
        workspace: The workspace.
        stages: Only these stages; by default all.

    Returns:
        The folders, each as high up as nothing in it is named.
    """
    chosen = [stage for name, stage in workspace.stages.items() if not stages or name in stages]
    return [leftover for stage in chosen for leftover in _find(workspace, stage)]


def hint_at_leftover(workspace: Workspace, text: str, selectors: Mapping[str, object] | None = None) -> str:
    """Say that a name stands for an output on the disk that the configuration does not name; empty if it does not.

    Args:
        workspace: The workspace.
        text: An asset key, or a key with a partition.
        selectors: The levels that were asked for, if the text does not name the partition.
    """
    name, _, partition = text.partition(":")
    key = tuple(part for part in name.split("/") if part)
    path = Path(os.path.normpath(workspace.paths.root / text))
    for leftover in find_leftovers(workspace):
        is_path = leftover.path == path or leftover.path in path.parents
        if is_path or _is_named(leftover, key, partition, selectors or {}):
            return (
                f" {workspace.paths.relative(leftover.path)} is on the disk, but its {leftover.noun} is no longer in "
                "the configuration: name it there again to use it."
            )
    return ""


def parse_existing(workspace: Workspace, text: str) -> list[Target]:
    """Find the targets that a text names, as `parse_target`; the error says if the name is left over.

    Raises:
        UnknownNameError: If nothing has that name; the message names the nearest.
    """
    try:
        return parse_target(workspace, text)
    except UnknownNameError as error:
        if hint := hint_at_leftover(workspace, text):
            raise UnknownNameError(f"{error}{hint}") from error
        raise


def _is_named(leftover: Leftover, key: tuple[str, ...], partition: str, selectors: Mapping[str, object]) -> bool:
    if leftover.partition is None:
        return key[: len(leftover.key)] == leftover.key
    if leftover.key != key:
        return False
    if partition and partition == leftover.partition:
        return True
    try:
        levels = Condition.parse(leftover.partition)
    except UnknownNameError:
        return False
    if partition and "=" not in partition:
        return len(levels) == 1 and find_level(partition, levels.values()) is not None
    try:
        wanted: Mapping[str, object] = Condition.parse(partition) if partition else selectors
    except UnknownNameError:
        return False
    return bool(wanted) and all(
        name in levels and find_level(value, [levels[name]]) is not None for name, value in wanted.items()
    )


def _find(workspace: Workspace, stage: Stage) -> Iterator[Leftover]:
    base = workspace.paths.output(stage.folder)
    targets = [target for key in stage.keys() for target in workspace.targets(key)]
    depth = len(stage.key_names) + stage.is_partitioned
    if not targets and stage.key_names == ("dataset",):  # The store of images writes no files.
        if _holds_record(base, depth):
            yield Leftover((stage.name,), None, base, "stage")
        return
    named = {path.relative_to(base).parts for t in targets for path in [stage.output(t)] if base in path.parents}
    named |= {(*t.key[1:], str(t.partition)) if stage.is_partitioned else t.key[1:] for t in targets}
    beginnings = {parts[:length] for parts in named for length in range(1, len(parts) + 1)}
    yield from _descend(stage, base, (), beginnings, depth)


def _descend(
    stage: Stage, folder: Path, parts: tuple[str, ...], beginnings: set[tuple[str, ...]], depth: int
) -> Iterator[Leftover]:
    """Yield what is left in a folder of which something is named, or the root of a stage."""
    for name, path in _folders(folder):
        here = (*parts, name)
        if here in beginnings:
            if len(here) < depth:
                yield from _descend(stage, path, here, beginnings, depth)
        elif _holds_record(path, depth - len(here)):
            yield _describe(stage, here, path, depth)


def _describe(stage: Stage, parts: tuple[str, ...], path: Path, depth: int) -> Leftover:
    if parts[-1] == ALL_SUBJECTS:
        return Leftover((stage.name, *parts[:-1]), None, path, "comparison of subjects")
    nouns = (*stage.key_names, "partition")
    is_partition = stage.is_partitioned and len(parts) == depth
    key = (stage.name, *(parts[:-1] if is_partition else parts))
    partition = parts[-1].removesuffix(".zarr") if is_partition else None
    return Leftover(key, partition, path, nouns[len(parts) - 1])


def _folders(folder: Path) -> list[tuple[str, Path]]:
    """Return the folders in a folder, by the name of the output; of one that was being written, by the final name."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:  # It does not exist, or cannot be read.
        return []
    found = []
    for entry in entries:
        partial = _PARTIAL.fullmatch(entry.name)
        if entry.is_dir(follow_symlinks=False) and (partial or not entry.name.startswith(".")):
            found.append((partial[1] if partial else entry.name, Path(entry.path)))
    return found


def _holds_record(folder: Path, depth: int) -> bool:
    """Whether a folder is the output of a target, or holds one at most `depth` folders further down."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return False
    if any(name in _RECORDS or name.endswith(_SUFFIXES) for name in names):
        return True
    return depth > 0 and any(_holds_record(path, depth - 1) for _, path in _folders(folder))
