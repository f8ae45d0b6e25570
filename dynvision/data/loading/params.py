"""Fit a loader's batch size, batches ahead, workers and caching into one memory budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from dynvision.errors import check_number, unknown_name
from dynvision.system.machine import available_memory, usable_cores

__all__ = ["ORDERS", "DatasetParams", "optimize_loader_params"]

ORDERS = ("sequential", "random", "quasi_random")
_SHARE = 0.5
"""The part of the available memory that a loader takes by default."""
_HELD = 2
"""Dense batches in memory at once: the one in use and the one being made."""


@dataclass(frozen=True)
class DatasetParams:
    """A loader's parameters as they fit into memory.

    Attributes:
        batch_size: Images a batch.
        batches_ahead: Batches prepared in advance.
        order: `sequential`, `random` or `quasi_random`; FFCV's own `OrderOption` will do.
        os_cache: Whether the operating system caches the file.
        dtype: Type of the images.
        num_workers: Threads or processes that read.
        batch_bytes: Bytes of one batch, including all time steps if it is dense.
        changes: What was changed, and why.
    """

    batch_size: int
    batches_ahead: int
    order: str
    os_cache: bool
    dtype: torch.dtype
    num_workers: int
    batch_bytes: int = 0
    changes: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", str(getattr(self.order, "name", self.order)).lower())

    def describe(self) -> str:
        """Describe what was changed and why, one line each."""
        return "\n".join(f"{name}: {why}" for name, why in self.changes.items())


def optimize_loader_params(
    batch_size: int,
    n_timesteps: int = 1,
    shape: Sequence[int] = (3, 224, 224),
    *,
    dtype: torch.dtype = torch.float32,
    num_workers: int = 1,
    batches_ahead: int = 3,
    order: str = "sequential",
    os_cache: bool = True,
    lazy: bool = False,
    file_size: int | None = None,
    memory: int | None = None,
    cores: int | None = None,
    keep_numbers: bool = False,
) -> DatasetParams:
    """Fit a loader's parameters into a memory budget.

    A loader holds two batches of B·T·C·H·W numbers (B·C·H·W if it is lazy), and `batches_ahead` + 2
    batches of B·C·H·W numbers that are read ahead. If that is more than the budget, these are lowered in this
    order: batches ahead, the type of the images to float16, the batch size by halves. If the file is larger
    than the budget, it is not cached, and a random order becomes quasi-random, which reads it page by page.

    Args:
        batch_size: The wished number of images a batch.
        n_timesteps: T.
        shape: `(C, H, W)`.
        dtype: Type of the images.
        num_workers: Threads or processes that read.
        batches_ahead: Batches prepared in advance.
        order: `sequential`, `random` or `quasi_random`.
        os_cache: Whether the operating system caches the file.
        lazy: Batches are sequences, whose memory does not grow with T.
        file_size: Bytes of the file, if there is one.
        memory: The budget in bytes; by default half of what is available.
        cores: Cores that may be used; by default those of this process.
        keep_numbers: Change only what cannot change a result: batches ahead, workers, caching.

    Raises:
        ValueError: If a setting is impossible, or not even one trial fits.
        UnknownNameError: If there is no such order.
        TypeError: If `dtype` is no type of torch.
    """
    for name, value in (("batch_size", batch_size), ("n_timesteps", n_timesteps), ("batches_ahead", batches_ahead)):
        check_number(name, value, 1, whole=True)
    check_number("num_workers", num_workers, 0, whole=True)
    if order not in ORDERS:
        raise unknown_name("order", order, ORDERS)
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype is a type of torch such as torch.float32, not {dtype!r}")
    if cores is not None:
        check_number("cores", cores, 1)
    budget = int(available_memory() * _SHARE) if memory is None else int(memory)
    usable = usable_cores() if cores is None else cores
    changes: dict[str, str] = {}
    params = DatasetParams(batch_size, batches_ahead, order, os_cache, dtype, num_workers, changes=changes)
    params = _fit_file(params, file_size, budget, keep_numbers)
    if params.num_workers > usable:
        changes["num_workers"] = f"{num_workers} → {usable}: there are {usable} cores"
        params = replace(params, num_workers=usable)
    steps = 1 if lazy else n_timesteps
    params = _fit_batches(params, steps, tuple(shape), budget, keep_numbers)
    return replace(params, batch_bytes=_batch_bytes(params, steps, shape))


def _fit_file(params: DatasetParams, file_size: int | None, budget: int, keep_numbers: bool) -> DatasetParams:
    if file_size is None or file_size <= budget:
        return params
    why = f"the file of {_size(file_size)} is larger than the budget of {_size(budget)}"
    if params.os_cache:
        params.changes["os_cache"] = f"True → False: {why}"
        params = replace(params, os_cache=False)
    if params.order == "random" and not keep_numbers:
        params.changes["order"] = f"random → quasi_random: {why}"
        params = replace(params, order="quasi_random")
    return params


def _fit_batches(
    params: DatasetParams, steps: int, shape: tuple[int, ...], budget: int, keep_numbers: bool
) -> DatasetParams:
    first, changes = params, params.changes

    def need(fitted: DatasetParams) -> int:
        frame = _batch_bytes(fitted, 1, shape)
        return _HELD * frame * steps + (fitted.batches_ahead + 2) * frame

    why = f"{_size(need(params))} would be held where the budget is {_size(budget)}"
    while need(params) > budget and params.batches_ahead > 1:
        params = replace(params, batches_ahead=params.batches_ahead - 1)
    if not keep_numbers:
        if need(params) > budget and params.dtype in (torch.float32, torch.float64):
            params = replace(params, dtype=torch.float16)
        while need(params) > budget and params.batch_size > 1:
            params = replace(params, batch_size=params.batch_size // 2)
    for name in ("batches_ahead", "dtype", "batch_size"):
        before, after = getattr(first, name), getattr(params, name)
        if before != after:
            changes[name] = f"{before} → {after}: {why}"
    if need(params) > budget:
        batch = f"a batch of {params.batch_size} × {steps} steps × {' × '.join(map(str, shape))} ({params.dtype})"
        wayout = "a smaller batch_size, " if params.batch_size > 1 else ""
        raise ValueError(
            f"{batch} needs {_size(need(params))}, and the budget is {_size(budget)}. Use lazy=True, which holds "
            f"images and not frames, {wayout}fewer time steps, or a larger budget."
        )
    return params


def _batch_bytes(params: DatasetParams, steps: int, shape: Sequence[int]) -> int:
    size = params.batch_size * steps * params.dtype.itemsize
    for length in shape:
        size *= int(length)
    return size


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
