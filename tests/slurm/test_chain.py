"""A small chain from nothing to the summary through the jobs of a real Slurm, some of which are lost on the way."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import load_file

from dynvision.experiments.stores.journal import JOURNAL
from tests.helpers.chains import records
from tests.helpers.commands import environment
from tests.helpers.configuration import edit_config, write_config
from tests.helpers.slurm_cluster import SlurmCluster

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

TARGET = "summary/contrast"
COMPUTE = """\
engine: slurm
interface: lo
max_jobs: 2
defaults: {memory: 900M, time: 10m}
stages: {summary: here}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root whose recordings have many batches, so that there is a middle."""
    return write_root(tmp_path / "root")


def write_root(root: Path) -> Path:
    write_config(root)
    edit_config(root, "test_per_class: 4", "test_per_class: 60")
    edit_config(root, "idle: 2\n    data_args: {tsteps: 6,", "idle: 2\n    data_args: {tsteps: 20,")
    edit_config(root, "resolution: channel}", "resolution: channel, batch_size: 10}")
    return root


def start_make(root: Path, output: Path) -> subprocess.Popen[bytes]:
    """Start `dynvision make`. Locally it has one thread, as its jobs have."""
    variables = {**environment(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dynvision_assets.command_line", "make", TARGET]
    with output.open("wb") as file:
        return subprocess.Popen(command, cwd=root, env=variables, stdout=file, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen[bytes], output: Path) -> None:
    try:
        code = process.wait(280)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert code == 0, output.read_text()


def count_batches(root: Path) -> int:
    """How many batches of recordings that are not whole are on the disk."""
    journals = (root / "data" / "responses").rglob(f".*.partial/{JOURNAL}")
    return sum(max(0, len(path.read_bytes().splitlines()) - 1) for path in journals if path.exists())


def wait_for_batches(root: Path, process: subprocess.Popen[bytes], more_than: int) -> None:
    """Wait until a recording is in its middle, further than before."""
    while count_batches(root) <= more_than:
        assert process.poll() is None, "it ended before it was disturbed"
        time.sleep(0.02)


def wait_for_no_job(cluster: SlurmCluster) -> None:
    deadline = time.monotonic() + 20
    while cluster.jobs() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert cluster.jobs() == []


def running_jobs(cluster: SlurmCluster) -> list[str]:
    return [number for number, state in cluster.jobs() if state == "RUNNING"]


def kill_workers(numbers: list[str]) -> None:
    """Kill the workers of jobs: the processes that Slurm has started for them."""
    for process in psutil.process_iter(["cmdline"]):
        if "dynvision.engines.queues.job_main" in (process.info["cmdline"] or []):
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.environ().get("SLURM_JOB_ID") in numbers:
                    process.kill()


def deterministic_files(root: Path) -> dict[str, Path]:
    """The outputs that have the same bytes whenever and wherever they are made.

    These are all but records and stamps, and the pages, which show the records' times.
    """
    files = {str(path.relative_to(root)): path for path in (root / "data").rglob("*") if path.is_file()}
    timed = ("record.json", "pending.json", "manifest.json", ".beton.json", "folder.link", "index.html")
    return {name: path for name, path in files.items() if not name.endswith(timed) and not path.name.startswith(".")}


def have_same_content(one: Path, other: Path) -> bool:
    """Whether two files are the same; those of weights hold the time at which they were made next to the numbers."""
    if one.suffix != ".safetensors":
        return one.read_bytes() == other.read_bytes()
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(first[key].tobytes() == second[key].tobytes() for key in first)


@pytest.mark.timeout(600)
def test_chain_whose_jobs_are_lost_has_every_byte_of_a_local_build(
    cluster: SlurmCluster, root: Path, tmp_path: Path
) -> None:
    (root / "config" / "config_compute.yaml").write_text(COMPUTE)
    output = tmp_path / "slurm.txt"
    making = start_make(root, output)
    wait_for_batches(root, making, 8)
    before = running_jobs(cluster)
    cluster.call("scancel", *before)
    done = count_batches(root)
    wait_for_batches(root, making, done + 4)
    kill_workers([number for number in running_jobs(cluster) if number not in before])
    finish(making, output)

    said = output.read_text()
    assert " was cancelled; it is tried again" in said, said
    assert said.count("; it is tried again") >= 2, said
    logs = "".join(path.read_text() for path in (root / ".dynvision" / "engine" / "logs").glob("*.log"))
    assert logs.count(": resumes after ") >= 2, logs
    wait_for_no_job(cluster)

    local = write_root(tmp_path / "local")
    finish(start_make(local, tmp_path / "local.txt"), tmp_path / "local.txt")
    mine, theirs = deterministic_files(root), deterministic_files(local)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not have_same_content(mine[name], theirs[name])] == []
    versions = [{t: (r.data_version, r.inputs) for t, r in records(where).items()} for where in (root, local)]
    assert versions[0] == versions[1]
    assert len(versions[0]) == 20


def test_ctrl_c_cancels_the_jobs(cluster: SlurmCluster, root: Path, tmp_path: Path) -> None:
    (root / "config" / "config_compute.yaml").write_text(COMPUTE)
    output = tmp_path / "slurm.txt"
    making = start_make(root, output)
    deadline = time.monotonic() + 120
    while "RUNNING" not in {state for _, state in cluster.jobs()}:
        assert making.poll() is None, output.read_text()
        assert time.monotonic() < deadline, "no job has started"
        time.sleep(0.1)
    making.send_signal(signal.SIGINT)
    assert making.wait(60) == 130, output.read_text()
    wait_for_no_job(cluster)
