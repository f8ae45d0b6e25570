"""An engine leaves nothing behind: no process, no socket, no key; also if it is killed, or calls do not listen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from dynvision.errors import DynvisionError
from tests.helpers.engine_calls import Opening, alive, call, noted, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CONTROLLER = """
import sys
from pathlib import Path
from dynvision.engines.opening import open_engine
from dynvision.engines.settings import EngineSettings
from dynvision.engines.calls import Call

folder = Path(sys.argv[1])
with open_engine(EngineSettings(kind="local", workers=2, gpus=(), folder=folder / "engine")) as engine:
    for name, seconds in (("short", 0.0), ("long", 60.0)):
        note = str(folder / name)
        engine.submit(Call(name, "tests.helpers.calls:write_after", {"note": note, "seconds": seconds}))
    for _ in range(2):
        engine.wait()
"""


def listening() -> set[tuple[str, int]]:
    """What this process listens on."""
    connections = psutil.Process().net_connections("inet")
    return {tuple(c.laddr) for c in connections if c.status == psutil.CONN_LISTEN}


@pytest.mark.parametrize("function", ["write_after", "ignore_interruptions"])
def test_closing_ends_what_is_computed_with_its_whole_tree(
    open_local: Opening, folder: Path, tmp_path: Path, function: str
) -> None:
    before = {thread.name for thread in threading.enumerate()}
    others = psutil.Process().children(recursive=True)  # of earlier tests
    listened = listening()  # by earlier tests
    note = tmp_path / "note"
    engine = open_local(workers=2)
    arguments = {"seconds": 60.0} if function == "write_after" else {}
    engine.submit(call(function, note=str(note), **arguments))
    wait_for(lambda: len(noted(note)) == 2)
    tree = [process.pid for process in psutil.Process().children(recursive=True) if process not in others]
    assert set(noted(note)) <= set(tree)
    start = time.monotonic()
    engine.close()
    assert time.monotonic() - start < 5
    assert alive(tree) == []
    assert not list(folder.glob("run-*"))
    assert listening() == listened
    left = {thread.name for thread in threading.enumerate()} - before
    assert not {name for name in left if name.startswith("dynvision")}
    if function == "write_after":
        assert note.with_suffix(".interrupted").exists()


def test_a_run_whose_workers_and_their_starter_were_killed_ends_with_an_error(
    open_local: Opening, tmp_path: Path
) -> None:
    others = psutil.Process().children(recursive=True)  # of earlier tests
    engine = open_local()
    engine.submit(call("write_after", note=str(tmp_path / "note"), seconds=60.0))
    wait_for(lambda: len(noted(tmp_path / "note")) == 2)
    (nursery,) = (process for process in psutil.Process().children() if process not in others)
    (worker,) = nursery.children()
    nursery.kill()
    worker.kill()
    with pytest.raises(DynvisionError, match="the process that starts workers has ended"):
        engine.wait()


def test_workers_end_with_a_controller_that_was_killed_and_the_next_one_removes_its_key(
    open_local: Opening, folder: Path, tmp_path: Path
) -> None:
    controller = subprocess.Popen([sys.executable, "-P", "-c", CONTROLLER, str(tmp_path)])
    wait_for(lambda: (tmp_path / "short.finished").exists() and len(noted(tmp_path / "long")) == 2)
    tree = [process.pid for process in psutil.Process(controller.pid).children(recursive=True)]
    assert len(tree) >= 5
    assert len(list(folder.glob("run-*/tls/key.pem"))) == 1
    controller.kill()
    controller.wait()
    wait_for(lambda: alive(tree) == [], seconds=10)
    assert not (tmp_path / "long.finished").exists()
    open_local().close()
    assert not list(folder.glob("run-*"))


def test_a_controller_that_is_interrupted_ends_within_five_seconds_and_in_silence(tmp_path: Path) -> None:
    controller = subprocess.Popen(
        [sys.executable, "-P", "-c", CONTROLLER, str(tmp_path)], stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: len(noted(tmp_path / "long")) == 2)
    tree = [process.pid for process in psutil.Process(controller.pid).children(recursive=True)]
    start = time.monotonic()
    os.kill(controller.pid, signal.SIGINT)
    assert controller.stderr is not None
    said = controller.stderr.read()
    controller.wait()
    assert time.monotonic() - start < 5
    assert alive(tree) == []
    assert said.count("Traceback") == 1  # the interruption itself, which the command line turns into a sentence
    assert said.strip().endswith("KeyboardInterrupt")
