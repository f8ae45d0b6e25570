"""The GPUs of a machine are found without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynvision.engines.local.gpus import choose_gpus, find_gpus
from dynvision.errors import ConfigError

LISTING = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-8a1b-1)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-8a1b-2)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-8a1b-3)
  MIG 3g.20gb     Device  0: (UUID: MIG-77-1)
  MIG 3g.20gb     Device  1: (UUID: MIG-77-2)
"""
"""What `nvidia-smi -L` prints; the last GPU is divided."""


@pytest.mark.parametrize(
    ("visible", "names"),
    [("0,2", ["0", "2"]), ("GPU-8a, MIG-2", ["GPU-8a", "MIG-2"]), ("", []), ("-1", []), ("1,-1,2", ["1"])],
)
def test_what_cuda_may_see_counts(monkeypatch: pytest.MonkeyPatch, visible: str, names: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert find_gpus() == names


@pytest.mark.slow
def test_otherwise_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    tool = tmp_path / "nvidia-smi"
    (tmp_path / "listing").write_text(LISTING)
    tool.write_text(f"#!/bin/sh\ncat {tmp_path}/listing\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_gpus() == ["GPU-8a1b-1", "GPU-8a1b-2", "MIG-77-1"], "CUDA may count them in another order"
    assert choose_gpus((1,)) == ["GPU-8a1b-2"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert find_gpus() == []


def test_numbers_count_within_what_cuda_may_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert choose_gpus((1,)) == ["7"]
    assert choose_gpus(None) == ["5", "7"]
    assert choose_gpus(()) == []
    with pytest.raises(ConfigError, match="names GPU 2, which this machine does not have: it has 2, numbered from 0"):
        choose_gpus((0, 2))


@pytest.mark.slow
def test_neither_torch_nor_dask_is_imported_without_an_engine() -> None:
    program = "import sys, dynvision.engines.opening as o; o.open_engine(o.EngineSettings()); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "distributed", "dask", "tornado", "numpy"} & set(modules)
