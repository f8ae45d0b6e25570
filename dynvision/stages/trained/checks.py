"""The checks of trained networks."""

from __future__ import annotations

from dynvision.models.weights_header import read_arrays
from dynvision.stages.base.checks import CheckResult, Inspection

__all__ = ["validation_is_above_chance", "weights_are_finite"]


def weights_are_finite(inspection: Inspection) -> CheckResult:
    """No weight of the trained network is NaN or infinite: training did not diverge."""
    import numpy as np

    weights = read_arrays(inspection.folder / "trained.safetensors")
    wrong = [name for name, value in weights.items() if not np.isfinite(value).all()]
    count = sum(value.size for value in weights.values())
    return CheckResult("weights_are_finite", not wrong, f"{count} weights", {"weights": count}, wrong)


def validation_is_above_chance(inspection: Inspection) -> CheckResult:
    """The network has learned to name more validation images than by guessing; one not trained here passes."""
    details = inspection.record.details
    if "val_accuracy" not in details:
        return CheckResult("validation_is_above_chance", True, "the network is not trained here")
    accuracy, chance = details["val_accuracy"][-1], 1 / len(details["classes"])
    sentence = f"validation accuracy {accuracy:.1%}, chance {chance:.1%}"
    return CheckResult("validation_is_above_chance", accuracy > chance, sentence, {"val_accuracy": accuracy})
