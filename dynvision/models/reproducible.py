"""What makes a computation give the same numbers at every run: the kernels of a GPU, the threads of a CPU."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

__all__ = ["reproducible_kernels", "torch_threads"]


@contextlib.contextmanager
def reproducible_kernels(device: torch.device) -> Iterator[None]:
    """Compute with the same kernels at every run, in the precision of the weights.

    By default cuDNN and cuBLAS choose whichever kernel is fastest at the moment, some sum in an order that changes from
    run to run, and convolutions round to TF32 (10 bits of mantissa). An operation that has no reproducible kernel is
    named in a warning. On other devices nothing changes.

    Args:
        device: Where the network computes.
    """
    if device.type != "cuda":
        yield
        return
    # cuBLAS reads it when its first handle is made; see torch.use_deterministic_algorithms.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    was = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(was, warn_only=only_warned)


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with a number of threads while the block runs, then with as many as before.

    The last digits of gradients and of decompositions depend on how sums are divided among threads. They do not depend
    on how many cores there are, nor on OMP_NUM_THREADS.

    Args:
        count: The threads that one operation of torch uses on the CPU.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
