"""Running the checks of finished targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dynvision.records import Record
from dynvision.stages.checks import CheckResult
from dynvision.targets import Target
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.workspace import Workspace

__all__ = ["check_targets", "run_checks"]


def run_checks(workspace: Workspace, target: Target, record: Record) -> list[CheckResult]:
    """Run all checks of a target's stage; they share one look at the target."""
    stage = workspace.stage(target)
    inspection = stage.inspect(target, record)
    return [check.run(inspection) for check in stage.checks]


def check_targets(targets: list[str], *, root: str, config: str) -> list[dict[str, Any]]:
    """Run the checks of targets that have been made; takes and returns JSON-ready values, for any process.

    Raises:
        MissingError: If a target has not been made; names the command that makes it.
    """
    workspace = Workspace.open(Path(root), Path(config))
    chosen = [target for text in targets for target in parse_target(workspace, text)]
    results = []
    for target in chosen:
        (record,) = workspace.stage(target).require([target])
        results += [vars(result) for result in run_checks(workspace, target, record)]
    return results
