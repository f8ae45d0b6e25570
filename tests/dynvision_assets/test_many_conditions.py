"""What is asked of one condition costs the same, however many conditions its experiment has."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dynvision.workspace import Workspace
from dynvision_assets.partitions import deps_of, partition_key, stage_partitions, target_of
from tests.helpers.chains import open_workspace
from tests.helpers.configuration import edit_config, write_config

KEY = ("responses", "contrast", "rcnn_gratings")
OLD = "parameter: contrast\n    data_loader: StimulusContrast\n"
OLD_ARGUMENTS = "{tsteps: 6, intro: 1, stim: 3, contrast: [0.1, 0.5, 0.8, 1.0]}"


def count_calls(work: Callable[[], object]) -> int:
    """How many functions are called, which is the same on every machine."""
    calls = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def numbers(count: int) -> str:
    return "[" + ", ".join(f"{(number + 1) / 10_000:.4f}" for number in range(count)) + "]"


def write_many(root: Path, kind: str, count: int) -> Workspace:
    """The workspace of a root with an experiment of so many conditions."""
    write_config(root)
    if kind == "one parameter":
        edit_config(root, OLD_ARGUMENTS, f"{{tsteps: 6, intro: 1, stim: 3, contrast: {numbers(count)}}}")
    elif kind == "two parameters":
        edit_config(root, OLD, "parameter: [contrast, sensor_noise]\n    data_loader: StimulusContrast\n")
        swept = f"contrast: {numbers(count // 4)}, sensor_noise: {numbers(4)}"
        edit_config(root, OLD_ARGUMENTS, f"{{tsteps: 6, intro: 1, stim: 3, {swept}}}")
    else:
        edit_config(root, OLD, "parameter: [strength, gap]\n    data_loader: StimulusProgram\n")
        swept = f"strength: {numbers(count // 2)}, gap: [1, 2]"
        program = "[{void: 1}, {image: 1, contrast: $strength}, {void: $gap}, {image: 1, which: other}]"
        edit_config(root, OLD_ARGUMENTS, f"{{tsteps: 6, program: {program}, {swept}}}")
    return open_workspace(root)


@pytest.mark.parametrize("kind", ["one parameter", "two parameters", "program"])
@pytest.mark.parametrize("what", ["status", "plan", "select", "partitions"])
def test_the_work_for_a_condition_does_not_grow_with_their_number(tmp_path: Path, kind: str, what: str) -> None:
    per_condition = []
    for count in (20, 200):
        workspace = write_many(tmp_path / str(count), kind, count)
        targets = workspace.targets(KEY)
        assert len(targets) == count
        everything = workspace.stages["responses"].dimensions(KEY)
        work: dict[str, Callable[[], object]] = {
            "status": lambda: [workspace.stage(target).settings(target) for target in targets],  # noqa: B023
            "plan": lambda: workspace.plan(targets, force=True),  # noqa: B023
            "select": lambda: workspace.stages["responses"].select(KEY, **everything),  # noqa: B023
            "partitions": lambda: [
                deps_of(workspace, KEY),  # noqa: B023
                stage_partitions(workspace, KEY),  # noqa: B023
                *(target_of(workspace, KEY, partition_key(workspace, target)) for target in targets),  # noqa: B023
            ],
        }
        work[what]()  # what is imported or made once is not counted
        per_condition.append(count_calls(work[what]) / count)
    few, many = per_condition
    assert many < 1.05 * few, per_condition
