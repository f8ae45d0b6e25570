"""One measurement of responses in a process of its own: `python response_worker.py TASK JSON`."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def peak() -> int:
    """The most bytes that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def build(root: str, config: str, targets: list[str]) -> dict[str, Any]:
    """Build responses, with nothing but the library."""
    from dynvision.building import build_targets

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
    """Open a whole experiment, and read one number of it."""
    import dask.array  # noqa: F401  # what is imported is not what is loaded
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


def throughput(root: str, config: str, target: str, rounds: int) -> dict[str, Any]:
    """The planned steps in a bare loop, in our runner, and with everything recorded, in alternating rounds."""
    import numpy as np
    import torch

    from dynvision.addresses import parse_target
    from dynvision.experiments.recording import SweepRecording
    from dynvision.experiments.showing import SweepRunner
    from dynvision.workspace import Workspace

    workspace = Workspace.open(root, config)
    targets = parse_target(workspace, target)
    stage = workspace.stages["responses"]
    inputs = workspace.inputs(targets[0])
    recording = SweepRecording(stage, targets, inputs, fresh=True)  # type: ignore[arg-type]
    runner, _ = recording._open_runner()
    network, shows = runner.network, runner.presentations
    loader = recording.source.loader("test", 100, indices=recording.images.ids.tolist())
    batches = [sequence.images.clone() for sequence, _ in loader]
    bare_runner = SweepRunner(network, shows, [], "channel", runner.idle)
    stretches = list(runner.plan)

    def bare() -> None:
        """Nothing but the network's steps: frames are faded images, states are handed on."""
        with torch.inference_mode():
            for images in batches:
                states: dict[int, Any] = {}
                for branch in stretches:
                    show, state = shows[branch.shown_by], states.get(branch.start)
                    for t in range(branch.start, branch.stop):
                        contrast = float(show.contrasts[t]) if show.frames[t] >= 0 else 0.0
                        _, state = network.step(images * contrast, state)
                    states[branch.stop] = state

    def unrecorded() -> None:
        for images in batches:
            bare_runner.stream(images, np.arange(len(images)), lambda *_: None)

    def recorded() -> None:
        again = SweepRecording(stage, targets, inputs, fresh=True)  # type: ignore[arg-type]
        again.run()

    times: dict[str, list[tuple[float, float]]] = {"bare": [], "unrecorded": [], "recorded": []}
    for number in range(rounds + 1):
        for name, function in (("bare", bare), ("unrecorded", unrecorded), ("recorded", recorded)):
            start, cpu = time.perf_counter(), time.process_time()
            function()
            if number:
                times[name].append((time.perf_counter() - start, time.process_time() - cpu))
    return {
        "times": times,
        "steps": runner.steps_computed,
        "naive": runner.steps_naive,
        "images": len(recording.images.ids),
    }


LAYERS = {"V1": ((16, 16, 16), 0.77), "V2": ((24, 8, 8), 0.65), "V4": ((32, 4, 4), 0.5), "IT": ((48, 4, 4), 0.4)}
"""Layers of the reference network, and how many of their responses are zero (DESIGN's measured example)."""


def write(rounds: int, samples: int, steps: int, batch: int) -> dict[str, Any]:
    """Rectified half-precision responses: our writer, bare tensorstore, and `torch.save` of all at the end."""
    import numpy as np
    import torch

    from dynvision.experiments.reducing import TRAILING
    from dynvision.experiments.store import StoreWriter
    from dynvision.experiments.store_layout import ArraySpec, StoreLayout
    from dynvision.experiments.writing import OUTPUT_ARRAYS, SweepWriter

    rng = np.random.default_rng(0)
    arrays = {}
    for layer, (shape, zeros) in LAYERS.items():
        threshold = float(np.quantile(rng.standard_normal(100_000), zeros))
        drive = rng.standard_normal((batch, steps, *shape), dtype=np.float32) - threshold
        arrays[f"{layer}/response"] = np.maximum(drive, 0).astype(np.float16)
    scores = rng.standard_normal((batch, steps, 10), dtype=np.float32)
    size = sum(value.nbytes for value in arrays.values()) * (samples // batch)

    def ours(folder: Path) -> None:
        specs = {name: ArraySpec(v.shape[2:], TRAILING[3], "float16") for name, v in arrays.items()}
        specs |= {"scores": ArraySpec((10,), ("class",)), **OUTPUT_ARRAYS}
        layout = StoreLayout(specs, samples, steps, batch, steps)
        writer = StoreWriter(
            folder / "x.zarr", layout, coordinates={}, layer_coordinates={}, attributes={}, header={}, fresh=True
        )
        sweep = SweepWriter([writer], ["x"], list(range(10)), False)
        for number in range(samples // batch):
            sweep.begin_batch(number, np.arange(batch), np.zeros(batch, np.int64))
            sweep.take((0,), 0, {**arrays, "scores": scores})
            sweep.end_batch(steps)
        sweep.flush()
        writer.finish({})

    def tensorstore_alone(folder: Path) -> None:
        import tensorstore

        waiting = []
        for name, value in arrays.items():
            spec = _bare_spec(folder / name.replace("/", "_"), (samples, steps, *value.shape[2:]), batch, steps)
            array = tensorstore.open(spec).result()
            for number in range(samples // batch):
                waiting.append(array[number * batch : (number + 1) * batch].write(value))
        for future in waiting:
            future.result()

    def torch_save(folder: Path) -> None:
        gathered = {name: torch.from_numpy(np.concatenate([v] * (samples // batch))) for name, v in arrays.items()}
        torch.save(gathered, folder / "x.pt")

    times: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, function in (("ours", ours), ("tensorstore", tensorstore_alone), ("torch.save", torch_save)):
            with tempfile.TemporaryDirectory(dir=".") as folder:
                start = time.perf_counter()
                function(Path(folder).resolve())
                if number:
                    times.setdefault(name, []).append(time.perf_counter() - start)
    return {"times": times, "bytes": size}


def _bare_spec(path: Path, shape: tuple[int, ...], batch: int, steps: int) -> dict[str, Any]:
    inner = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd", "configuration": {"level": 1}}]
    sharding = {"chunk_shape": [batch, 1, *shape[2:]], "codecs": inner}
    return {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(path)},
        "metadata": {
            "shape": list(shape),
            "data_type": "float16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [batch, steps, *shape[2:]]}},
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        },
        "create": True,
    }


if __name__ == "__main__":
    task = {"build": build, "load": load, "throughput": throughput, "write": write}[sys.argv[1]]
    print(json.dumps(task(**json.loads(sys.argv[2]))))
