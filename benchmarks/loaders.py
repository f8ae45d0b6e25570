"""Loaders: images per second compared with DynVision 0.1.0, torch's DataLoader, the bare FFCV loader and new memory."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.images import real_images, smooth_images
from benchmarks.peers import Worker, install_dynvision
from benchmarks.results import save_results

ROUNDS = 7
SCRIPT = Path(__file__).with_name("loader_worker.py")
TENSORS = {"count": 5120, "dataset": "tensors"}
ITEMS = {"count": 5120, "dataset": "items"}
STEPS = 100


def run() -> None:
    """Measure everything, print the tables as markdown and write the numbers as JSON."""
    workers = {
        "ours": Worker(SCRIPT, "ours"),
        "dynvision": Worker(SCRIPT, "dynvision", install_dynvision()),
        "torch": Worker(SCRIPT, "torch"),
        "ffcv": Worker(SCRIPT, "ffcv"),
    }
    results: list[dict[str, Any]] = []
    try:
        for name, worker in workers.items():
            print(f"{name}: " + ", ".join(f"{module} from {file}" for module, file in worker.imports.items()))
        with tempfile.TemporaryDirectory() as temporary, _files(Path(temporary)) as (folder, many, test):
            _dense(workers, results)
            _kept(workers, results)
            _lazy(workers, results)
            _ffcv(workers, results, str(folder), str(many), str(test))
        _memory(results)
    finally:
        for worker in workers.values():
            worker.close()
    _print_results(results)
    save_results("loaders", results)


def _print_results(results: list[dict[str, Any]]) -> None:
    print(f"\nloaders, medians of {ROUNDS} alternating rounds, {os.cpu_count()} cores\n")
    print("| case (3×32×32) | ours, img/s | peer | peer, img/s | ratio | needed |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in results:
        if "ratio" in row:
            print(
                f"| {row['case']} | {row['ours']:,.0f} | {row['peer']} | {row['theirs']:,.0f} "
                f"| {row['ratio']:.2f} × | {row['needed']} × |"
            )
    for row in results:
        if "text" in row:
            print(f"\n{row['text']}")


def compare(
    results: list[dict[str, Any]],
    title: str,
    peer_name: str,
    needed: float,
    ours: tuple[Worker, dict[str, Any]],
    theirs: tuple[Worker, dict[str, Any]],
) -> list[dict[str, Any]]:
    """Run two cases in alternating rounds and add the medians of their speeds to the results.

    The first round only warms up.

    Returns:
        The answers of our worker, one for each round.
    """
    speeds: dict[str, list[float]] = {"ours": [], "theirs": []}
    answers = []
    for number in range(ROUNDS + 1):
        for side, (worker, case) in (("ours", ours), ("theirs", theirs)):
            answer = worker.ask(**case)
            if number:
                speeds[side].append(answer["images"] / answer["seconds"])
            if side == "ours":
                answers.append(answer)
    medians = {side: statistics.median(values) for side, values in speeds.items()}
    row = {"case": title, "peer": peer_name, "needed": needed, "ratio": medians["ours"] / medians["theirs"]}
    results.append(row | medians | {"rounds": speeds})
    print(f"{title}: {row['ratio']:.2f} × {peer_name}", flush=True)
    return answers


def _dense(workers: dict[str, Worker], results: list[dict[str, Any]]) -> None:
    for form in ("duration", "contrast", "interval"):
        for batch in (32, 128):
            for dtype in ("float32", "float16"):
                case = {"task": "drop", "form": form, "batch": batch, "steps": STEPS, "dtype": dtype, "data": TENSORS}
                title = f"dense {form}, T={STEPS}, batch {batch}, {dtype}"
                compare(results, title, "DynVision 0.1.0", 2, (workers["ours"], case), (workers["dynvision"], case))
    for batch in (32, 128):
        case = {"task": "read", "form": "duration", "batch": batch, "steps": STEPS, "dtype": "float32", "data": TENSORS}
        title = f"dense duration, T={STEPS}, batch {batch}, float32, every step read"
        compare(results, title, "DynVision 0.1.0", 1, (workers["ours"], case), (workers["dynvision"], case))


def _kept(workers: dict[str, Worker], results: list[dict[str, Any]]) -> None:
    for dtype in ("float32", "float16"):
        case = {
            "task": "keep",
            "form": "duration",
            "batch": 128,
            "steps": STEPS,
            "dtype": dtype,
            "data": {"count": 1280, "dataset": "tensors"},
        }
        title = f"dense duration, T={STEPS}, batch 128, {dtype}, every batch kept"
        zeros = {**case, "task": "zeros"}
        answers = compare(results, title, "torch.zeros", 0.8, (workers["ours"], case), (workers["torch"], zeros))
        if any(answer["aliased"] or answer["wrong"] for answer in answers):
            raise RuntimeError(f"{title}: kept batches share memory or are wrong")


def _lazy(workers: dict[str, Worker], results: list[dict[str, Any]]) -> None:
    for batch in (32, 128):
        case = {"task": "drop", "form": "duration", "batch": batch, "steps": STEPS, "dtype": "float32"}
        case |= {"lazy": True, "epochs": 3}
        for name, data in (("TensorDataset", TENSORS), ("other dataset", ITEMS)):
            title, case = f"lazy duration, T={STEPS}, batch {batch}, {name}", case | {"data": data}
            compare(results, title, "torch DataLoader", 0.9, (workers["ours"], case), (workers["torch"], case))
        size = workers["ours"].ask(**{**case, "task": "bytes", "epochs": 1})["batch_bytes"]
        share = size / (batch * 3 * 32 * 32 * 4)
        text = f"A lazy batch of {batch} with its labels takes {share:.4f} × the bytes of its images (needed: 1.05)."
        results.append({"text": text, "share": share})


def _ffcv(workers: dict[str, Worker], results: list[dict[str, Any]], folder: str, many: str, test: str) -> None:
    ours, bare, peer = workers["ours"], workers["ffcv"], workers["dynvision"]
    base = {"task": "drop", "form": "constant", "batch": 128, "dtype": "float32", "path": many, "epochs": 3}
    one = {**base, "steps": 1}
    compare(results, "FFCV, normalized float32, T=1", "ffcv Loader + clone", 0.9, (ours, one), (bare, one))
    for title, case in (
        ("FFCV, T=20, lazy", {**base, "steps": 20, "lazy": True}),
        ("FFCV duration, T=100, lazy", {**base, "form": "duration", "steps": 100, "lazy": True}),
    ):
        compare(results, title, "its own T=1", 0.85, (ours, case), (ours, one))
    beton = {**base, "form": "duration", "steps": 30, "path": test, "epochs": 5}
    files = {"task": "drop", "form": "duration", "batch": 128, "steps": 30, "dtype": "float32", "folder": folder}
    title = "FFCV duration, T=30, dense, CIFAR-100 test"
    compare(results, title, "DynVision 0.1.0 from image files", 8, (ours, beton), (peer, files))


def _memory(results: list[dict[str, Any]]) -> None:
    """Measure the peak memory of a lazy epoch of few steps and of many, each in its own process."""
    peaks = {}
    for steps in (10, 1000):
        worker = Worker(SCRIPT, "ours")
        case = {"task": "drop", "form": "constant", "batch": 128, "steps": steps, "dtype": "float32", "data": TENSORS}
        peaks[steps] = worker.ask(**case, lazy=True)["peak_kb"] / 1024
        worker.close()
    text = f"Peak memory of a lazy epoch: {peaks[10]:.0f} MiB at T=10, {peaks[1000]:.0f} MiB at T=1000."
    results.append({"text": text, "peak_mib": peaks})


@contextmanager
def _files(root: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Write the test images as files, as a `.beton` file, and as a `.beton` file with each image ten times.

    Yields:
        The folder of images, the larger `.beton` file and the smaller one.
    """
    from dynvision.data.betons.writing import write_beton
    from dynvision.data.images.samples import Sample

    folder = root / "images"
    samples = []
    for index, (pixels, label) in enumerate(_test_images()):
        path = folder / f"{label:03d}" / f"{index:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        samples.append(Sample(str(path.relative_to(root)), label, label))
    many, test = root / "many.beton", root / "test.beton"
    for path, chosen in ((many, samples * 10), (test, samples)):
        write_beton(path, chosen, base=root, resolution=32)
    yield folder, many, test


def _test_images() -> list[tuple[Any, int]]:
    """The test images of CIFAR-100 with their labels, or 1,900 random ones."""
    real = real_images("test")
    if real is not None:
        return list(zip(*real, strict=True))
    return [(image, index % 100) for index, image in enumerate(smooth_images(1900))]
