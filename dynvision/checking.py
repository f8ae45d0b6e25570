"""Checks of finished targets: each states the truth that it asserts, and says what is wrong where it does not hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynvision.data.class_folders import list_images
from dynvision.errors import DynvisionError
from dynvision.records import Record
from dynvision.targets import Target
from dynvision.workspace import Workspace

__all__ = ["CHECKS", "CheckResult", "check_targets", "run_checks"]


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check.

    Attributes:
        name: The truth that it asserts.
        passed: Whether it holds.
        sentence: What was found.
        numbers: Counts.
        offenders: What does not fit, by name.
    """

    name: str
    passed: bool
    sentence: str
    numbers: dict[str, float] = field(default_factory=dict)
    offenders: list[str] = field(default_factory=list)


def class_counts_match_the_manifest(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """Every class folder holds the images that the manifest counts."""
    folder = workspace.stage(target).output(target)
    counted = {c["folder"]: c["count"] for c in record.details["classes"]}
    found = {name: len(list_images(folder / name)) for name in counted}
    wrong = [f"{name}: {found[name]} of {count}" for name, count in counted.items() if found[name] != count]
    sentence = f"{sum(found.values())} images in {len(found)} class folders"
    return CheckResult("class_counts_match_the_manifest", not wrong, sentence, {"images": sum(found.values())}, wrong)


def every_link_resolves(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """Every class of the group is a link that leads to a folder, and there are no others."""
    folder = workspace.stage(target).output(target)
    wanted = {c["folder"] for c in record.details["classes"]}
    broken = sorted(name for name in wanted if not (folder / name).is_dir())
    extra = sorted(p.name for p in folder.iterdir() if p.is_symlink() and p.name not in wanted)
    sentence = f"{len(wanted) - len(broken)} of {len(wanted)} links lead to a folder, {len(extra)} do not belong"
    return CheckResult("every_link_resolves", not broken + extra, sentence, {"links": len(wanted)}, broken + extra)


def betons_match_their_sidecars(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """Every `.beton` file is, byte for byte, the one that its sidecar describes."""
    from dynvision.data.beton import verify_beton

    folder = workspace.stage(target).output(target)
    paths = sorted(folder / f"{name}.beton" for name in record.details["parts"])
    wrong, samples = [], 0
    for path in paths:
        try:
            samples += verify_beton(path, full=True)["file"]["samples"]
        except DynvisionError as error:
            wrong.append(str(error))
    sentence = f"{samples} samples in {len(paths)} files"
    return CheckResult("betons_match_their_sidecars", not wrong, sentence, {"samples": samples}, wrong)


def weights_are_finite(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """Every weight of the trained network is a finite number."""
    import numpy as np
    from safetensors.numpy import load_file

    weights = load_file(workspace.stage(target).output(target) / "trained.safetensors")
    wrong = [name for name, value in weights.items() if not np.isfinite(value).all()]
    count = sum(value.size for value in weights.values())
    return CheckResult("weights_are_finite", not wrong, f"{count} weights", {"weights": count}, wrong)


def validation_is_above_chance(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """The trained network names more validation images right than by chance."""
    accuracy, chance = record.details["val_accuracy"][-1], 1 / len(record.details["classes"])
    sentence = f"validation accuracy {accuracy:.1%}, chance {chance:.1%}"
    return CheckResult("validation_is_above_chance", accuracy > chance, sentence, {"val_accuracy": accuracy})


def every_condition_is_measured(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """The table has a finite accuracy for every condition of the experiment."""
    wanted = len(workspace.upstream(target))
    rows: list[dict[str, Any]] = record.details["tuning"]
    wrong = [row["condition"] for row in rows if not math.isfinite(row["accuracy"])]
    sentence = f"{len(rows)} of {wanted} conditions are in the table"
    passed = len(rows) == wanted and not wrong
    return CheckResult("every_condition_is_measured", passed, sentence, {"conditions": len(rows)}, wrong)


Check = Callable[[Workspace, Target, Record], CheckResult]

CHECKS: dict[str, list[tuple[Check, bool]]] = {
    "raw": [(class_counts_match_the_manifest, True)],
    "interim": [(every_link_resolves, True)],
    "processed": [(betons_match_their_sidecars, True)],
    "models": [(weights_are_finite, True), (validation_is_above_chance, False)],
    "summary": [(every_condition_is_measured, True)],
}
"""The checks of each stage, and whether one that fails stops the graph; responses check themselves when they verify."""


def run_checks(workspace: Workspace, target: Target, record: Record) -> list[CheckResult]:
    """Run all checks of a target's stage."""
    return [check(workspace, target, record) for check, _ in CHECKS.get(target.stage, [])]


def check_targets(targets: list[str], *, root: str, config: str) -> list[dict[str, Any]]:
    """Run the checks of targets that have been made; plain arguments and results, for any process."""
    from dynvision.addresses import parse_target

    workspace = Workspace.open(Path(root), Path(config))
    results = []
    for text in targets:
        for target in parse_target(workspace, text):
            record = workspace.stage(target).read_record(target)
            if record is None:
                raise DynvisionError(f"{target} has not been made. Make it: dynvision make {target}")
            results += [vars(result) for result in run_checks(workspace, target, record)]
    return results
