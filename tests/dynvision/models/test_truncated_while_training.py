"""A `.beton` that is truncated while a network is trained on it, through the path that Dagster takes."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import psutil
import pytest

from dynvision.errors import DamagedFileError, MissingError
from dynvision.system.child.process import ComputeProcess
from dynvision.targets import Target
from dynvision.workspace.building import build_targets
from tests.helpers.configuration import edit_yaml
from tests.helpers.files import find_leftovers

MODEL = Target(("models", "rcnn", "gratings"), "all_s0")
PROCESSED = Target(("processed", "gratings"), "train_all")


def reads(process: psutil.Process, path: Path) -> bool:
    """Whether a process has the file mapped."""
    try:
        return any(mapped.path == str(path) for mapped in process.memory_maps())
    except psutil.Error:
        return False


def truncate_in_the_middle(path: Path, done: threading.Event) -> None:
    """Truncate the file when a child of this process has had it mapped for a while."""
    while not any(reads(child, path) for child in psutil.Process().children(recursive=True)):
        if done.wait(0.05):
            return
    time.sleep(0.5)
    os.truncate(path, 0)


def test_training_ends_with_a_damaged_file_nothing_is_recorded_and_a_rebuilt_file_cures_it(chain_copy):
    folders = {"root": str(chain_copy.root), "config": str(chain_copy.config)}
    beton = chain_copy.root / "data/processed/gratings/train_all/train.beton"
    folder = chain_copy.root / "data/models/rcnn/gratings/all_s0"

    def train_for(epochs: int) -> None:
        change = {"epochs": epochs}
        edit_yaml(
            chain_copy.config / "config_models.yaml",
            lambda content: content["models"]["rcnn"]["training"].update(change),
        )

    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    train_for(100_000)
    process, done = ComputeProcess(), threading.Event()
    saboteur = threading.Thread(target=truncate_in_the_middle, args=(beton, done))
    saboteur.start()
    try:
        with pytest.raises(DamagedFileError, match=r"memory fault \(SIG|changed or replaced while it was read"):
            process.call("dynvision.workspace.building:build_targets", targets=[str(MODEL)], **folders)
        assert beton.stat().st_size == 0
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
        train_for(1)
        status = chain_copy.open().status(PROCESSED)
        assert status.state == "damaged"
        assert f"{beton} is damaged: it has 0 bytes where " in status.reason
        with pytest.raises(MissingError, match=r"train_all, which is damaged .*\. Make it: dynvision make proc"):
            build_targets([str(MODEL)], force=True, **folders)
        build_targets([str(PROCESSED)], **folders)
        (record,) = build_targets([str(MODEL)], force=True, **folders)
    finally:
        done.set()
        saboteur.join()
        process.close()
    assert record["target"] == str(MODEL)
    assert chain_copy.open().status(MODEL).state == "fresh"
    assert find_leftovers(chain_copy.root / "data") == []
