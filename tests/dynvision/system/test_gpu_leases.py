"""Leases of GPUs that do not exist, by processes that do."""

from __future__ import annotations

import functools
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dynvision.errors import MachineError
from dynvision.system import gpu_leases, machine
from dynvision.system.gpu_leases import SHARE, lease_gpu, name_gpus, sharing_gpus
from dynvision.system.machine import lease_device

GPUS = ["GPU-a", "GPU-b"]

HOLD = (
    "import sys; from pathlib import Path; from dynvision.system.gpu_leases import lease_gpu\n"
    "with lease_gpu(sys.argv[2].split(','), folder=Path(sys.argv[1])) as number:\n"
    "    print(number, flush=True); sys.stdin.read()"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(SHARE, raising=False)
    monkeypatch.setattr(gpu_leases, "_TURN", 0.02)
    return tmp_path / "gpus"


def hold(folder: Path, gpus: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start a process that leases a GPU, and wait until it has one."""
    arguments = [sys.executable, "-c", HOLD, str(folder), ",".join(gpus)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(arguments, **pipes, text=True, env={**os.environ, **environment})


def number_of(child: subprocess.Popen[str]) -> int:
    assert child.stdout is not None
    return int(child.stdout.readline())


def stop(*children: subprocess.Popen[str]) -> None:
    for child in children:
        child.kill()
        child.communicate()


class Stop(Exception):
    """Raised in place of a wait."""


def stop_waiting(line: str) -> None:
    raise Stop(line)


@pytest.mark.slow
def test_two_runs_take_two_gpus_and_a_third_waits_and_says_for_whom(folder):
    first, told = hold(folder, GPUS), []
    assert number_of(first) == 0
    second = hold(folder, GPUS)
    assert number_of(second) == 1
    third = hold(folder, ["GPU-b", "GPU-a"])
    with pytest.raises(Stop) as waiting, lease_gpu(GPUS, folder=folder, tell=stop_waiting):
        pass
    said = str(waiting.value)
    assert said.startswith(f"GPU 0 (GPU-a) is used by process {first.pid} (python")
    assert f"; GPU 1 (GPU-b) is used by process {second.pid} (" in said
    assert said.endswith("): waiting until it is free (Ctrl-C stops waiting; DYNVISION_SHARE_GPUS=1 shares GPUs).")
    stop(first)
    assert number_of(third) == 1, "its second GPU is the one that was freed"
    stop(second)
    with lease_gpu(GPUS, folder=folder, tell=told.append) as number:
        assert number == 1
    stop(third)
    assert told == []


@pytest.mark.slow
def test_a_gpu_that_is_named_is_waited_for_though_another_is_free(folder):
    child, told = hold(folder, GPUS), []
    assert number_of(child) == 0

    def end(line: str) -> None:
        told.append(line)
        stop(child)

    begin = time.monotonic()
    with lease_gpu(GPUS, 0, folder=folder, tell=end) as number:
        assert number == 0
        assert time.monotonic() - begin < 10
    (line,) = told
    assert line.startswith(f"GPU 0 (GPU-a) is used by process {child.pid} (")
    assert "GPU 1" not in line


@pytest.mark.slow
def test_runs_that_share_compute_together_but_not_with_one_that_does_not(folder):
    children = [hold(folder, GPUS[:1], **{SHARE: "1"}) for _ in range(2)]
    assert [number_of(child) for child in children] == [0, 0]
    with pytest.raises(Stop), lease_gpu(GPUS[:1], folder=folder, tell=stop_waiting):
        pass
    with lease_gpu(GPUS[:1], share=True, folder=folder, tell=stop_waiting):
        pass
    stop(*children)
    with (
        lease_gpu(GPUS[:1], folder=folder, tell=stop_waiting),
        lease_gpu(GPUS[:1], folder=folder, tell=stop_waiting) as number,
    ):
        assert number == 0, "a call within a call of the same process has the GPU already"


def test_a_lease_is_for_all_users(folder):
    mask = os.umask(0o077)
    try:
        with lease_gpu(GPUS, folder=folder):
            pass
    finally:
        os.umask(mask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o666]
    with lease_gpu(GPUS, folder=folder):
        pass


@pytest.mark.parametrize("trap", ["folder", "link", "hard link", "pipe"])
def test_nothing_is_written_through_a_link_of_somebody_else(folder, trap):
    victim = folder.parent / "victim"
    victim.mkdir() if trap == "folder" else victim.write_text("mine")
    if trap == "folder":
        folder.symlink_to(victim)
    else:
        folder.mkdir()
        lease = folder / "GPU-a.lease"
        {"link": lease.symlink_to, "hard link": lease.hardlink_to, "pipe": lambda _: os.mkfifo(lease)}[trap](victim)
    expected = pytest.raises(MachineError, match=r"no GPU can be leased, because .*gpus cannot be used: .*")
    with expected, lease_gpu(GPUS, folder=folder):
        pass
    assert list(victim.iterdir()) == [] if trap == "folder" else victim.read_text() == "mine"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"owner": 3}', '{"owner": {"pid": 1}, "command": "\\u001b[2J"}'])
def test_a_lease_that_cannot_be_read_names_nobody(folder, content):
    with lease_gpu(GPUS, 0, folder=folder):
        (folder / "GPU-a.lease").write_text(content)
        directory = os.open(folder, os.O_RDONLY)
        assert gpu_leases._read_holder(directory, "GPU-a") == "another process"
        os.close(directory)


@pytest.mark.parametrize(
    ("uuids", "environment", "names"),
    [
        (["GPU-a", "GPU-b"], {}, ["GPU-a", "GPU-b"]),
        (["GPU-b"], {"CUDA_VISIBLE_DEVICES": "1"}, ["GPU-b"]),
        (["", ""], {"CUDA_VISIBLE_DEVICES": "3, 1"}, ["3", "1"]),
        (["", ""], {"HIP_VISIBLE_DEVICES": "2,0"}, ["2", "0"]),
        (["", ""], {}, ["0", "1"]),
        (["GPU-a", "GPU-a"], {"CUDA_VISIBLE_DEVICES": "MIG-x,MIG-y"}, ["MIG-x", "MIG-y"]),
        ([], {}, []),
    ],
)
def test_a_gpu_has_the_same_name_in_every_process(uuids, environment, names):
    assert name_gpus(uuids, environment) == names


@pytest.mark.slow
def test_the_cpu_is_not_leased(folder, monkeypatch):
    monkeypatch.setattr(machine, "lease_gpu", functools.partial(lease_gpu, folder=folder))
    with lease_device("cpu") as first, lease_device("cpu") as second:
        assert first.type == second.type == "cpu"
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "found"), [("cuda", "cuda:1"), ("cuda:1", "cuda:1")])
def test_a_device_without_a_number_is_a_gpu_that_is_free(folder, monkeypatch, name, found):
    import torch

    monkeypatch.setattr(machine, "lease_gpu", functools.partial(lease_gpu, folder=folder, tell=stop_waiting))
    monkeypatch.setattr(machine, "choose_device", torch.device)  # There need be no GPU here.
    monkeypatch.setattr(machine, "_visible_gpus", lambda: GPUS)
    child = hold(folder, GPUS)
    assert number_of(child) == 0
    with lease_device(name) as device:
        assert device == torch.device(found)
        assert len(list(folder.iterdir())) == 2
    stop(child)


@pytest.mark.parametrize("before", [None, "0", "1"])
def test_what_may_share_shares_only_while_it_computes(monkeypatch, before):
    if before is None:
        monkeypatch.delenv(SHARE, raising=False)
    else:
        monkeypatch.setenv(SHARE, before)
    with sharing_gpus(True):
        assert os.environ[SHARE] == "1"
    assert os.environ.get(SHARE) == before
    with sharing_gpus(False):
        assert os.environ.get(SHARE) == before
