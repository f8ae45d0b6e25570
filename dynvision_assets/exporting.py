"""Results for other programs: `export` writes responses as netCDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynvision.exports.formats import SUFFIXES, check_format
from dynvision.system.error_log import machine_errors
from dynvision.system.files import digest_json
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.loading import choose_targets
from dynvision_assets.opening import open_here

__all__ = ["export", "export_from"]

_LONGEST = 120
"""Characters of a file's name; the names of many conditions are longer."""


@machine_errors()
def export(
    target: str,
    format: str = "netcdf",
    path: Path | str | None = None,
    *,
    partition: str | None = None,
    layers: Sequence[str] = (),
    per_condition: bool = False,
    overwrite: bool = False,
    allow_missing: bool = False,
    root: Path | str | None = None,
    **levels: Any,
) -> list[Path]:
    """Write responses to files that plain xarray opens, without this package.

    ===========  ========================================================================================
    `netcdf`     what `load` gives: a group for each layer, labels and scores at the root
    `brainio`    one variable, presentation × neuroid × time bin, in the shape of BrainIO's assemblies
    ===========  ========================================================================================

    Values are checked as they are read and written chunk by chunk, so responses may be larger than the memory. A file
    is there whole or not at all.

    Args:
        target: An asset key of responses, or a key with a partition.
        format: `netcdf` or `brainio`.
        path: The file, or the folder if there is one file for each condition; by default in `data/exports/`.
        partition: The condition, if `target` does not name it; by default all of them.
        layers: The layers; by default all of them.
        per_condition: Write one file for each condition.
        overwrite: Replace also a file that is no export of the same responses.
        allow_missing: Export the conditions that exist; those that are missing are NaN in netCDF, and not there in
            BrainIO's shape.
        root: The folder that contains `data/`; see `load`.
        levels: The levels of swept parameters, to choose conditions; see `load`.

    Returns:
        The files.

    Raises:
        UnknownNameError: If there is no such asset, partition, level, layer or format; the message names the nearest.
        ConfigError: If the target is not exported, or a file that is something else is in the way.
        MissingError: If it has not been made; the message names the command that makes it.
        DamagedFileError: If a file is not the one that was written.
        MachineError: If the disk is full, a permission is missing, and so on.
    """
    workspace, selectors = open_here(root), {name: value for name, value in levels.items() if value is not None}
    chosen = choose_targets(workspace, target, partition, selectors)
    options = {"layers": layers, "overwrite": overwrite, "allow_missing": allow_missing}
    return export_from(workspace, chosen, format, path, per_condition=per_condition, **options)


def export_from(
    workspace: Workspace,
    chosen: Sequence[Target],
    form: str,
    path: Path | str | None = None,
    *,
    per_condition: bool = False,
    **options: Any,
) -> list[Path]:
    """Export targets of a workspace that is open already; see `export`.

    Args:
        workspace: The workspace.
        chosen: The targets, of one key.
        form: The format.
        path: The file or folder.
        per_condition: Write one file for each target.
        options: The other options of `Stage.export`.
    """
    stage, suffix = workspace.stage(chosen[0]), SUFFIXES[check_format(form)]
    base = workspace.paths.data.joinpath("exports", *chosen[0].key[1:])
    if per_condition:
        folder = base if path is None else Path(path)
        existing = [t for t in chosen if not options.get("allow_missing") or stage.read_record(t) is not None]
        return [
            stage.export([one], form, folder / f"{one.partition}{suffix}", **options) for one in existing or chosen[:1]
        ]
    is_whole = len(chosen) == len(workspace.targets(chosen[0].key))
    file = base.with_name(base.name + suffix) if is_whole else base / f"{_name_selection(workspace, chosen)}{suffix}"
    return [stage.export(chosen, form, file if path is None else Path(path), **options)]


def _name_selection(workspace: Workspace, chosen: Sequence[Target]) -> str:
    """Return the name of some conditions: the levels of each parameter."""
    levels: dict[str, list[str]] = {}
    for target in chosen:
        for parameter, level in _levels_of(workspace, target).items():
            if level not in levels.setdefault(parameter, []):
                levels[parameter].append(level)
    name = ",".join(f"{parameter}={'+'.join(chosen)}" for parameter, chosen in levels.items())
    return name if len(name) <= _LONGEST else f"{name[:80]}-{digest_json(name)[:12]}"


def _levels_of(workspace: Workspace, target: Target) -> Mapping[str, str]:
    return workspace.stage(target).levels(target)
