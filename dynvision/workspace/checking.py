"""Checks of finished targets: each states the truth that it asserts, and says what is wrong where it does not hold."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynvision.data.images.files import list_images
from dynvision.errors import DynvisionError
from dynvision.records import Record
from dynvision.targets import Target
from dynvision.workspace.workspace import Workspace

__all__ = ["CHECKS", "CheckResult", "check_targets", "run_checks"]


STATISTICS_WITHIN = 0.02
"""How far a mean or deviation may be from data_statistics, for images in [0, 1]."""
_SAMPLE = 1000
"""Images that a check looks at."""


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
    found, wrong = _count_again(folder, record)
    sentence = f"{sum(found.values())} images in {len(found)} class folders"
    return CheckResult("class_counts_match_the_manifest", not wrong, sentence, {"images": sum(found.values())}, wrong)


def classes_are_balanced(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """No class has more than ten times the images of another."""
    counts = {f"{c['index']} {c['name']}": c["count"] for c in record.details["classes"]}
    least, most = min(counts.values()), max(counts.values())
    rare = [f"{name}: {count}" for name, count in counts.items() if most > 10 * count]
    sentence = f"{least} to {most} images a class in {len(counts)} classes"
    return CheckResult("classes_are_balanced", not rare, sentence, {"least": least, "most": most}, rare)


def every_file_is_an_image(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """Class folders hold nothing but images; what else is there is left out of everything."""
    ignored: dict[str, list[Any]] = record.details.get("ignored", {})
    count = sum(found[0] for found in ignored.values())
    others = [
        f"{name}/{found[1]}" + (f" and {found[0] - 1} more" if found[0] > 1 else "") for name, found in ignored.items()
    ]
    sentence = f"{count} entries of {len(ignored)} class folders are no images and are left out"
    return CheckResult("every_file_is_an_image", not count, sentence, {"left_out": count}, others)


def a_sample_of_images_can_be_decoded(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """Images taken evenly from all classes can be decoded."""
    sample = _look_at_sample(workspace, target, record)
    sentence = f"{sample.count - len(sample.bad)} of {sample.count} images can be decoded"
    numbers: dict[str, float] = {"looked_at": sample.count, "bad": len(sample.bad)}
    return CheckResult("a_sample_of_images_can_be_decoded", not sample.bad, sentence, numbers, sample.bad)


def statistics_are_those_of_the_images(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """Mean and standard deviation of a sample of the training images are data_statistics, within 2 % of full scale."""
    name = "statistics_are_those_of_the_images"
    given = workspace.config.data.data_statistics.get(target.key[1])
    if given is None or target.partition != "train":
        why = "there are none in data_statistics" if given is None else "they are those of the training images"
        return CheckResult(name, True, f"not compared: {why}")
    sample = _look_at_sample(workspace, target, record)
    numbers: dict[str, float] = {}
    wrong = []
    for kind, wanted, found in (("mean", given.mean, sample.mean), ("std", given.std, sample.std)):
        for channel, (value, measured) in enumerate(zip(wanted, found, strict=True)):
            numbers[f"{kind}_{channel}"] = round(measured, 4)
            if abs(value - measured) > STATISTICS_WITHIN:
                wrong.append(f"{kind} of channel {channel}: {measured:.4f}, data_statistics says {value:.4f}")
    sentence = (
        f"mean {[round(v, 4) for v in sample.mean]}, standard deviation {[round(v, 4) for v in sample.std]} of "
        f"{sample.count} images"
    )
    return CheckResult(name, not wrong, sentence, numbers, wrong)


def linked_images_are_those_that_were_counted(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """Every link leads to as many images as its class was counted with."""
    folder = workspace.stage(target).output(target)
    found, wrong = _count_again(folder, record)
    sentence = f"{sum(found.values())} images behind {len(found)} links"
    numbers: dict[str, float] = {"images": sum(found.values())}
    return CheckResult("linked_images_are_those_that_were_counted", not wrong, sentence, numbers, wrong)


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
    from dynvision.data.betons.sidecars import verify_beton

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
    """The trained network names more validation images right than by chance; one that is not trained here passes."""
    if "val_accuracy" not in record.details:
        return CheckResult("validation_is_above_chance", True, "the network is not trained here", {})
    accuracy, chance = record.details["val_accuracy"][-1], 1 / len(record.details["classes"])
    sentence = f"validation accuracy {accuracy:.1%}, chance {chance:.1%}"
    return CheckResult("validation_is_above_chance", accuracy > chance, sentence, {"val_accuracy": accuracy})


def every_condition_is_measured(workspace: Workspace, target: Target, record: Record) -> CheckResult:
    """The table has an accuracy for every condition: a finite one, unless what is not finite may be recorded."""
    conditions = _conditions_of(workspace, target)
    wanted, rows = len(conditions), record.details["tuning"]
    settings = [workspace.config.record(*key[1:]) for key in {condition.key for condition in conditions}]
    wrong = [_name_row(row) for row in rows if row["accuracy"] is None or not math.isfinite(row["accuracy"])]
    if any(getattr(setting, "allow_nonfinite", False) for setting in settings):
        wrong = []
    sentence = f"{len(rows)} of {wanted} conditions are in the table"
    passed = len(rows) == wanted and not wrong
    return CheckResult("every_condition_is_measured", passed, sentence, {"conditions": len(rows)}, wrong)


def _conditions_of(workspace: Workspace, target: Target) -> list[Target]:
    """The responses that a summary is made from, directly or through the summaries of subjects."""
    upstream = workspace.upstream(target)
    return [c for t in upstream for c in ([t] if t.stage == "responses" else workspace.upstream(t))]


def _name_row(row: dict[str, Any]) -> str:
    return "/".join(str(row[name]) for name in ("subject", "condition") if name in row)


@dataclass(frozen=True)
class _Sample:
    """What was seen of a sample of images: mean and deviation of each channel in [0, 1], and which are bad."""

    count: int
    mean: list[float]
    std: list[float]
    bad: list[str]


_samples: dict[tuple[str, str, str], _Sample] = {}


def _look_at_sample(workspace: Workspace, target: Target, record: Record) -> _Sample:
    """Decode images taken evenly from all classes; what was seen last is kept, as two checks ask for it."""
    import numpy as np

    from dynvision.data.images.reading import read_image

    key = (str(workspace.paths.root), str(target), record.data_version)
    if key not in _samples:
        folder = workspace.stage(target).output(target)
        classes, size = record.details["classes"], workspace.config.data.data_resolution[target.key[1]]
        each = max(1, _SAMPLE // len(classes))
        bad: list[str] = []
        total, squares, pixels, count = 0.0, 0.0, 0, 0
        for entry in classes:
            names = list_images(folder / entry["folder"])
            for name in names[:: max(1, len(names) // each)][:each]:
                count += 1
                try:
                    image = read_image(folder / entry["folder"] / name, record.details["channels"], size) / 255.0
                except (OSError, ValueError) as error:
                    bad.append(f"{entry['folder']}/{name}: {error}")
                    continue
                total, squares = total + image.sum(axis=(0, 1)), squares + (image**2).sum(axis=(0, 1))
                pixels += size * size
        mean = np.atleast_1d(total / max(pixels, 1))
        std = np.sqrt(np.maximum(np.atleast_1d(squares / max(pixels, 1)) - mean**2, 0))
        _samples.clear()
        _samples[key] = _Sample(count, mean.tolist(), std.tolist(), bad)
    return _samples[key]


def _count_again(folder: Path, record: Record) -> tuple[dict[str, int], list[str]]:
    """How many images each class folder holds now, and which hold another number than was counted."""
    counted = {c["folder"]: c["count"] for c in record.details["classes"]}
    found = {name: len(list_images(folder / name)) if (folder / name).is_dir() else 0 for name in counted}
    return found, [f"{name}: {found[name]} of {count}" for name, count in counted.items() if found[name] != count]


Check = Callable[[Workspace, Target, Record], CheckResult]

CHECKS: dict[str, list[tuple[Check, bool]]] = {
    "raw": [
        (class_counts_match_the_manifest, True),
        (classes_are_balanced, False),
        (every_file_is_an_image, False),
        (a_sample_of_images_can_be_decoded, False),
        (statistics_are_those_of_the_images, False),
    ],
    "interim": [(every_link_resolves, True), (linked_images_are_those_that_were_counted, True)],
    "processed": [(betons_match_their_sidecars, True)],
    "models": [(weights_are_finite, True), (validation_is_above_chance, False)],
    "summary": [(every_condition_is_measured, True)],
}
"""The checks of each stage, and whether one that fails stops the graph; responses check themselves when they verify."""


def run_checks(workspace: Workspace, target: Target, record: Record) -> list[CheckResult]:
    """Run all checks of a target's stage."""
    _samples.clear()
    return [check(workspace, target, record) for check, _ in CHECKS.get(target.stage, [])]


def check_targets(targets: list[str], *, root: str, config: str) -> list[dict[str, Any]]:
    """Run the checks of targets that have been made; plain arguments and results, for any process."""
    from dynvision.workspace.addresses import parse_target

    workspace = Workspace.open(Path(root), Path(config))
    results = []
    for text in targets:
        for target in parse_target(workspace, text):
            record = workspace.stage(target).read_record(target)
            if record is None:
                raise DynvisionError(f"{target} has not been made. Make it: dynvision make {target}")
            results += [vars(result) for result in run_checks(workspace, target, record)]
    return results
