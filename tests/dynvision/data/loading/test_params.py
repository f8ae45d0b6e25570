"""Loaders fit into a memory budget, say what they changed, and change no result unless they are asked to."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import TensorDataset

from dynvision.data.dataloader import get_data_loader
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.data.loading import params as loader_params
from dynvision.data.loading.params import DatasetParams, available_memory, optimize_loader_params
from dynvision.stimuli.presentation import Presentation

FRAME = 3 * 10 * 10
"""Numbers in one image of these tests."""


def optimize(batch_size: int = 64, n_timesteps: int = 10, **settings: Any) -> DatasetParams:
    return optimize_loader_params(batch_size, n_timesteps, (3, 10, 10), **{"cores": 4, "memory": 10**9, **settings})


def held_bytes(params: DatasetParams, steps: int) -> int:
    """Two dense batches, and the images that are read ahead."""
    images = params.batch_size * FRAME * params.dtype.itemsize
    return 2 * images * steps + (params.batches_ahead + 2) * images


def test_what_fits_is_left_as_it_is():
    params = optimize(num_workers=3, order="random", batches_ahead=5, file_size=10**6)
    assert params == DatasetParams(64, 5, "random", True, torch.float32, 3, 64 * 10 * FRAME * 4, {})
    assert params.describe() == ""


def test_lazy_batches_need_no_memory_for_time():
    assert optimize(n_timesteps=10_000, lazy=True).batch_bytes == 64 * FRAME * 4
    assert optimize(n_timesteps=10_000, lazy=True, memory=10**6).changes == {}
    assert "batch_size" in optimize(n_timesteps=10_000, memory=10**8).changes


@pytest.mark.parametrize(
    ("share", "changed"),
    [
        (1.0, []),
        (0.99, ["batches_ahead"]),
        (0.85, ["batches_ahead", "dtype"]),
        (0.4, ["batches_ahead", "dtype", "batch_size"]),
    ],
)
def test_what_is_read_ahead_goes_first_then_precision_then_the_batch(share, changed):
    wished = held_bytes(DatasetParams(64, 3, "sequential", True, torch.float32, 1), 10)
    params = optimize(memory=int(wished * share))
    assert list(params.changes) == changed
    assert params.batches_ahead == (3 if not changed else 1 if "dtype" in changed else 2)
    assert params.dtype == (torch.float16 if "dtype" in changed else torch.float32)
    assert params.batch_size == (32 if "batch_size" in changed else 64)
    assert held_bytes(params, 10) <= int(wished * share)
    assert params.batch_bytes == params.batch_size * 10 * FRAME * params.dtype.itemsize


def test_each_change_says_what_it_was_and_why():
    params = optimize(memory=1_000_000, file_size=5_000_000_000, order="random", num_workers=9)
    assert params.describe().splitlines() == [
        "os_cache: True → False: the file of 5.0 GB is larger than the budget of 1.0 MB",
        "order: random → quasi_random: the file of 5.0 GB is larger than the budget of 1.0 MB",
        "num_workers: 9 → 4: there are 4 cores",
        "batches_ahead: 3 → 1: 1.9 MB would be held where the budget is 1.0 MB",
        "dtype: torch.float32 → torch.float16: 1.9 MB would be held where the budget is 1.0 MB",
    ]
    assert (params.order, params.os_cache, params.num_workers) == ("quasi_random", False, 4)


@given(
    st.integers(1, 300),
    st.integers(1, 50),
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
    st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.uint8]),
    st.integers(10_000, 10**8),
)
def test_result_fits_into_the_budget_or_none_does(batch_size, steps, ahead, lazy, keep, dtype, memory):
    settings = {"batches_ahead": ahead, "lazy": lazy, "dtype": dtype, "memory": memory, "keep_numbers": keep}
    shown = 1 if lazy else steps
    smallest = torch.float16 if dtype.itemsize > 2 else dtype
    least = DatasetParams(batch_size if keep else 1, 1, "", True, dtype if keep else smallest, 1)
    if held_bytes(least, shown) > memory:
        with pytest.raises(ValueError, match=r"and the budget is .* Use lazy=True, which holds images and not frames"):
            optimize(batch_size, steps, **settings)
        return
    params = optimize(batch_size, steps, **settings)
    assert held_bytes(params, shown) <= memory
    assert params.batch_bytes == params.batch_size * shown * FRAME * params.dtype.itemsize
    assert 1 <= params.batches_ahead <= ahead
    assert params.batch_size <= batch_size
    before = {"batch_size": batch_size, "batches_ahead": ahead, "dtype": dtype}
    assert set(params.changes) == {name for name, value in before.items() if getattr(params, name) != value}


@given(st.integers(1, 300), st.integers(1, 50), st.sampled_from(["random", "sequential"]), st.integers(10**5, 10**8))
def test_nothing_that_changes_a_number_is_changed_unasked(batch_size, steps, order, memory):
    try:
        params = optimize(batch_size, steps, order=order, memory=memory, file_size=10**9, keep_numbers=True)
    except ValueError:
        return
    assert (params.batch_size, params.dtype, params.order) == (batch_size, torch.float32, order)
    assert params.os_cache is False


def test_trial_that_never_fits_names_the_ways_out():
    message = (
        r"a batch of 1 × 100 steps × 3 × 10 × 10 \(torch\.float16\) needs 0\.1 MB, and the budget is 0\.0 MB\. "
        r"Use lazy=True, which holds images and not frames, fewer time steps, or a larger budget\."
    )
    with pytest.raises(ValueError, match=message):
        optimize(64, 100, memory=1000)
    with pytest.raises(ValueError, match=r"a batch of 64 × .*Use lazy=True.*, a smaller batch_size, fewer time steps"):
        optimize(64, 100, memory=1000, keep_numbers=True)


@pytest.mark.parametrize("name", ["batch_size", "n_timesteps", "batches_ahead", "num_workers"])
@pytest.mark.parametrize("value", [-1, 1.5, True, "2"])
def test_count_that_is_no_whole_number_is_an_error(name, value):
    least = 0 if name == "num_workers" else 1
    with pytest.raises(ValueError, match=f"{name} must be a whole number from {least}, not {value!r}"):
        optimize(**{name: value})


def test_cores_are_those_that_this_process_may_use():
    usable = os.cpu_count() if not hasattr(os, "sched_getaffinity") else len(os.sched_getaffinity(0))
    assert optimize(num_workers=10_000, cores=None).num_workers == usable


VERSION_2, VERSION_1 = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")


def set_limit(
    monkeypatch: pytest.MonkeyPatch,
    limit: str | None,
    used: str = "400\n",
    names: tuple[str, str] = VERSION_2,
    cached: int = 0,
) -> None:
    read = Path.read_text
    held = {
        names[0]: limit,
        names[1]: used,
        "memory.stat": f"anon 100\ninactive_file {cached}\nactive_file 7\ntotal_inactive_file {cached}\n",
    }

    def read_text(path: Path, *arguments: Any, **settings: Any) -> str:
        if "cgroup" not in path.parts:
            return read(path, *arguments, **settings)
        content = held.get(path.name)
        if limit is None or content is None:
            raise FileNotFoundError(path)
        return content

    monkeypatch.setattr(Path, "read_text", read_text)


@pytest.mark.parametrize(("limit", "used", "left"), [("1000\n", "400\n", 600), ("1000\n", "2000\n", 0)])
def test_limit_of_a_control_group_is_respected(monkeypatch, limit, used, left):
    set_limit(monkeypatch, limit, used)
    assert available_memory() == left


@pytest.mark.parametrize("names", [VERSION_1, VERSION_2])
def test_files_that_a_control_group_only_caches_are_no_use_of_memory(monkeypatch, names):
    set_limit(monkeypatch, "1000\n", "900\n", names, cached=300)
    assert available_memory() == 400


@pytest.mark.parametrize("limit", ["max\n", None, f"{10**18}\n"])
def test_without_a_limit_the_machines_memory_counts(monkeypatch, limit):
    set_limit(monkeypatch, limit)
    machine = psutil.virtual_memory()
    assert 0 < available_memory() <= machine.total
    assert available_memory() == pytest.approx(machine.available, abs=0.1 * machine.total)


def test_half_of_what_is_available_is_the_budget(monkeypatch):
    monkeypatch.setattr(loader_params, "available_memory", lambda: 2_000_000)
    with pytest.raises(ValueError, match=r"the budget is 1\.0 MB"):
        optimize(64, 1000, memory=None, keep_numbers=True)


def read_labels(loader: Any) -> list[int]:
    return [int(label) for _, labels in loader for label in labels[:, 0]]


def test_loader_logs_once_what_it_changed_and_shows_the_same(betons, caplog):
    images = 12 * 3 * 16 * 16 * 4
    with caplog.at_level(logging.INFO, logger="dynvision"):
        tight = get_ffcv_dataloader(betons.path("rgb"), 12, order="random", seed=2, memory_budget=6 * images)
        shown = read_labels(tight) + read_labels(tight)
    (record,) = [r for r in caplog.records if r.name == "dynvision.data.ffcv_dataloader"]
    message = record.getMessage()
    assert message.startswith(f"{betons.path('rgb')}: ")
    assert "batches_ahead: 3 → 2: 0.3 MB would be held where the budget is 0.2 MB" in message
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="dynvision"):
        roomy = get_ffcv_dataloader(betons.path("rgb"), 12, order="random", seed=2)
        assert read_labels(roomy) + read_labels(roomy) == shown
    assert not [r for r in caplog.records if r.name == "dynvision.data.ffcv_dataloader"]


@pytest.mark.parametrize("opened", ["torch", "ffcv"])
def test_presentation_that_no_longer_fits_is_an_error_in_the_next_epoch(betons, opened):
    settings = {"batch_size": 5, "n_timesteps": 10, "memory_budget": 1_000_000}
    data = TensorDataset(torch.zeros(12, 3, 16, 16), torch.arange(12))
    loader = (
        get_data_loader(data, **settings) if opened == "torch" else get_ffcv_dataloader(betons.path("rgb"), **settings)
    )
    assert len(list(loader)) == 3
    loader.presentation = Presentation.constant(1000)
    with pytest.raises(ValueError, match=r"a batch of 5 × 1000 steps × 3 × 16 × 16 .* Use lazy=True"):
        next(iter(loader))
    loader.lazy = True
    assert len(list(loader)) == 3
    loader.lazy = False
    for _ in range(2):
        with pytest.raises(ValueError, match="Use lazy=True"):
            next(iter(loader))


def test_batch_that_does_not_fit_is_an_error_and_fits_when_lazy(betons):
    settings = {"n_timesteps": 1000, "memory_budget": 1_000_000}
    with pytest.raises(ValueError, match=r"a batch of 5 × 1000 steps × 3 × 16 × 16 .* Use lazy=True"):
        get_ffcv_dataloader(betons.path("rgb"), 5, **settings)
    assert len(get_ffcv_dataloader(betons.path("rgb"), 5, lazy=True, **settings)) == 3
