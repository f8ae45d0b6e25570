"""Roots in which a chain of targets is built."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dynvision.records import Record
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets

CHAIN = (
    "summary/contrast/rcnn_gratings",
    "responses/contrast_duration/rcnn_gratings",
    "responses/contrast/rcnn_ends",
    "interim/gratings",
)
"""What is built in the root of the tests of the assets."""


@dataclass
class Chain:
    """A root in which everything is built for `summary/contrast/rcnn_gratings`."""

    root: Path
    config: Path

    def open(self) -> Workspace:
        """Open a new workspace over it."""
        return Workspace.open(self.root, self.config)


def build_chain(root: Path, config: Path, *targets: str) -> None:
    """Build targets and everything upstream that is out of date, asset by asset."""
    workspace = Workspace.open(root, config)
    plan = workspace.plan(target for text in targets for target in parse_target(workspace, text))
    for key in dict.fromkeys(target.key for target in plan):
        build_targets([str(t) for t in plan if t.key == key], root=str(root), config=str(config))


def copy_root(made: Path, root: Path) -> Path:
    """Copy a root so that a test can change it; links stay links.

    `.beton` files are hard links, because they take 17 MB each. A test that changes one must delete it first.
    """

    def copy(source: str, target: str) -> None:
        (os.link if source.endswith(".beton") else shutil.copy2)(source, target)

    return Path(shutil.copytree(made, root, symlinks=True, copy_function=copy))


def open_workspace(root: Path, config: Path | None = None) -> Workspace:
    """The workspace of a root, with the configuration that lies in it or another."""
    return Workspace.open(root, config or root / "config")


def states(root: Path, config: Path | None = None) -> dict[str, str]:
    """The state of every target, by the root's own configuration or another."""
    workspace = open_workspace(root, config)
    return {str(t): workspace.status(t).state for key in workspace.keys for t in workspace.targets(key)}


def records(root: Path) -> dict[Target, Record]:
    """The records of all targets that have been built."""
    workspace = open_workspace(root)
    existing = {t: workspace.stage(t).read_record(t) for key in workspace.keys for t in workspace.targets(key)}
    return {target: record for target, record in existing.items() if record is not None}
