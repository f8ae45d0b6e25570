"""Building targets: the one entry that assets, the command line and a cluster's job share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dynvision.errors import DynvisionError
from dynvision.records import Record
from dynvision.stages.run_settings import RunSettings
from dynvision.system.files import output_lock, remove_leftovers
from dynvision.targets import Target
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.workspace import Workspace

__all__ = ["build_targets", "reject_targets", "release_responses", "show_stimuli", "verify_responses"]


_held_until_verified: dict[tuple[str, tuple[Target, ...]], contextlib.ExitStack] = {}
"""Locks that `show_stimuli` leaves to `verify_responses` where both run in one process; they end with it."""


def build_targets(
    targets: Sequence[str],
    *,
    root: str,
    config: str,
    force: bool = False,
    run_settings: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Build targets of one asset whose inputs are there.

    Args:
        targets: What to build, as text.
        root: The folder that holds `data/`.
        config: The config folder.
        force: Build them even if they are up to date.
        run_settings: How this run computes, as `RunSettings` has it; it changes nothing of what is built.

    Returns:
        The record of each, in order.

    Raises:
        ConfigError: A run setting is unknown or out of bounds.
        MissingError: An input has not been built; names the command that does.
        OutputBusyError: Another process builds one of them.
    """
    workspace, chosen = _open(targets, root, config)
    with _locks(workspace, chosen):
        records, pending = _split(workspace, chosen, force)
        stage = workspace.stage(chosen[0])
        stage.run = RunSettings.from_dict(run_settings)
        groups = [pending] if stage.builds_many and pending else [[target] for target in pending]
        for group in groups:
            inputs = {key: value for target in group for key, value in workspace.inputs(target).items()}
            records.update(zip(group, stage.build(group, inputs, force), strict=True))
    return [records[target].to_dict() for target in chosen]


def reject_targets(targets: Sequence[str], *, root: str, config: str) -> list[str]:
    """Put the records of targets aside, as `<name>.rejected`, so that nothing is built on them.

    For outputs that fail a check: the files stay for whoever wants to look, but do not count as built.

    Returns:
        The files put aside.
    """
    workspace, chosen = _open(targets, root, config)
    aside = []
    with _locks(workspace, chosen):
        for path in (path for target in chosen for path in workspace.stage(target).record_files(target)):
            if path.exists():
                os.replace(path, path.with_name(path.name + ".rejected"))
                aside.append(str(path))
    return aside


def show_stimuli(
    targets: Sequence[str],
    *,
    root: str,
    config: str,
    force: bool = False,
    run_settings: Mapping[str, Any] | None = None,
) -> list[str]:
    """Show the stimuli of conditions that are not up to date, and write the responses beside their place.

    The outputs stay locked for this process until `verify_responses` has put them in place.

    Args:
        targets: The conditions, as text; all of one asset.
        root: The folder that holds `data/`.
        config: The config folder.
        force: Show those that are up to date too, from the first image on.
        run_settings: Settings of `record` and `run` for this run, over those of the config files. Where they change
            numbers, the responses count as stale until the files say the same.

    Returns:
        The targets that were shown and wait to be verified.
    """
    from dynvision.stages.responses import ResponsesStage

    workspace, chosen = _open(targets, root, config)
    if run_settings:
        changed = workspace.config.with_settings(chosen[0].key[1], run_settings)
        workspace = Workspace(changed, workspace.paths)
    stage = workspace.stage(chosen[0])
    if not isinstance(stage, ResponsesStage):
        raise DynvisionError(f"{chosen[0]} is no response; stimuli are shown for targets of the stage 'responses'")
    release_responses(root, chosen)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_locks(workspace, chosen))
        _, pending = _split(workspace, chosen, force)
        if pending:
            inputs = {key: value for target in pending for key, value in workspace.inputs(target).items()}
            stage.show(pending, inputs, force)
        _held_until_verified[root, tuple(chosen)] = stack.pop_all()
    return [str(target) for target in pending]


def release_responses(root: str, targets: Iterable[Target] | None = None) -> None:
    """Free the locks that `show_stimuli` left for a verification that did not come.

    Args:
        root: The folder that holds `data/`.
        targets: Only those of these targets; by default all of the root.
    """
    wanted = None if targets is None else set(targets)
    for key in [key for key in _held_until_verified if key[0] == root]:
        if wanted is None or wanted & set(key[1]):
            _held_until_verified.pop(key).close()


def verify_responses(targets: Sequence[str], shown: Sequence[str], *, root: str, config: str) -> list[dict[str, Any]]:
    """Read back what `show_stimuli` wrote and put it in place.

    Args:
        targets: All conditions of the run.
        shown: Those that were shown in it.
        root: The folder that holds `data/`.
        config: The config folder.

    Returns:
        The record of each target, in order.

    Raises:
        DamagedFileError: A store is incomplete, not finite or not what was written.
    """
    from dynvision.stages.responses import ResponsesStage

    workspace, chosen = _open(targets, root, config)
    stage = workspace.stage(chosen[0])
    assert isinstance(stage, ResponsesStage)
    held = _held_until_verified.pop((root, tuple(chosen)), None)
    with held or _locks(workspace, chosen):
        pending = [target for target in chosen if str(target) in set(shown)]
        records = dict(zip(pending, stage.verify(pending), strict=True))
        for target in chosen:
            record = records.get(target) or workspace.read_record(target)
            if record is None:
                raise DynvisionError(f"{target} has no responses. Make it: dynvision make {target}")
            records[target] = record
    return [records[target].to_dict() for target in chosen]


def _open(targets: Sequence[str], root: str, config: str) -> tuple[Workspace, list[Target]]:
    workspace = Workspace.open(Path(root), Path(config))
    chosen = [target for text in targets for target in parse_target(workspace, text)]
    if len({target.key for target in chosen}) != 1:
        raise DynvisionError("targets that are built together belong to one asset")
    return workspace, chosen


def _split(workspace: Workspace, targets: Sequence[Target], force: bool) -> tuple[dict[Target, Record], list[Target]]:
    """The records of what is up to date, and what is not."""
    records: dict[Target, Record] = {}
    pending = []
    for target in targets:
        record = None if force else workspace.read_record(target)
        if record is not None and workspace.status(target).state == "fresh":
            records[target] = record
        else:
            pending.append(target)
    return records, pending


@contextlib.contextmanager
def _locks(workspace: Workspace, targets: Sequence[Target]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for target in sorted(targets):
            written = workspace.stage(target).written(target)
            stack.enter_context(output_lock(written[0]))
            for path in written:
                remove_leftovers(path)
        yield
