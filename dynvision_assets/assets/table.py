"""The table of assets: one line for each stage, registered by the module of that stage in this folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dagster as dg

from dynvision.errors import unknown_name
from dynvision.workspace import Workspace
from dynvision_assets.run_config import BuildConfig

__all__ = ["AssetType", "asset_type", "make_assets", "register"]

Make = Callable[[Workspace, tuple[str, ...], "AssetType"], dg.AssetsDefinition]


@dataclass(frozen=True)
class AssetType:
    """How Dagster shows and builds the assets of a stage.

    Attributes:
        stage: The name of the stage.
        kinds: What its assets consist of; Dagster shows an icon for each in the graph.
        make: Makes the asset of a key.
        config_type: The settings that the Launchpad offers for a run.
    """

    stage: str
    kinds: frozenset[str]
    make: Make
    config_type: type[BuildConfig] = BuildConfig


_TABLE: dict[str, AssetType] = {}


def register(line: AssetType) -> AssetType:
    """Add a line to the table.

    Returns:
        The same line.
    """
    _TABLE[line.stage] = line
    return line


@cache
def _read_table() -> dict[str, AssetType]:
    """Return the table, after importing every module of this folder, so that each has registered its line."""
    package = __name__.rpartition(".")[0]
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{package}.{module.name}")
    return _TABLE


def asset_type(stage: str) -> AssetType:
    """Return the line of a stage.

    Args:
        stage: The name of the stage.

    Raises:
        UnknownNameError: If no module of this folder has registered one.
    """
    table = _read_table()
    if stage not in table:
        raise unknown_name("stage", stage, table, "dynvision_assets.assets")
    return table[stage]


def make_assets(workspace: Workspace) -> list[dg.AssetsDefinition]:
    """Make the assets of all keys of a workspace, in the order of the stages."""
    lines = {name: asset_type(name) for name in workspace.stages}
    return [lines[key[0]].make(workspace, key, lines[key[0]]) for key in workspace.keys]
