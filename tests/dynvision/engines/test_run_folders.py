"""What a run leaves behind: its logs, and nothing else."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from dynvision.engines import run_folders
from dynvision.engines.distributed_engine import DistributedEngine
from dynvision.engines.run_folders import make_run_folder, remove_leftovers, tidy_logs
from dynvision.engines.settings import EngineSettings
from dynvision.errors import UnknownNameError


def test_only_folders_of_dead_processes_of_this_machine_are_removed(tmp_path: Path) -> None:
    own = make_run_folder(tmp_path, "own")
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    owner = json.loads((own / "owner.json").read_text())
    for name, change in {"dead": {"started": 1.0}, "elsewhere": {"host": "another", "started": 1.0}}.items():
        other = make_run_folder(tmp_path, name)
        (other / "owner.json").write_text(json.dumps(owner | change))
    (tmp_path / "run-foreign").mkdir()
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-elsewhere", "run-foreign", "run-own"]


def test_empty_logs_of_a_run_and_the_oldest_of_all_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folders, "KEPT", 2)
    for age, (name, text) in enumerate({"a-1": "x", "b-1": "", "c-1": "x", "c-2": "", "c-3": "x"}.items()):
        (tmp_path / f"{name}.log").write_text(text)
        os.utime(tmp_path / f"{name}.log", (age, age))
    tidy_logs(tmp_path, "c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c-1.log", "c-3.log"]


def test_an_unknown_engine_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown engine 'slrum'\. Did you mean 'slurm'"):
        DistributedEngine(EngineSettings(kind="slrum", folder=tmp_path))
