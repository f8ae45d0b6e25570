"""The check of summaries."""

from __future__ import annotations

import math
from typing import Any

from dynvision.stages.base.checks import CheckResult, Inspection
from dynvision.stages.summary_targets import SummaryTargets, is_phenomena

__all__ = ["SummaryInspection", "every_condition_is_measured"]


class SummaryInspection(Inspection):
    """A look at a summary; the stage says which conditions it is made from."""

    stage: SummaryTargets


def every_condition_is_measured(inspection: SummaryInspection) -> CheckResult:
    """Every condition is in the table, with an accuracy if its labels are classes of the network and scores differ."""
    if is_phenomena(inspection.target):
        rows = inspection.record.details["phenomena"]
        read = sum(row["value"] is not None for row in rows)
        return CheckResult("every_condition_is_measured", True, f"{read} of {len(rows)} numbers were read", {})
    conditions = inspection.stage.conditions(inspection.target)
    rows = inspection.record.details["tuning"]
    settings = [inspection.stage.config.record(*key[1:]) for key in {condition.key for condition in conditions}]
    unlabelled = inspection.record.details.get("without_accuracy", [])
    asked = [row for row in rows if "accuracy" in row and row.get("subject") not in unlabelled]
    without = [_name_row(row) for row in asked if row["accuracy"] is None or not math.isfinite(row["accuracy"])]
    unanswered = set(inspection.record.details.get("unanswered", ()))
    wrong = [name for name in without if name not in unanswered]
    if any(setting.allow_nonfinite for setting in settings):
        wrong = []
    sentence = f"{len(rows)} of {len(conditions)} conditions are in the table"
    if unanswered:
        sentence += f"; in {len(unanswered)} of them all classes have the same score, so there is no accuracy"
    if len(asked) < len(rows):
        sentence += f"; in {len(rows) - len(asked)} of them labels do not match the network's classes: no accuracy"
    passed = len(rows) == len(conditions) and not wrong
    return CheckResult("every_condition_is_measured", passed, sentence, {"conditions": len(rows)}, wrong)


def _name_row(row: dict[str, Any]) -> str:
    return "/".join(str(row[name]) for name in ("subject", "condition") if name in row)
