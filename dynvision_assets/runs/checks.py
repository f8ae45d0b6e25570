"""The checks of finished targets as Dagster's: one result for each, and one for several partitions together.

Dagster shows only the newest result of a check. So a result also holds which other partitions have failed it, in this
run or in an earlier one, until they are made again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
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

_FAILING = "failing_partitions"
"""Metadata of a result: the partitions that fail the check, each with the version of what failed and the sentence."""

_LOOKED_AT = 10
"""How many events of a check are looked at for the newest result. Runs that have only planned it come first."""

Key = tuple[str, ...]
Failing = dict[str, list[str]]


def report_check(
    key: Key, result: dict[str, Any], hard: set[str], failing: Failing | None = None
) -> dg.AssetCheckEvaluation:
    """Turn the result of a check into Dagster's.

    Args:
        key: The asset.
        result: The result, as `dynvision.workspace.checking` returns it.
        hard: The names of the checks whose failure fails the run.
        failing: The partitions that fail the check, as the next run is to know them.
    """
    is_hard = result["name"] in hard
    return dg.AssetCheckEvaluation(
        asset_key=asset_key(key),
        check_name=result["name"],
        passed=result["passed"],
        severity=dg.AssetCheckSeverity.ERROR if is_hard else dg.AssetCheckSeverity.WARN,
        description=escape_markdown(result["sentence"]),  # Dagster reads it as Markdown
        metadata={
            **result["numbers"],
            "offenders": "\n".join(map(show_text, result["offenders"][:20])) or "none",
            **({_FAILING: dg.MetadataValue.json(failing)} if failing else {}),
        },
    )


class CheckBook:
    """Runs the checks of the targets of a run, and keeps their results.

    Args:
        workspace: The workspace.
        instance: Dagster's instance, which knows the results of earlier runs.
    """

    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance) -> None:
        self.workspace, self.instance = workspace, instance
        self._results: dict[tuple[Key, str], dict[Target, CheckResult]] = {}
        self._failing: dict[tuple[Key, str], Failing] = {}

    def check(self, target: Target, record: Record) -> tuple[list[dg.AssetCheckEvaluation], CheckResult | None]:
        """Run the checks of a target.

        Returns:
            All results, and the first hard check that does not hold, if there is one.
        """
        results = run_checks(self.workspace, target, record)
        hard = self._hard(target)
        failed = next((result for result in results if not result.passed and result.name in hard), None)
        return [self._keep(target, result, record.data_version) for result in results], failed

    def explain(self, failed: Mapping[Target, DynvisionError]) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield the failure of checks that are made while a target is built, for targets that are damaged."""
        for target, error in failed.items():
            for check in self.workspace.stage(target).checks:
                if check.while_building and isinstance(error, DataError):
                    yield self._keep(target, CheckResult(check.name, False, str(error)))

    def combine(self) -> Iterator[dg.AssetCheckEvaluation]:
        """Yield one result for all partitions of each asset, if there were several, or others have failed before."""
        for (key, name), results in self._results.items():
            failing = self._failing[key, name]
            others = {Target(key, partition): sentence for partition, (_, sentence) in failing.items()}
            before = {t: CheckResult(name, False, sentence) for t, sentence in others.items() if t not in results}
            if len(results) + len(before) > 1:
                hard = self._hard(next(iter(results)))
                yield report_check(key, vars(_combine(name, {**results, **before})), hard, failing)

    def _keep(self, target: Target, result: CheckResult, version: str = "") -> dg.AssetCheckEvaluation:
        """Keep a result, and return it as Dagster's. A target that has no version does not exist later."""
        at = target.key, result.name
        self._results.setdefault(at, {})[target] = result
        if at not in self._failing:
            self._failing[at] = self._read_failing(*at)
        failing = self._failing[at]
        if target.partition is not None:
            failing.pop(target.partition, None)
            if version and not result.passed:
                failing[target.partition] = [version, result.sentence]
            result = replace(result, sentence=f"{target.partition}: {result.sentence}")
        return report_check(target.key, vars(result), self._hard(target), failing)

    def _read_failing(self, key: Key, name: str) -> Failing:
        """Return the partitions that have failed a check in earlier runs, and that are still what they were then."""
        check = dg.AssetCheckKey(asset_key(key), name)
        for row in self.instance.event_log_storage.get_asset_check_execution_history(check, _LOOKED_AT):
            event = row.event.dagster_event if row.event is not None else None
            result = event.event_specific_data if event is not None else None
            if isinstance(result, dg.AssetCheckEvaluation):
                metadata = result.metadata.get(_FAILING)
                failing: Any = metadata.value if metadata is not None else {}
                return {
                    str(target.partition): failing[target.partition]
                    for target in self.workspace.targets(key)
                    if target.partition in failing
                    and (record := self.workspace.read_record(target)) is not None
                    and record.data_version == failing[target.partition][0]
                }
        return {}

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
