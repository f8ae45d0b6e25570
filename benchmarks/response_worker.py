"""One measurement of responses in a process of its own: `python response_worker.py TASK JSON`."""

from __future__ import annotations

import json
import os
import resource
import shutil
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

    from dynvision.experiments.recording import SweepRecording
    from dynvision.experiments.reducing import Reduction
    from dynvision.experiments.showing import SweepRunner
    from dynvision.experiments.stepping import NetworkStepper
    from dynvision.experiments.store import partial_path
    from dynvision.workspace import Workspace
    from dynvision.workspace.addresses import parse_target

    workspace = Workspace.open(root, config)
    targets = parse_target(workspace, target)
    stage: Any = workspace.stage(targets[0]).with_run_settings(targets, {"fresh": True})
    order = stage.order(targets, workspace.inputs(targets[0]))
    recording = SweepRecording(order)
    network, shows = recording.open_stepper().network, recording.presentations
    chosen = recording.images.ids.tolist()
    loader = order.images.source.loader("test", 100, indices=chosen, is_looked_at_for_long=True)
    batches = [sequence.images.clone() for sequence, _ in loader]
    runner = SweepRunner(NetworkStepper(network, [], Reduction("channel")), shows, order.idle)
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
            runner.stream(images, np.arange(len(images)), lambda *_: None)

    def opening() -> Any:
        again = SweepRecording(order)
        stepper = again.open_stepper()
        probe = again.probe(stepper)
        layout = again.plan(probe)
        writers = again.open_stores(layout, probe, stepper.reduction)
        return lambda: again.show(again.open_runner(stepper, layout), layout, writers)

    times: dict[str, list[tuple[float, float]]] = {"bare": [], "unrecorded": [], "opening": [], "recorded": []}
    for number in range(rounds + 1):
        show = None
        for name, function in (("bare", bare), ("unrecorded", unrecorded), ("opening", opening), ("recorded", None)):
            start, cpu = time.perf_counter(), time.process_time()
            show = function() if function else show()  # type: ignore[func-returns-value,misc]
            if number:
                times[name].append((time.perf_counter() - start, time.process_time() - cpu))
        for condition in order.conditions:  # here, as ext4 is slow to make files just after many were deleted
            shutil.rmtree(partial_path(condition.store))
    return {
        "times": times,
        "steps": runner.steps_computed,
        "naive": runner.steps_naive,
        "images": len(recording.images.ids),
    }


ZEROS = {"V1": 0.77, "V2": 0.65, "V4": 0.5, "IT": 0.4, "classifier": 0.32}
"""How many responses of each layer are zero in a trained network: 77 % in V1, 32 % in the classifier."""


def write(root: str, config: str, target: str, rounds: int, samples: int, batch: int) -> dict[str, Any]:
    """Half-precision responses of every unit: our writer, bare tensorstore, and `torch.save` of all at the end.

    They are those of the network to its first images at the last contrast, with thresholds raised until as many are
    zero as in the design's own measurement, again and again.
    """
    import numpy as np
    import torch

    from dynvision.experiments.recording import SweepRecording
    from dynvision.experiments.store_layout import StoreLayout
    from dynvision.experiments.store_writer import StoreWriter, write_skeleton
    from dynvision.experiments.writing import SweepWriter
    from dynvision.workspace import Workspace
    from dynvision.workspace.addresses import parse_target

    workspace = Workspace.open(root, config)
    targets = parse_target(workspace, target)[-1:]
    stage: Any = workspace.stage(targets[0])
    order = stage.order(targets, workspace.inputs(targets[0]))
    recording = SweepRecording(order)
    stepper = recording.open_stepper()
    probe = recording.probe(stepper)
    steps = order.conditions[0].presentation.n_timesteps
    runner = recording.open_runner(stepper, StoreLayout(probe.arrays, samples, steps, batch, steps))
    chosen = recording.images.ids[:batch]
    (sequence, _), *_ = order.images.source.loader("test", batch, indices=chosen.tolist(), is_looked_at_for_long=True)
    shown: dict[str, Any] = {}
    runner.stream(sequence.images, chosen, lambda conditions, start, block: shown.update(block))
    arrays = {}
    for name in (name for name in shown if name.endswith("/response")):
        response = shown[name].astype(np.float32)
        threshold = np.quantile(response, ZEROS[name.partition("/")[0]])
        arrays[name] = np.maximum(response - threshold, 0).astype(np.float16)
    scores = shown["scores"]
    zeros = {name.partition("/")[0]: float((value == 0).mean()) for name, value in arrays.items()}
    classes, labels = order.network.output_classes, np.zeros(batch, np.int64)
    size = sum(value.nbytes for value in arrays.values()) * (samples // batch)

    def ours(folder: Path) -> None:
        layout = StoreLayout(probe.arrays, samples, steps, batch, steps)
        write_skeleton(folder / "skeleton", layout, {})
        writer = StoreWriter(
            folder / "x.zarr",
            layout,
            coordinates={},
            skeleton=folder / "skeleton",
            attributes={},
            header={},
            fresh=True,
        )
        sweep = SweepWriter([writer], ["x"], classes, False)
        for number in range(samples // batch):
            sweep.begin_batch(number, np.arange(batch), labels)
            sweep.take((0,), 0, {**arrays, "scores": scores})
            sweep.end_batch(steps)
        sweep.flush()
        writer.finish({})
        packed.append(sum(path.stat().st_size for path in writer.folder.rglob("*") if path.is_file()))

    packed: list[int] = []

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
        # As a script does it: keep every batch, then join each layer's and save them all.
        kept: dict[str, list[torch.Tensor]] = {name: [] for name in arrays}
        for _ in range(samples // batch):
            for name, value in arrays.items():
                kept[name].append(torch.from_numpy(value).clone())
        torch.save({name: torch.cat(kept.pop(name)) for name in arrays}, folder / "x.pt")

    times: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, function in (("ours", ours), ("tensorstore", tensorstore_alone), ("torch.save", torch_save)):
            with tempfile.TemporaryDirectory(dir=".") as folder:
                start = time.perf_counter()
                function(Path(folder).resolve())
                if number:
                    times.setdefault(name, []).append(time.perf_counter() - start)
    return {"times": times, "bytes": size, "packed": packed[0], "zeros": zeros}


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
