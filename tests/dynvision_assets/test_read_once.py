"""A command or run reads the configuration once: files that are edited, broken or deleted meanwhile change nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dynvision.config import Snapshot, load_config, load_snapshot, reading
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from dynvision.workspace.scheduling import Built
from dynvision_assets import making
from dynvision_assets.resources import ComputeResource, Project
from dynvision_assets.runs.reporting import Event, Reporter
from dynvision_assets.wiring import make_definitions
from tests.helpers.commands import environment
from tests.helpers.configuration import edit_config


def _edit(root: Path) -> None:
    edit_config(root, "train_per_class: 12", "train_per_class: 10")


def _break(root: Path) -> None:
    (root / "config" / "config_data.yaml").write_text("data_resolution: [")


def _delete(root: Path) -> None:
    for path in (root / "config").iterdir():
        path.unlink()


CHANGES = pytest.mark.parametrize("change", [_edit, _break, _delete])


@CHANGES
def test_make_goes_on_with_what_it_read_first(
    empty_root: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    """The change comes between the first target and the second, from the command's own process."""
    monkeypatch.setenv("DAGSTER_HOME", str(empty_root / ".dagster"))
    workspace = Workspace.open(empty_root)
    whole = Reporter._report

    def report(self: Reporter, built: Built, *others: Any) -> Iterator[Event]:
        yield from whole(self, built, *others)
        if built.target == Target(("raw", "gratings"), "train"):
            change(empty_root)

    monkeypatch.setattr(Reporter, "_report", report)
    made = making.make_targets(workspace, parse_target(workspace, "interim/gratings:train_all"))

    assert [str(target) for target in made.built] == ["raw/gratings:train", "interim/gratings:train_all"]
    record = workspace.read_record(made.built[-1])
    assert record is not None
    assert record.details["images"] == 36
    assert workspace.status(made.built[-1]).state == "fresh"


@CHANGES
def test_a_run_of_dagster_goes_on_with_what_its_definitions_read(
    empty_root: Path, change: Callable[[Path], None]
) -> None:
    defs = make_definitions(Workspace.open(empty_root))
    job = defs.resolve_implicit_global_asset_job_def()
    change(empty_root)
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["raw", "gratings"])], partition_key="train"
        )
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["images"].value == 36


def test_the_child_is_given_the_texts_and_reads_no_file(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.open(empty_root)
    compute = ComputeResource(project=Project.of(workspace))
    sent = json.loads(json.dumps(compute.project.config))
    _delete(empty_root)
    monkeypatch.setattr(reading, "_read_text", lambda path: pytest.fail(f"{path} is read again"))
    (record,) = build_targets(["raw/gratings:train"], root=str(empty_root), config=sent)
    assert record["config"] == workspace.stage(Target(("raw", "gratings"), "train")).settings(
        Target(("raw", "gratings"), "train")
    )


def test_texts_are_validated_once_in_a_process(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = Workspace.open(empty_root).snapshot
    monkeypatch.setattr(reading, "_parse", lambda *_: pytest.fail("the same texts are parsed again"))
    again = Workspace.of_reading(empty_root, json.loads(json.dumps(snapshot)))
    assert again.snapshot == snapshot


def test_a_class_index_file_belongs_to_the_reading(empty_root: Path) -> None:
    index = empty_root / "index.json"
    index.write_text(json.dumps({"0": ["a", "ant"], "1": ["b", "bee"]}))
    edit_config(empty_root, "data_resolution: {gratings: 32}", "data_resolution: {gratings: 32, own: 32}")
    data = empty_root / "config" / "config_data.yaml"
    data.write_text(data.read_text() + "class_index_files: {own: index.json}\n")
    workspace = Workspace.open(empty_root)
    index.write_text("{")
    source: Any = workspace.stages["raw"]
    assert source.class_index("own") == {0: ("a", "ant"), 1: ("b", "bee")}


def test_a_configuration_knows_its_reading(empty_root: Path) -> None:
    config = load_config(empty_root / "config")
    assert config.snapshot is not None
    same = load_snapshot(Snapshot.from_dict(json.loads(json.dumps(config.snapshot.to_dict()))))
    assert same == config


@pytest.mark.slow
def test_the_command_line_builds_what_it_read_first(empty_root: Path) -> None:
    """The file is broken as soon as the first target is announced, before the child process has started."""
    arguments = [sys.executable, "-m", "dynvision_assets.command_line", "make", "processed/gratings:train_ends"]
    with subprocess.Popen(
        arguments,
        cwd=empty_root,
        env=environment(empty_root),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stderr is not None
        line = command.stderr.readline()
        assert line == "raw/gratings:train: it has not been built\n"
        edit_config(empty_root, "gratings: {ends: [0, 2]}", "gratings: {ends: [1]}")
        (empty_root / "config" / "config_models.yaml").unlink()
        out, err = command.communicate(timeout=240)
    assert command.returncode == 0, err
    assert "built 3 targets" in out
    classes = {path.name for path in (empty_root / "data/interim/gratings/train_ends").iterdir() if path.is_symlink()}
    assert len(classes) == 2
