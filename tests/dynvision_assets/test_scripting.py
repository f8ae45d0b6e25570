"""The command line as a script uses it: JSON, exit codes, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from tests.helpers.chains import records, states
from tests.helpers.commands import call_dynvision, environment, run_dynvision
from tests.helpers.configuration import edit_config
from tests.helpers.instances import open_instance

# JSON


def read_json(root: Path, *arguments: str, code: int = 0) -> Any:
    done = call_dynvision(root, *arguments, "--json")
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_list_gives_counts_of_every_asset(made_root: Path) -> None:
    rows = read_json(made_root, "list", "processed")
    assert rows == [{"key": "processed/gratings", "partitions": 4, "fresh": 3, "stale": 0, "damaged": 0, "missing": 1}]


def test_status_gives_every_target_with_its_state_and_reason(chain: Path) -> None:
    edit_config(chain, "test_per_class: 4", "test_per_class: 5")
    rows = {row["target"]: row for row in read_json(chain, "status")}
    assert {name: row["state"] for name, row in rows.items()} == states(chain)
    assert rows["raw/gratings:test"]["reason"] == "the configuration changed: test_per_class"
    assert rows["raw/gratings:train"]["data_version"] is not None
    assert (rows["raw/gratings:train"]["key"], rows["raw/gratings:train"]["partition"]) == ("raw/gratings", "train")


def test_show_gives_the_whole_record_and_the_files(made_root: Path) -> None:
    (row,) = read_json(made_root, "show", "processed/gratings:test_all", "--samples")
    (record,) = [r for t, r in records(made_root).items() if str(t) == "processed/gratings:test_all"]
    assert row["record"] == record.to_dict()
    assert row["files"]["test.beton"]["file"]["samples"] == len(row["files"]["test.beton"]["samples"]["source"]) == 12
    missing = read_json(made_root, "show", "models/rcnn/gratings:ends_s0")
    assert [(row["state"], row["record"]) for row in missing] == [("missing", None)]


def test_verify_gives_what_is_damaged_and_ends_with_1(chain: Path) -> None:
    next((chain / "data/raw/gratings/test").rglob("*.png")).write_bytes(b"")
    rows = read_json(chain, "verify", "raw/gratings", code=1)
    assert {row["target"]: row["state"] for row in rows} == {
        "raw/gratings:train": "whole",
        "raw/gratings:test": "damaged",
    }


def test_a_dry_run_and_a_run_give_the_same_targets(empty_root: Path) -> None:
    plan = read_json(empty_root, "make", "--dry-run", "interim/gratings:test_ends")
    assert plan[0] == {
        "target": "raw/gratings:test",
        "key": "raw/gratings",
        "partition": "test",
        "reason": "it has not been built",
    }
    made = read_json(empty_root, "make", "interim/gratings:test_ends")
    assert [row["target"] for row in made["built"]] == [row["target"] for row in plan]
    assert made["wanted"] == ["interim/gratings:test_ends"]
    assert read_json(empty_root, "make", "interim/gratings:test_ends")["built"] == []


# Experiments


def test_an_experiment_is_made_for_the_subjects_that_are_named(chain: Path) -> None:
    done = call_dynvision(chain, "experiment", "contrast", "--subject", "rcnn_ends")
    assert done.exit_code == 0, done.output
    assert "built 1 target" in done.stdout
    assert "contrast, rcnn_ends\n" in done.stdout
    assert (chain / "data/reports/contrast/rcnn_ends/index.html").as_uri() in done.stdout
    pictures = [line.split()[-1] for line in done.stdout.splitlines() if line.endswith(".png")]
    assert pictures
    assert all(Path(name).is_file() for name in pictures)
    heads = next(line for line in done.stdout.splitlines() if "accuracy" in line and "V1: response" in line)
    assert heads.split() == ["contrast", "accuracy", "V1:", "response"], "the table is wider than a terminal"
    assert str(chain / "data/reports/contrast/rcnn_ends/tuning.csv") in done.stdout
    assert "rcnn_gratings" not in done.stdout
    assert states(chain)["summary/contrast/rcnn_ends"] == "fresh"


def test_an_experiment_means_all_its_subjects_and_what_they_are_made_from(empty_root: Path) -> None:
    plan = read_json(empty_root, "experiment", "contrast", "--dry-run")
    named = {row["target"] for row in plan}
    assert {"summary/contrast/rcnn_gratings", "summary/contrast/rcnn_ends", "models/rcnn/gratings:all_s0"} <= named
    assert not any("contrast_duration" in name for name in named)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("contrst",), "unknown experiment 'contrst'. Did you mean 'contrast'?"),
        (("contrast", "--subject", "rcnn_end"), "unknown subject 'rcnn_end'. Did you mean 'rcnn_ends'?"),
        (("contrast_duration", "--subject", "rcnn_ends"), "the experiment 'contrast_duration': unknown subject"),
    ],
)
def test_an_unknown_experiment_or_subject_ends_with_2_and_names_the_nearest(
    empty_root: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = call_dynvision(empty_root, "experiment", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


# Exit codes


def test_status_ends_with_1_only_where_it_is_asked_to_check(made_root: Path) -> None:
    assert call_dynvision(made_root, "status", "raw/gratings", "--check").exit_code == 0
    assert call_dynvision(made_root, "status", "summary").exit_code == 2
    assert call_dynvision(made_root, "status", "summary/contrast/rcnn_ends").exit_code == 0
    assert call_dynvision(made_root, "status", "summary/contrast/rcnn_ends", "--check").exit_code == 1


def test_every_command_refuses_an_unknown_option_with_2(empty_root: Path) -> None:
    for command in ("make", "experiment", "list", "show", "status", "verify", "ui", "demo", "completion"):
        assert call_dynvision(empty_root, command, "--no-such-option").exit_code == 2, command
    assert call_dynvision(empty_root, "ui", "--port", "0").exit_code == 2
    assert call_dynvision(empty_root, "completion", "tcsh").exit_code == 2


def test_every_command_teaches_by_example(empty_root: Path) -> None:
    for command in ("make", "experiment", "list", "show", "status", "verify", "ui"):
        assert f"Examples:\n    dynvision {command}" in call_dynvision(empty_root, command, "--help").output


# Interruption


def test_ctrl_c_stops_training_cleanly_and_leaves_nothing_half_done(empty_root: Path) -> None:
    edit_config(empty_root, "epochs: 1,", "epochs: 5000,")
    ready = run_dynvision(empty_root, "make", "processed/gratings:train_all")
    assert ready.returncode == 0, ready.stderr
    command = [sys.executable, "-m", "dynvision_assets.command_line", "make", "models/rcnn/gratings:all_s0"]
    process = subprocess.Popen(
        command,
        cwd=empty_root,
        env=environment(empty_root),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_until_training(process)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to everything that it runs
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "stopped; what was finished is kept, nothing is half done" in stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    psutil.wait_procs(children, timeout=20)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not [p for p in (empty_root / "data/models").rglob("*") if "partial" in p.name or p.suffix == ".safetensors"]
    with open_instance(empty_root) as instance:
        unfinished = [run for run in instance.get_runs() if not run.is_finished]
        assert unfinished == []
        assert instance.get_runs(limit=1)[0].status in (dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.FAILURE)
    edit_config(empty_root, "epochs: 5000,", "epochs: 1,")
    again = run_dynvision(empty_root, "make", "models/rcnn/gratings:all_s0")
    assert again.returncode == 0, again.stderr


def wait_until_training(process: subprocess.Popen[str]) -> None:
    """Wait until the child that computes is at work: it has used more processor time than importing takes."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, process.communicate()
        for child in psutil.Process(process.pid).children():
            if "dynvision.system.child.main" in child.cmdline() and child.cpu_times().user > 12:
                return
        time.sleep(0.2)
    raise AssertionError("training did not begin")
