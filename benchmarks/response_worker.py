"""One measurement of responses in its own process: `python response_worker.py TASK JSON`."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Return how many bytes of memory this process has at the moment."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def peak() -> int:
    """Return the most bytes of memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def build(root: str, config: str, targets: list[str]) -> dict[str, Any]:
    """Build responses with the library alone, without Dagster."""
    from dynvision.workspace.building import build_targets

    start, cpu = time.perf_counter(), time.process_time()
    (record, *_) = build_targets(targets, root=root, config=config, force=True)
    return {
        "seconds": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "cpu_with_imports": time.process_time(),
        "peak": peak(),
        "details": {k: v for k, v in record["details"].items() if isinstance(v, (int, float, str))},
    }


def load(root: str, target: str) -> dict[str, Any]:
    """Open the responses of a whole experiment and read one number; imports do not count as memory added."""
    import dask.array  # noqa: F401
    import xarray  # noqa: F401
    import zarr  # noqa: F401

    import dynvision_assets as dva
    from dynvision.workspace import Workspace

    Workspace.open(root)
    before = resident()
    start = time.perf_counter()
    tree = dva.load(target, root=root)
    opened, seconds = resident(), time.perf_counter() - start
    layer = next(iter(tree.children.values()))
    array = layer[next(iter(layer.data_vars))]
    size = sum(node[name].nbytes for node in tree.subtree for name in node.data_vars)
    array.isel(dict.fromkeys(array.dims, 0)).compute()
    return {"added": opened - before, "added_reading_one": resident() - before, "seconds": seconds, "size": size}


def throughput(**arguments: Any) -> dict[str, Any]:
    """See `benchmarks.response_throughput`."""
    from benchmarks.response_throughput import throughput

    return throughput(**arguments)


def write(**arguments: Any) -> dict[str, Any]:
    """See `benchmarks.response_writing`."""
    from benchmarks.response_writing import write

    return write(**arguments)


if __name__ == "__main__":
    task = {"build": build, "load": load, "throughput": throughput, "write": write}[sys.argv[1]]
    print(json.dumps(task(**json.loads(sys.argv[2]))))
