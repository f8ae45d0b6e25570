"""Running the checks of finished targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynvision.errors import DynvisionError, MissingError
from dynvision.records import Record
from dynvision.stages.base.checks import Check, CheckResult, Inspection
from dynvision.targets import Target
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.workspace import Workspace

__all__ = ["check_targets", "passes_hard_checks", "run_checks"]


def run_checks(workspace: Workspace, target: Target, record: Record) -> list[CheckResult]:
    """Run all checks of a target's stage; they share one look at the target. A check that cannot be run fails."""
    stage = workspace.stage(target)
    inspection = stage.inspect(target, record)
    return [_run(check, inspection) for check in stage.checks]


def passes_hard_checks(workspace: Workspace, target: Target, record: Record) -> bool:
    """Tell whether a finished target passes the checks without which nothing may be built on it."""
    stage = workspace.stage(target)
    inspection = stage.inspect(target, record)
    return all(_run(check, inspection).passed for check in stage.checks if check.is_hard)


def _run(check: Check, inspection: Inspection) -> CheckResult:
    try:
        return check.run(inspection)
    except (DynvisionError, OSError, ValueError, LookupError, ArithmeticError, TypeError) as error:
        return CheckResult(check.name, False, f"it could not be checked: {error}")


def check_targets(targets: list[str], *, root: str, config: Mapping[str, Any] | str) -> list[dict[str, Any]]:
    """Run the checks of targets that have been made; takes and returns JSON-ready values, for any process.

    Raises:
        MissingError: If a target has not been made; names the command that makes it.
    """
    workspace = Workspace.of_reading(root, config)
    chosen = [target for text in targets for target in parse_target(workspace, text)]
    results = []
    for target in chosen:
        record = workspace.stage(target).read_record(target)
        if record is None:
            raise MissingError(f"{target} has not been made. Make it: dynvision make {target}")
        results += [vars(result) for result in run_checks(workspace, target, record)]
    return results
