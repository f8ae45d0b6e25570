"""The checks of finished targets as Dagster's: one result for each, and one for all partitions of a run together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dynvision.errors import DataError, DynvisionError
from dynvision.records import Record
from dynvision.stages.base.checks import CheckResult
from dynvision.system.escaping import escape_markdown, show_text
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.checking import run_checks
from dynvision_assets.partitions import asset_key

__all__ = ["CheckBook", "report_check"]

_MOST_NAMED = 5


def report_check(key: tuple[str, ...], result: dict[str, Any], hard: set[str]) -> dg.AssetCheckEvaluation:
    """Turn the result of a check into Dagster's.

    Args:
        key: The asset.
        result: The result, as `dynvision.workspace.checking` returns it.
        hard: The names of the checks whose failure fails the run.
    """
    is_hard = result["name"] in hard
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(key),
        check_name=result["name"],
        passed=result["passed"],
        severity=dg.AssetCheckSeverity.ERROR if is_hard else dg.AssetCheckSeverity.WARN,
        description=escape_markdown(result["sentence"]),  # Dagster reads it as Markdown
        metadata={**result["numbers"], "offenders": "\n".join(map(show_text, result["offenders"][:20])) or "none"},
    )


class CheckBook:
    """Runs the checks of the targets of a run, and keeps their results.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._results: dict[tuple[tuple[str, ...], str], dict[Target, CheckResult]] = {}

    def check(self, target: Target, record: Record) -> tuple[list[dg.AssetCheckEvaluation], CheckResult | None]:
        """Run the checks of a target.

        Returns:
            All results, and the first hard check that does not hold, if there is one.
        """
        results = run_checks(self.workspace, target, record)
        hard = self._hard(target)
        failed = next((result for result in results if not result.passed and result.name in hard), None)
        return [self._keep(target, result) for result in results], failed

    def explain(self, failed: Mapping[Target, DynvisionError]) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield the failure of checks that are made while a target is built, for targets that are damaged."""
        for target, error in failed.items():
            for check in self.workspace.stage(target).checks:
                if check.while_building and isinstance(error, DataError):
                    yield self._keep(target, CheckResult(check.name, False, str(error)))

    def combine(self) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield one result for all partitions of each asset, where there were several.

        Dagster shows only the newest result of a check. It would be that of the partition that was finished last.
        """
        for (key, name), results in self._results.items():
            if len(results) > 1:
                hard = self._hard(next(iter(results)))
                yield report_check(key, vars(_combine(name, results)), hard)

    def _keep(self, target: Target, result: CheckResult) -> dg.AssetCheckEvaluation:
        self._results.setdefault((target.key, result.name), {})[target] = result
        return report_check(target.key, vars(result), self._hard(target))

    def _hard(self, target: Target) -> set[str]:
        return {check.name for check in self.workspace.stage(target).checks if check.is_hard or check.while_building}


def _combine(name: str, results: Mapping[Target, CheckResult]) -> CheckResult:
    """Put the results of a check on several partitions together: numbers are added up, those that failed come first."""
    failed = {target: result for target, result in results.items() if not result.passed}
    shown = list((failed or results).items())[:_MOST_NAMED]
    head = f"{len(failed)} of {len(results)} partitions fail" if failed else f"{len(results)} partitions"
    sentence = f"{head}: " + "; ".join(f"{target.partition}: {result.sentence}" for target, result in shown)
    more = len(failed or results) - len(shown)
    numbers: dict[str, float] = {}
    for result in results.values():
        for label, value in result.numbers.items():
            if isinstance(value, int):
                numbers[label] = numbers.get(label, 0) + value
    offenders = [f"{target.partition}: {line}" for target, result in results.items() for line in result.offenders]
    return CheckResult(name, not failed, sentence + (f"; and {more} more" if more else ""), numbers, offenders)
