"""What can go wrong while a `.beton` is written: an error in time, no half file, no process left over, and a way on."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from dynvision.data.betons import writing as beton
from dynvision.data.betons.encoding import digest_content
from dynvision.data.betons.read_back import read_back
from dynvision.data.betons.sidecars import read_sidecar, verify_beton
from dynvision.data.betons.spec import BetonFile
from dynvision.data.betons.writing import write_betons
from dynvision.data.images.samples import Sample
from dynvision.errors import DamagedFileError, DynvisionError

pytestmark = pytest.mark.slow

WRITE = """
import resource, sys
from pathlib import Path
from dynvision.data.betons.writing import write_beton
from dynvision.data.images.samples import Sample
from dynvision.errors import DynvisionError
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
folder = Path(sys.argv[1])
samples = [Sample(path.name, 0, 0) for path in sorted(folder.glob("*.png"))]
try:
    write_beton(folder / "x.beton", samples, base=folder, resolution=128, write_mode="raw", timeout=60)
except DynvisionError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images, in the middle of which is one that cannot be read to its end: a pipe into which nobody writes."""
    for number in range(400):
        Image.new("RGB", (128, 128), (number % 256, 0, 0)).save(tmp_path / f"{number:03d}.png")
    (tmp_path / "200.png").unlink()
    os.mkfifo(tmp_path / "200.png")
    return tmp_path


def wait_for(is_true: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := is_true()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def find_writer(parent: psutil.Process) -> psutil.Process | None:
    """The child that writes, once its readers have been started and are stuck."""
    for child in parent.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie that another test left counts as one
            if "dynvision.data.betons.child" in " ".join(child.cmdline()) and child.children():
                return child
    return None


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".png")


def are_gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def write_in_thread(folder: Path, timeout: float = 60.0) -> tuple[threading.Thread, list[DynvisionError]]:
    samples = [Sample(path.name, 0, 0) for path in sorted(folder.glob("*.png"))]
    files = [BetonFile(folder / "x.beton", samples, folder, 128, 3, {}, "raw")]
    errors: list[DynvisionError] = []

    def write() -> None:
        try:
            write_betons(files, timeout=timeout, description="x")
        except DynvisionError as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    return thread, errors


def replace_pipe_and_write_again(folder: Path) -> None:
    (folder / "200.png").unlink()
    Image.new("RGB", (128, 128)).save(folder / "200.png")
    subprocess.run([sys.executable, "-c", WRITE, str(folder)], check=True, capture_output=True)
    assert verify_beton(folder / "x.beton", full=True)["file"]["samples"] == 400


def shared_memory() -> set[Path]:
    return set(Path("/dev/shm").iterdir()) if Path("/dev/shm").is_dir() else set()


@pytest.mark.parametrize("who", ["writer", "reader"])
def test_killed_child_is_reported_and_nothing_is_left(folder, who):
    shared = shared_memory()
    thread, errors = write_in_thread(folder)
    writer = wait_for(lambda: find_writer(psutil.Process()))
    every = [writer, *writer.children()]
    time.sleep(0.5)
    start = time.monotonic()
    every[0 if who == "writer" else 1].kill()
    thread.join(15)
    assert time.monotonic() - start < 10
    expected = "signal 9" if who == "writer" else "the process that read"
    assert expected in str(errors[0])
    assert "Nothing was left behind; run this again." in str(errors[0])
    wait_for(lambda: are_gone(every))
    assert leftovers(folder) == []
    assert shared_memory() <= shared
    replace_pipe_and_write_again(folder)


def test_killed_parent_takes_the_writer_along_and_its_half_file(folder):
    parent = subprocess.Popen([sys.executable, "-c", WRITE, str(folder)], stderr=subprocess.DEVNULL)
    writer = wait_for(lambda: find_writer(psutil.Process(parent.pid)))
    every = [writer, *writer.children()]
    wait_for(lambda: leftovers(folder))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(lambda: are_gone(every), 10)
    assert leftovers(folder) == []
    replace_pipe_and_write_again(folder)


def test_image_that_cannot_be_finished_is_the_one_that_is_named(folder):
    thread, errors = write_in_thread(folder, timeout=2)
    thread.join(130)
    assert "made no progress for 2 s and was stopped" in str(errors[0])
    assert f"the last image was {folder / '200.png'}" in str(errors[0])
    assert leftovers(folder) == []


def test_disk_that_takes_no_more_is_an_error_that_says_what_to_do(folder):
    (folder / "200.png").unlink()
    Image.new("RGB", (128, 128)).save(folder / "200.png")
    done = subprocess.run([sys.executable, "-c", WRITE, str(folder), str(12 << 20)], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"x.beton: {folder} cannot take the file: [Errno 27] File too large" in done.stderr
    assert "Nothing was left behind. Make room, or set DYNVISION_ROOT to a larger disk" in done.stderr
    assert leftovers(folder) == []


def test_disk_that_is_full_when_the_sidecar_is_written_is_an_error_too(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def fail(path: Path, *rest: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(beton, "write_json", fail)
    with pytest.raises(DynvisionError, match=r"could not be written .*No space left on device.*No half file"):
        beton.write_beton(tmp_path / "x.beton", [Sample("a.png", 0, 0)], base=tmp_path, resolution=8)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(("mode", "free", "fits"), [("raw", 15 << 20, False), ("jpg", 15 << 20, True)])
def test_room_that_is_needed_is_that_of_the_write_mode(tmp_path, monkeypatch, mode, free, fits):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    samples = [Sample("a.png", 0, 0)] * 1000
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    path = tmp_path / "x.beton"
    if fits:
        beton.write_beton(path, samples, base=tmp_path, resolution=64, write_mode=mode)
    else:
        with pytest.raises(DynvisionError, match=r"x\.beton needs about 16 MB, but .* has 16 MB free"):
            beton.write_beton(path, samples, base=tmp_path, resolution=64, write_mode=mode)
    assert path.exists() == fits


def test_reading_back_counts_as_progress(tmp_path):
    """A file that takes longer to read than `write_timeout` is not stuck."""
    Image.new("RGB", (32, 32), "teal").save(tmp_path / "a.png")
    beton.write_beton(tmp_path / "x.beton", [Sample("a.png", 3, 0)] * 50, base=tmp_path, resolution=32)
    job = {"temporary": str(tmp_path / "x.beton"), "channels": 3, "resolution": 32}
    steps: list[None] = []
    digest = digest_content(np.asarray(Image.open(tmp_path / "a.png")).tobytes())
    found = read_back(job, ["a.png"] * 50, [3] * 50, [digest] * 50, lambda: steps.append(None))
    assert len(steps) > 50
    assert found["sha256"] == read_sidecar(tmp_path / "x.beton")["file"]["sha256"]


@pytest.mark.parametrize(("what", "labels", "flip"), [("label", [3, 4], 0), ("pixels", [3, 3], 1)])
def test_file_that_is_not_what_went_in_is_found_when_it_is_read_back(tmp_path, what, labels, flip):
    Image.new("RGB", (32, 32), "teal").save(tmp_path / "a.png")
    beton.write_beton(tmp_path / "x.beton", [Sample("a.png", 3, 0)] * 2, base=tmp_path, resolution=32)
    job = {"temporary": str(tmp_path / "x.beton"), "channels": 3, "resolution": 32}
    digest = digest_content(np.asarray(Image.open(tmp_path / "a.png")).tobytes())
    with pytest.raises(DamagedFileError, match=f"the {what} of b.png w"):
        read_back(job, ["a.png", "b.png"], labels, [digest, digest ^ flip], lambda: None)


def test_full_disk_is_told_from_other_errors(tmp_path):
    (tmp_path / "x").symlink_to("/dev/full")  # only ever through a link: the child removes what it could not finish
    job = {
        "temporary": str(tmp_path / "x"),
        "paths": ["missing.png"],
        "labels": [0],
        "xxh3": [None],
        "resolution": 8,
        "channels": 3,
        "write_mode": "raw",
        "jpeg_quality": 90,
    }
    command = [sys.executable, "-m", "dynvision.data.betons.child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps({"files": [job], "max_bad_images": 0}).encode() + b"\n")
        child.stdin.flush()
        said = child.stdout.read()
    assert json.loads(said.splitlines()[-1]) == {"full": "[Errno 28] No space left on device"}
