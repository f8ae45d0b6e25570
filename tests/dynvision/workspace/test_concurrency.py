"""Two processes and one partition: one builds, the other says who does, and readers see a whole one."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynvision.data.betons.sidecars import read_sidecar_head, verify_beton
from dynvision.errors import DynvisionError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from tests.helpers.configuration import edit_yaml
from tests.helpers.files import find_leftovers

pytestmark = pytest.mark.slow

RAW = Target(("raw", "gratings"), "train")
INTERIM = Target(("interim", "gratings"), "test_all")
PROCESSED = Target(("processed", "gratings"), "test_all")

BUILD = """
import sys
from dynvision.workspace.building import build_targets
from dynvision.errors import DynvisionError
try:
    print(build_targets([sys.argv[2]], root=sys.argv[1], config=sys.argv[1] + "/config", force=True)[0]["data_version"])
except DynvisionError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def start(root: Path, target: Target) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", BUILD, str(root), str(target)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(is_true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def large(tmp_path: Path, small_config: Path) -> Path:
    """A root whose training images take seconds to export."""
    edit_yaml(small_config / "config_data.yaml", lambda content: content["gratings"].update(train_per_class=6000))
    return tmp_path


def test_the_second_of_two_builders_says_who_builds_and_a_killed_ones_lock_is_free_at_once(large):
    place = large / "data/raw/gratings/.train.export"
    first = start(large, RAW)
    wait_for(lambda: place.is_dir() and any(place.glob("*/*.png")))
    second = start(large, RAW)
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert f"OutputBusyError: {large / 'data/raw/gratings/train'} is being built by process {first.pid} on " in errors
    assert "Wait for it to finish, or stop it, and run this again." in errors
    assert first.poll() is None, "it ended before the second was refused; the export is too small for this test"
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not (large / "data/raw/gratings/train").exists()
    kept = len(list(place.glob("*/*.png")))
    assert kept > 0
    begin = time.monotonic()
    third = start(large, RAW)
    version, errors = third.communicate(timeout=60)
    assert third.returncode == 0, errors
    assert time.monotonic() - begin < 30
    status = Workspace.open(large, large / "config").status(RAW)
    assert (status.state, status.data_version) == ("fresh", version.strip())
    assert find_leftovers(large / "data") == []


def test_of_builders_that_start_together_at_least_one_succeeds_and_the_result_is_whole(tmp_path, small_config):
    builders = [start(tmp_path, RAW) for _ in range(3)]
    ended = [(builder.communicate(timeout=60), builder.returncode) for builder in builders]
    assert any(code == 0 for _, code in ended)
    for (_, errors), code in ended:
        assert code == 0 or "OutputBusyError" in errors
    assert Workspace.open(tmp_path, small_config).status(RAW).state == "fresh"
    assert len(list((tmp_path / "data/raw/gratings/train").rglob("*.png"))) == 36
    assert find_leftovers(tmp_path / "data") == []


class Reader:
    """Calls a function again and again in a thread of its own, and keeps what went wrong."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self.read, self.count, self.errors = read, 0, list[str]()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._loop)

    def _loop(self) -> None:
        while not self.done.is_set():
            self.count += 1
            time.sleep(0.0005)  # the builder runs in this process too
            try:
                self.read()
            except (DynvisionError, OSError, AssertionError) as error:
                self.errors.append(f"{type(error).__name__}: {error}")

    def __enter__(self) -> Reader:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()


@pytest.fixture
def built(tmp_path: Path, small_config: Path) -> Path:
    for target in (Target(("raw", "gratings"), "test"), INTERIM):
        build(tmp_path, target)
    return tmp_path


def build(root: Path, target: Target) -> None:
    build_targets([str(target)], root=str(root), config=str(root / "config"), force=True)


def test_reader_sees_a_whole_beton_while_it_is_built_again(chain_copy):
    path = chain_copy.root / "data/processed/gratings/test_all/test.beton"

    def read() -> None:
        assert verify_beton(path)["file"]["samples"] == 12
        assert read_sidecar_head(path) is not None

    with Reader(read) as reader:
        build(chain_copy.root, PROCESSED)
    assert reader.count > 50
    assert reader.errors == []


def test_record_is_there_while_links_are_made_again(built):
    workspace = Workspace.open(built, built / "config")

    def read() -> None:
        assert workspace.stage(INTERIM).read_record(INTERIM) is not None

    with Reader(read) as reader:
        for _ in range(20):
            build(built, INTERIM)
    assert reader.count > 50
    assert reader.errors == []


def test_images_are_there_while_they_are_exported_again(built):
    path = sorted((built / "data/raw/gratings/test").rglob("*.png"))[0]

    with Reader(path.read_bytes) as reader:
        for _ in range(20):
            build(built, Target(("raw", "gratings"), "test"))
    assert reader.count > 50
    assert reader.errors == []
