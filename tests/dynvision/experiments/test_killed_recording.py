"""A recording that is killed, again and again, and resumed each time."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynvision.experiments.stores.store import partial_path
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml, write_small_config
from tests.helpers.recordings import change_record, read_files, store

pytestmark = pytest.mark.slow

KILLS = 20
LEVELS = ("0.1", "0.5", "1.0")

STARTER = """
import os, sys
from pathlib import Path
import dynvision.analysis.measures, dynvision.data.dataloader, dynvision.experiments.recording
from tests.helpers.recordings import show
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        show(Path(line.strip()))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Starter:
    """Starts recordings as forks of a process that has imported everything already, so that they start at once."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def start(self, root: Path) -> int:
        """Start a recording and return its process id."""
        self.process.stdin.write(f"{root}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self) -> int:
        """Wait for the recording to end, and return its exit status."""
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture
def starter() -> Iterator[Starter]:
    started = Starter()
    yield started
    started.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A chain that reads its images directly. One image a batch and long trials give many moments to be killed at."""
    config = write_small_config(tmp_path / "root" / "config")
    edit_yaml(config / "config_data.yaml", lambda content: content.update(use_ffcv=False))
    edit_yaml(
        config / "config_experiments.yaml",
        lambda content: content["experiment_config"]["contrast"]["data_args"].update(tsteps=60),
    )
    change_record(tmp_path / "root", batch_size=1)
    build_chain(tmp_path / "root", config, "models/rcnn/gratings:all_s0", "interim/gratings:test_all")
    return tmp_path / "root"


def count_batches(root: Path) -> int:
    """Count the batches in the journals of all conditions."""
    journals = [partial_path(store(root, level)) / "journal.jsonl" for level in LEVELS]
    return sum(max(j.read_bytes().count(b"\n") - 1, 0) if j.is_file() else 0 for j in journals)


def is_done(root: Path) -> bool:
    return all(store(root, level).exists() for level in LEVELS)


def test_run_killed_at_random_moments_is_resumed_to_the_same_bytes(root, tmp_path, starter):
    shutil.copytree(root, tmp_path / "whole", symlinks=True)
    starter.start(tmp_path / "whole")
    assert starter.wait() == 0
    rng, reached, from_moment = random.Random(0), [], 0.0
    for _ in range(KILLS):
        child, before, start = starter.start(root), count_batches(root), time.monotonic()
        # Every other kill comes at any moment of the start, the others while batches are written.
        moment = rng.random() * 0.5 if from_moment else None
        while moment is None and count_batches(root) == before and not is_done(root) and time.monotonic() - start < 30:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02 if moment is None else moment)
        if is_done(root):
            starter.wait()
            break
        os.kill(child, signal.SIGKILL)
        assert starter.wait() in (-signal.SIGKILL, 0)
        reached.append(count_batches(root))
        from_moment = not from_moment
    assert reached == sorted(reached), "a killed run lost batches"
    assert len(reached) >= KILLS // 2, "the runs were finished before they could be killed"
    starter.start(root)
    assert starter.wait() == 0
    for level in LEVELS:
        assert read_files(store(root, level)) == read_files(store(tmp_path / "whole", level))
        resumed, direct = (
            json.loads((store(folder, level) / "record.json").read_text()) for folder in (root, tmp_path / "whole")
        )
        assert resumed["data_version"] == direct["data_version"]
        for name in ("mean_response", "accuracy", "accuracy_over_time", "peak_response"):
            assert resumed["details"][name] == direct["details"][name]
