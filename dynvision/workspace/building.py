"""Building targets: the one entry that assets, the command line and a cluster's job share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dynvision.errors import DynvisionError
from dynvision.records import Record
from dynvision.stages.base import UNCHECKED, Stage
from dynvision.system.files import make_directory, remove_leftovers
from dynvision.system.gpu_leases import sharing_gpus
from dynvision.system.guards import check_guard
from dynvision.system.locks import FOR_EVER, output_lock
from dynvision.system.progress import say, tell_listeners
from dynvision.targets import Target
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.checking import passes_hard_checks
from dynvision.workspace.status import check_readable
from dynvision.workspace.workspace import Workspace

__all__ = ["NOT_BUILT", "build_for_schedule", "build_targets", "reject_targets"]

NOT_BUILT = "up to date, so not built again: "
"""How the line of the log begins that names the targets (divided by `; `) that were up to date when their locks
were free."""

_MOST_NAMED = 200


def build_targets(
    targets: Sequence[str],
    *,
    root: str,
    config: Mapping[str, Any] | str,
    force: bool = False,
    wait: bool = False,
    run_settings: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Build targets of one asset whose inputs are up to date.

    Args:
        targets: What to build, as text.
        root: The folder that holds `data/`.
        config: What was read of the configuration, as `Workspace.snapshot` has it, or the folder to read now.
        force: Build them even if they are up to date, and take nothing over from an interrupted run.
        wait: Wait for another process that builds one of them, and then look again whether it is up to date.
        run_settings: Settings for this run only: the fields of `RunSettings`; for responses, settings of `record` and
            `run`, which override the config files. See `Stage.with_run_settings`.

    A target whose hard checks fail is built, but does not count as up to date: see `check_targets`.

    Returns:
        The record of each, in order.

    Raises:
        ConfigError: If a run setting is unknown or out of bounds.
        MissingError: If an input has not been built or is stale; names the command that builds it.
        UnreadableError: If one exists but cannot be read, and is not forced.
        OutputBusyError: If another process builds one of them, unless this one is to wait.
        DynvisionError: If the targets belong to several assets, or one cannot be built; see the stages.
    """
    workspace, chosen = _open(targets, root, config)
    records, _ = _build(workspace, chosen, force, wait, run_settings or {})
    return [records[target].to_dict() for target in chosen]


def build_for_schedule(
    targets: Sequence[str], *, root: str, config: Mapping[str, Any] | str, **options: Any
) -> dict[str, Any]:
    """Build targets as `build_targets` does, and say which of them were not up to date.

    Args:
        targets: What to build, as text.
        root: The folder that holds `data/`.
        config: See `build_targets`.
        options: The other arguments of `build_targets`.

    Returns:
        `records`, the record of each target in order, and `built`, the targets that were built as text.

    Raises:
        DynvisionError: See `build_targets`.
    """
    workspace, chosen = _open(targets, root, config)
    settings = options.get("run_settings") or {}
    records, built = _build(
        workspace, chosen, bool(options.get("force", False)), bool(options.get("wait", False)), settings
    )
    return {"records": [records[target].to_dict() for target in chosen], "built": [str(target) for target in built]}


def _build(
    workspace: Workspace, chosen: Sequence[Target], force: bool, wait: bool, run_settings: Mapping[str, Any]
) -> tuple[dict[Target, Record], list[Target]]:
    """Build targets of one asset under their locks; return the record of each, and which were not up to date."""
    with _locks(workspace, chosen, wait), sharing_gpus(workspace.config.compute.share_gpus):
        stage = workspace.stage(chosen[0]).with_run_settings(chosen, run_settings, fresh=force)
        if stage.config is not workspace.config:
            # Whether a target is up to date depends on the settings: ask a workspace that has those of this run.
            workspace = Workspace(stage.config, workspace.paths)
        records, pending = _split(workspace, chosen, force)
        fresh = [str(target) for target in records if not stage.unchecked_mark(target).exists()]
        if fresh:
            tell_listeners(NOT_BUILT + "; ".join(fresh[:_MOST_NAMED]))
        _discard_unfinished(stage, records)
        groups = [pending] if stage.builds_many and pending else [[target] for target in pending]
        for group in groups:
            inputs = {key: value for target in group for key, value in workspace.inputs(target).items()}
            with _keeping_checked(stage, group):
                records.update(zip(group, stage.build(group, inputs), strict=True))
            _discard_unfinished(stage, group)
        for target in chosen:
            if stage.unchecked_mark(target).exists() and passes_hard_checks(workspace, target, records[target]):
                stage.unchecked_mark(target).unlink()
        if stage.builds_many:
            others = "; the others are up to date" if len(pending) < len(chosen) else ""
            tell_listeners(f"built {len(pending)} of {len(chosen)} partitions{others}")
    return records, pending


def reject_targets(targets: Sequence[str], *, root: str, config: Mapping[str, Any] | str) -> list[str]:
    """Rename the records of targets to `<name>.rejected`, so that nothing is built on them.

    This is for outputs that fail a check: the files stay for whoever wants to look, but do not count as built.

    Returns:
        The files as they were called before.
    """
    workspace, chosen = _open(targets, root, config)
    aside = []
    with _locks(workspace, chosen, wait=False):
        for path in (path for target in chosen for path in workspace.stage(target).record_files(target)):
            if path.exists():
                check_guard(path)
                os.replace(path, path.with_name(path.name + ".rejected"))
                aside.append(str(path))
    return aside


def _open(targets: Sequence[str], root: str, config: Mapping[str, Any] | str) -> tuple[Workspace, list[Target]]:
    workspace = Workspace.of_reading(root, config)
    chosen = [target for text in targets for target in parse_target(workspace, text)]
    if len({target.key for target in chosen}) != 1:
        raise DynvisionError("targets that are built together belong to one asset")
    return workspace, chosen


def _split(workspace: Workspace, targets: Sequence[Target], force: bool) -> tuple[dict[Target, Record], list[Target]]:
    """Return the records of the targets that are up to date, and the other targets."""
    records: dict[Target, Record] = {}
    pending = []
    for target in targets:
        record = None if force else workspace.read_record(target)
        status = workspace.status(target)
        if record is not None and (status.state == "fresh" or status.reason == UNCHECKED):
            records[target] = record
        else:
            if not force:
                check_readable(target, status)
            pending.append(target)
    return records, pending


@contextlib.contextmanager
def _keeping_checked(stage: Stage, targets: Sequence[Target]) -> Iterator[None]:
    """Mark targets as unchecked while they are built, so that they do not count even if this process is killed.

    If the build fails before it puts anything in place, a target keeps the checks that it has passed.
    """
    if not any(check.is_hard for check in stage.checks):
        yield
        return
    checked = {target: _stamps(stage, target) for target in targets if not stage.unchecked_mark(target).exists()}
    for target in targets:
        make_directory(stage.unchecked_mark(target).parent)
        stage.unchecked_mark(target).touch()
    try:
        yield
    except BaseException:
        for target, before in checked.items():
            if any(before) and _stamps(stage, target) == before:
                stage.unchecked_mark(target).unlink(missing_ok=True)
        raise


def _stamps(stage: Stage, target: Target) -> list[tuple[int, ...] | None]:
    """Return which files and folders a target has and when they were put in place; `None` for those that are not there.

    Outputs are written beside and renamed, so that another output is another inode.
    """
    stamps: list[tuple[int, ...] | None] = []
    for path in (*stage.written(target), *stage.record_files(target)):
        try:
            found = path.lstat()
        except OSError:
            stamps.append(None)
        else:
            stamps.append((found.st_dev, found.st_ino, found.st_mtime_ns))
    return stamps


def _discard_unfinished(stage: Stage, targets: Iterable[Target]) -> None:
    for target in targets:
        stage.discard_unfinished(target)


@contextlib.contextmanager
def _locks(workspace: Workspace, targets: Sequence[Target], wait: bool) -> Iterator[None]:
    """Hold the locks of targets. Everybody takes them in the same order, so that no two wait for each other."""
    with contextlib.ExitStack() as stack:
        for target in sorted(targets):
            written = workspace.stage(target).written(target)
            stack.enter_context(output_lock(written[0], FOR_EVER if wait else 0.0, _tell, guarded=written[1:]))
            for path in written:
                remove_leftovers(path)
        yield


def _tell(line: str) -> None:
    """Say a line on the terminal and in the log of the run."""
    say(line)
    tell_listeners(line)
