"""Results in Python: `load` what a stage made, or get its `path`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dynvision.data.stores.beton_files import ProcessedFile
from dynvision.errors import ConfigError, UnknownNameError, nearest_name, unknown_name
from dynvision.stages.base import Stage
from dynvision.system.error_log import machine_errors
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.leftovers import hint_at_leftover, parse_existing
from dynvision_assets.opening import open_here

__all__ = ["ProcessedFile", "choose_targets", "load", "load_from", "path"]

OPTIONS = ("split", "group", "seed", "file", "table", "allow_missing")
"""The keywords of `load` that are not swept parameters."""


@machine_errors()
def path(
    target: str,
    *,
    partition: str | None = None,
    split: str | None = None,
    group: str | None = None,
    root: Path | str | None = None,
    **levels: Any,
) -> Path:
    """Return where a target is on disk, whether or not it has been made.

    Args:
        target: An asset key, or a key with a partition.
        partition: The partition, if `target` does not name it.
        split: Together with `group`, another way to name a partition of interim and processed; alone, of raw.
        group: See `split`.
        root: The folder that contains `data/`; by default `$DYNVISION_ROOT`, or the nearest root at or
            above the current folder.
        levels: The level of each swept parameter of an experiment.

    Returns:
        The file or folder.

    Raises:
        UnknownNameError: If there is no such asset or partition; the message names the nearest.
        ConfigError: If the arguments name several partitions, or one twice.
        TypeError: If a keyword has no meaning for this asset; the message names the valid ones.
    """
    selectors = _given(split=split, group=group, **levels)
    workspace = open_here(root)
    chosen = choose_targets(workspace, target, partition, selectors, None)
    if len(chosen) != 1:
        raise ConfigError(f"{target} has {len(chosen)} partitions; say which with partition=")
    return workspace.stage(chosen[0]).output(chosen[0])


@machine_errors()
def load(
    target: str,
    *,
    partition: str | None = None,
    split: str | None = None,
    group: str | None = None,
    file: str | None = None,
    seed: int | None = None,
    allow_missing: bool = False,
    table: str | None = None,
    root: Path | str | None = None,
    **levels: Any,
) -> Any:
    """Load what a stage made.

    The result depends on the stage:

    ========================================  =======================================================
    `raw/<dataset>`                           a torchvision dataset of a split, like interim
    `interim/<dataset>`                       a torchvision dataset; labels in the dataset's own order
    `processed/<dataset>`                     a `ProcessedFile`: path, sidecar, `.loader(...)`
    `models/<model>/<dataset>`                the trained network, in evaluation mode
    `responses/<experiment>/<subject>`        `xarray.DataTree`, one node for each layer, lazy
    `summary/<experiment>/<subject>`          `pandas.DataFrame`, one row for each condition, time, layer, measure
    `summary/<experiment>`                    `pandas.DataFrame`, one row for each subject and condition
    `summary/phenomena/<subject>`             `pandas.DataFrame`, one row for each number that shows a phenomenon
    ========================================  =======================================================

    Args:
        target: An asset key, or a key with a partition (`responses/contrast/rcnn_gratings:0.4`).
        partition: The partition, if `target` does not name it; by default all conditions of responses.
        split: `train` or `test`.
        group: The class group; `all` by default.
        file: Which file of processed: `train`, `val` or `test`.
        seed: Which network of models; 0 by default.
        table: Which table of a summary, the data behind each picture: `table` (the default), `tuning` (one row for each
            condition), `fits` (fitted parameters with confidence intervals), `time_courses`, and `groups` if the
            experiment has `group_by`. For the summary over all subjects, `table` or `fits`; for phenomena `table`.
        allow_missing: Load the conditions that exist, with NaN for the others, instead of raising.
        root: The folder that contains `data/`; by default `$DYNVISION_ROOT`, or the nearest root at or
            above the current folder.
        levels: The level of each swept parameter, to choose conditions of responses: `contrast=0.5`; several of them,
            `contrast=[0.1, 0.5]`; or a range of numbers with both ends, `contrast=slice(0.1, 0.5)`.

    Returns:
        See the table.

    Raises:
        UnknownNameError: If there is no such asset or partition; the message names the nearest.
        ConfigError: If the arguments name several partitions that cannot be loaded together, or one twice.
        TypeError: If a keyword has no meaning for this asset; the message names the valid ones.
        MissingError: If it has not been made; the message names the command that makes it.
        DamagedFileError: If a file is not the one that was written.
        UnreadableError: If one exists but cannot be read.
        MachineError: If a permission is missing, the disk does not answer, there is not enough memory, and so on.
    """
    selectors = _given(split=split, group=group, seed=seed, **levels)
    options = _given(file=file, table=table, allow_missing=allow_missing or None)
    return load_from(open_here(root), target, partition, selectors, options)


def load_from(
    workspace: Workspace,
    target: str,
    partition: str | None = None,
    selectors: Mapping[str, Any] = MappingProxyType({}),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """Load what a stage of a workspace that is open already made; see `load`.

    Args:
        workspace: The workspace; its configuration is not read again.
        target: An asset key, or a key with a partition.
        partition: The partition, if `target` does not name it.
        selectors: The keywords of `load` that choose a partition.
        options: The keywords of `load` that say how to load it.
    """
    chosen = choose_targets(workspace, target, partition, selectors, options)
    return workspace.stage(chosen[0]).load(chosen, **options)


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that are not `None`."""
    return {name: value for name, value in options.items() if value is not None}


def choose_targets(
    workspace: Workspace,
    text: str,
    partition: str | None,
    selectors: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
) -> list[Target]:
    """Find the targets that the arguments of `load`, `path` or `export` name.

    Args:
        workspace: The workspace.
        text: An asset key, or a key with a partition.
        partition: The partition, if `text` does not name it.
        selectors: The keywords that choose a partition.
        options: The keywords that say how to load it; `None` for a path or an export, which have none of them.

    Raises:
        UnknownNameError: If there is no such asset or partition; the message names the nearest.
        TypeError: If a keyword has no meaning for this asset; the message names the valid ones.
        ConfigError: If a partition is named twice.
    """
    chosen = parse_existing(workspace, text)
    key = chosen[0].key
    stage = workspace.stages[key[0]]
    _check_options(stage, key, [*selectors, *(options or ())], stage.load_options if options is not None else ())
    is_named = len(chosen) == 1 < len(stage.partitions(key))
    if selectors and (partition is not None or is_named):
        ways = ", ".join(f"{name}=" for name in stage.selectors_of(key))
        raise ConfigError(f"{text}: give either the partition, or {ways}")
    if partition is not None:
        if is_named:
            raise ConfigError(f"{text} already names a partition; leave out partition=")
        return parse_existing(workspace, f"{text}:{partition}")
    try:
        return chosen if is_named else stage.select(key, **selectors)
    except UnknownNameError as error:
        hint = hint_at_leftover(workspace, text, selectors)
        raise UnknownNameError(f"{error}{hint}") from error


def _check_options(stage: Stage, key: tuple[str, ...], names: list[str], options: Sequence[str]) -> None:
    """Raise an error if a keyword of `load` or `path` has no meaning for an asset.

    Raises:
        UnknownNameError: If an experiment has no such parameter.
        TypeError: If it is any other keyword; the message names the valid ones.
    """
    selectors = stage.selectors_of(key)
    valid = [*(["partition"] if stage.is_partitioned else []), *selectors, *options]
    for name in names:
        if name in valid:
            continue
        if selectors != stage.selectors and name not in OPTIONS:  # Each experiment has its own swept parameters.
            raise unknown_name("parameter", name, selectors)
        raise TypeError(f"{'/'.join(key)} has no option '{name}'. {nearest_name(name, valid)}")
