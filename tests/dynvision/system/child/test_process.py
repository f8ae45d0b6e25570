from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dynvision.errors import ConfigError, DamagedFileError, DynvisionError, MachineError, UnexpectedError
from dynvision.system.child.process import ComputeProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def process() -> Iterator[ComputeProcess]:
    made = ComputeProcess()
    yield made
    made.close()


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of functions that the child can import."""
    content = """
        import mmap, os, time
        from dynvision.errors import ConfigError

        def add(a, b):
            print("printing does not disturb the answer")
            return {"sum": a + b, "process": os.getpid()}

        def refuse():
            raise ConfigError("config_data.yaml: this is wrong")

        def divide(a, b, targets):
            return a / b

        def fill(targets):
            with open("/dev/full", "w") as file:
                file.write("more than fits")

        def read_truncated(path, targets):
            with open(path, "r+b") as file:
                pages = mmap.mmap(file.fileno(), 0)
                file.truncate(0)
                return pages[0]

        def read_with_workers(count):
            import torch
            from torch.utils.data import TensorDataset
            from dynvision.data.dataloader import get_data_loader
            data = TensorDataset(torch.arange(6.0).reshape(6, 1, 1, 1), torch.arange(6))
            batches = get_data_loader(data, batch_size=2, lazy=True, n_timesteps=1, num_workers=count)
            return [int(labels.dense()[0, 0]) for _, labels in batches]

        class Interrupted:
            def __del__(self):
                os.kill(os.getpid(), 15)
                for _ in range(1000):
                    pass

        def be_interrupted_while_disposing():
            Interrupted()
            time.sleep(60)

        def leave():
            os._exit(7)

        def wait_in_a_loop(note):
            try:
                while True:
                    open(note, "a").write("running\\n")
                    time.sleep(0.05)
            finally:
                open(note, "a").write("cleared away\\n")
    """
    (tmp_path / "functions_of_a_test.py").write_text(textwrap.dedent(content))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)


@pytest.mark.usefixtures("functions")
@pytest.mark.timeout(50)
def test_interruption_while_an_object_is_disposed_of_is_not_lost(process, capfd):
    with pytest.raises(KeyboardInterrupt):
        process.call("functions_of_a_test:be_interrupted_while_disposing")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.usefixtures("functions")
@pytest.mark.timeout(120)
def test_worker_processes_can_be_started_in_the_child(process):
    assert process.call("functions_of_a_test:read_with_workers", count=2) == [0, 2, 4]


@pytest.mark.usefixtures("functions")
def test_calls_are_answered_by_one_other_process(process):
    first = process.call("functions_of_a_test:add", a=2, b=3)
    second = process.call("functions_of_a_test:add", a=2.5, b=1)
    assert (first["sum"], second["sum"]) == (5, 3.5)
    assert first["process"] == second["process"] != os.getpid()


@pytest.mark.usefixtures("functions")
def test_errors_for_people_keep_their_class_and_text(process):
    with pytest.raises(ConfigError, match=r"^config_data\.yaml: this is wrong$"):
        process.call("functions_of_a_test:refuse")
    assert process.call("functions_of_a_test:add", a=1, b=1)["sum"] == 2


@pytest.mark.usefixtures("functions")
def test_other_errors_name_the_users_line_and_the_file_with_the_traceback(process, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(UnexpectedError) as raised:
        process.call("functions_of_a_test:divide", a=1, b=0, targets=["models/mine"])
    said = str(raised.value)
    assert re.match(
        r"models/mine: ZeroDivisionError: division by zero \(.*functions_of_a_test\.py, line \d+, in divide\)", said
    )
    assert "Mend that code, then run this again." in said
    (log,) = (tmp_path / "dynvision/logs").iterdir()
    assert said.endswith(f"The traceback is in {log}.")
    assert "return a / b" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("functions")
def test_a_refusal_of_the_machine_in_the_child_is_a_sentence(process, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with pytest.raises(MachineError, match=r"^models/mine: no space is left on the disk. Make room .*log"):
        process.call("functions_of_a_test:fill", targets=["models/mine"])


@pytest.mark.usefixtures("functions")
def test_file_truncated_while_it_is_read_is_a_damaged_file_and_not_the_end_of_this_process(process, tmp_path):
    (tmp_path / "images").write_bytes(bytes(8192))
    with pytest.raises(DamagedFileError, match=r"models/rcnn: the process that reads the images died .*SIGBUS.*verify"):
        process.call("functions_of_a_test:read_truncated", path=str(tmp_path / "images"), targets=["models/rcnn"])
    assert process.call("functions_of_a_test:add", a=1, b=1)["sum"] == 2


@pytest.mark.usefixtures("functions")
def test_process_that_stops_is_an_error_that_says_how(process):
    with pytest.raises(DynvisionError, match=r"functions_of_a_test:leave: .* stopped \(exit code 7\)"):
        process.call("functions_of_a_test:leave")


@pytest.mark.usefixtures("functions")
def test_closing_ends_the_child(process):
    child = process.call("functions_of_a_test:add", a=1, b=1)["process"]
    process.close()
    assert not psutil.pid_exists(child)
    assert not process.is_running


PARENT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from dynvision.system.child.process import ComputeProcess
ComputeProcess().call("functions_of_a_test:wait_in_a_loop", note={note!r})
"""


@pytest.mark.usefixtures("functions")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_child_clears_away_and_ends_when_its_caller_is_stopped(tmp_path, number):
    note = tmp_path / "note"
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(note=str(note))], stderr=subprocess.DEVNULL)
    try:
        _wait_for(lambda: note.exists() and "running" in note.read_text())
        children = psutil.Process(parent.pid).children()
        parent.send_signal(number)
        parent.wait(timeout=20)
        _wait_for(lambda: "cleared away" in note.read_text())
        _wait_for(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    finally:
        parent.kill()


def _wait_for(is_true, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
