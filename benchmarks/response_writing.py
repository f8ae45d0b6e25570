"""Writing responses of every unit: our writer, bare tensorstore, and `torch.save` of everything at the end."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.response_sweep import Sweep

ZEROS = {"V1": 0.77, "V2": 0.65, "V4": 0.5, "IT": 0.4, "classifier": 0.32}
"""The share of zeros among the responses of each layer of a trained network: 77 % in V1, 32 % in the classifier."""

Responses = dict[str, npt.NDArray[np.float16]]
"""Responses of one batch, `[B, T, …]`, by `layer/response`."""


def write(root: str, config: str, target: str, rounds: int, samples: int, batch: int) -> dict[str, Any]:
    """Time how long it takes to write half-precision responses, in alternating rounds.

    The responses are those of the network to the first images of the last condition. They are rectified at thresholds
    at which each layer has the share of zeros in `ZEROS`, and written again and again, until there are `samples`.

    Returns:
        `times`, seconds of each round by writer; the `bytes` written, the bytes of our store (`packed`), and the share
        of `zeros` in each layer.
    """
    sweep = Sweep(root, config, target, last_only=True)
    responses, scores = _evoke_responses(sweep, batch)
    writers = {
        "ours": _OurWriter(sweep, responses, scores, samples),
        "tensorstore": _BareTensorstore(responses, samples),
        "torch.save": _TorchSave(responses, samples),
    }
    times: dict[str, list[float]] = {name: [] for name in writers}
    for number in range(rounds + 1):
        for name, writer in writers.items():
            with tempfile.TemporaryDirectory(dir=".") as folder:
                start = time.perf_counter()
                writer.write(Path(folder).resolve())
                if number:  # the first round warms up
                    times[name].append(time.perf_counter() - start)
    return {
        "times": times,
        "bytes": sum(value.nbytes for value in responses.values()) * (samples // batch),
        "packed": writers["ours"].packed,
        "zeros": {name.partition("/")[0]: float((value == 0).mean()) for name, value in responses.items()},
    }


def _evoke_responses(sweep: Sweep, batch: int) -> tuple[Responses, npt.NDArray[np.float32]]:
    """Show the first batch; return its responses with as many zeros as in `ZEROS`, and its scores `[B, T, classes]`."""
    (images,) = sweep.batches(batch, batch)
    blocks: dict[str, list[Any]] = {}

    def keep(_: tuple[int, ...], __: int, arrays: dict[str, Any]) -> None:
        for name, block in arrays.items():
            blocks.setdefault(name, []).append(block)

    sweep.runner.stream(images, sweep.sample_ids[:batch], keep)
    shown = {name: np.concatenate(parts, axis=1) for name, parts in blocks.items()}
    responses = {}
    for name in (name for name in shown if name.endswith("/response")):
        response = shown[name].astype(np.float32)
        threshold = np.quantile(response, ZEROS[name.partition("/")[0]])
        responses[name] = np.maximum(response - threshold, 0).astype(np.float16)
    return responses, shown["scores"]


class _OurWriter:
    """The store of one condition, written as a recording writes it, with records and digests."""

    def __init__(self, sweep: Sweep, responses: Responses, scores: Any, samples: int) -> None:
        from dynvision.experiments.stores.layout import StoreLayout

        self.batch, self.steps = scores.shape[:2]
        self.samples, self.output_classes = samples, sweep.output_classes
        self.arrays = {**responses, "scores": scores}
        self.layout = StoreLayout(sweep.probe.arrays, samples, self.steps, self.batch, self.steps)
        self.packed = 0

    def write(self, folder: Path) -> None:
        from dynvision.experiments.stores.writer import StoreWriter, write_skeleton
        from dynvision.experiments.writing import SweepWriter

        write_skeleton(folder / "skeleton", self.layout, {})
        writer = StoreWriter(
            folder / "x.zarr",
            self.layout,
            coordinates={},
            skeleton=folder / "skeleton",
            attributes={},
            header={},
            fresh=True,
        )
        sweep = SweepWriter([writer], ["x"], self.output_classes, False)
        labels = np.zeros(self.batch, np.int64)
        for number in range(self.samples // self.batch):
            sweep.begin_batch(number, np.arange(self.batch), labels)
            sweep.take((0,), 0, self.arrays)
            sweep.end_batch(self.steps)
        sweep.flush()
        writer.finish({})
        self.packed = sum(path.stat().st_size for path in writer.folder.rglob("*") if path.is_file())


class _BareTensorstore:
    """Arrays in the same chunks and with the same compression, and nothing else."""

    def __init__(self, responses: Responses, samples: int) -> None:
        self.responses, self.samples = responses, samples

    def write(self, folder: Path) -> None:
        import tensorstore

        waiting = []
        for name, value in self.responses.items():
            batch, steps = value.shape[:2]
            spec = _bare_spec(folder / name.replace("/", "_"), (self.samples, steps, *value.shape[2:]), batch, steps)
            array = tensorstore.open(spec).result()
            for number in range(self.samples // batch):
                waiting.append(array[number * batch : (number + 1) * batch].write(value))
        for future in waiting:
            future.result()


class _TorchSave:
    """What a script does: keep every batch, then join those of each layer and save them all."""

    def __init__(self, responses: Responses, samples: int) -> None:
        self.responses, self.samples = responses, samples

    def write(self, folder: Path) -> None:
        batches = self.samples // len(next(iter(self.responses.values())))
        kept: dict[str, list[torch.Tensor]] = {name: [] for name in self.responses}
        for _ in range(batches):
            for name, value in self.responses.items():
                kept[name].append(torch.from_numpy(value).clone())
        torch.save({name: torch.cat(kept.pop(name)) for name in self.responses}, folder / "x.pt")


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
