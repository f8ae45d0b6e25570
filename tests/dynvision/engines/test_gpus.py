"""The GPUs of a machine are found without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynvision.engines.local.gpus import choose_gpus, find_gpus
from dynvision.errors import ConfigError


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
    tool.write_text(
        "#!/bin/sh\necho 'GPU 0: NVIDIA A (UUID: GPU-1)'\necho '  MIG 1g'\necho 'GPU 1: NVIDIA A (UUID: GPU-2)'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find_gpus() == ["0", "1"]
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
