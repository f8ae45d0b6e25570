"""Writing `.beton` files: this project compared with FFCV's bare writer and DynVision's converter."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import install_dynvision

ROUNDS = 5

_BARE = """
    import json, sys, time
    import cv2, numpy as np
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter

    class Files:
        def __init__(self, paths, labels):
            self.paths, self.labels = paths, labels
        def __len__(self):
            return len(self.paths)
        def __getitem__(self, index):
            pixels = cv2.imdecode(np.fromfile(self.paths[index], dtype=np.uint8), cv2.IMREAD_COLOR)
            return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), self.labels[index]

    job = json.load(open(sys.argv[1]))
    files = Files(job["paths"], job["labels"])
    start = time.perf_counter()
    fields = {"image": RGBImageField(write_mode="raw"), "label": IntField()}
    DatasetWriter(job["out"], fields, num_workers=2).from_indexed_dataset(files, chunksize=100)
    print(json.dumps({"seconds": time.perf_counter() - start}))
"""


_OURS = """
    import json, sys
    from pathlib import Path
    from dynvision.data.betons.writing import write_beton
    from dynvision.data.images.samples import Sample

    root = Path(sys.argv[1]).parent
    files = sorted((root / "ours0").rglob("*.png"), key=lambda path: path.stem)
    samples = [Sample(str(f.relative_to(root)), int(f.parent.name), int(f.parent.name)) for f in files]
    sidecar = write_beton(root / "ours.beton", samples, base=root, resolution=32)
    print(json.dumps({"writing": sidecar["file"]["write_seconds"]}))
"""


def measure_writing(root: Path) -> list[dict[str, Any]]:
    """Convert the PNG files in `root/ours0` with this project, FFCV's bare writer and DynVision's converter, in turn.

    Each conversion is a process of its own and is measured from the start of the interpreter to its end.

    Returns:
        Rows of the table.
    """
    folder = root / "ours0"
    files = sorted(folder.rglob("*.png"), key=lambda path: path.stem)
    job = root / "job.json"
    labels = [int(path.parent.name) for path in files]
    job.write_text(json.dumps({"paths": list(map(str, files)), "labels": labels, "out": str(root / "bare.beton")}))
    times = _time_rounds(root, folder, job)
    _compare_pixels(root / "ours.beton", files)
    return _make_rows(len(files), times)


def _time_rounds(root: Path, folder: Path, job: Path) -> dict[str, list[float]]:
    """Run the alternating rounds.

    Returns:
        Seconds of each round: of our process `wall` and `cpu`, in it `writing` the samples and everything else
        (`remaining`); of the samples in the `bare` writer; of DynVision's converter `their_wall` and `their_cpu`.
    """
    names = ("writing", "bare", "remaining", "wall", "cpu", "their_wall", "their_cpu")
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        ours, wall, cpu = _measure(lambda: _run(_OURS, job))
        times["wall"].append(wall)
        times["cpu"].append(cpu)
        times["writing"].append(ours["writing"])
        times["remaining"].append(wall - ours["writing"])
        times["bare"].append(_measure(lambda: _run(_BARE, job))[0]["seconds"])
        _, wall, cpu = _measure(lambda: _run_dynvision_converter(root, folder))
        times["their_wall"].append(wall)
        times["their_cpu"].append(cpu)
    return times


def _make_rows(count: int, times: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Make the rows of the table from the seconds of each round, for `count` images."""
    median = {name: statistics.median(values) for name, values in times.items()}
    return [
        {
            "case": "writing a .beton, first to last sample",
            "ours": f"{count / median['writing']:,.0f} img/s",
            "peer": "bare DatasetWriter, cv2, 2 workers",
            "theirs": f"{count / median['bare']:,.0f} img/s",
            "ratio": f"{median['bare'] / median['writing']:.2f} ×",
            "needed": "0.85 ×",
            "seconds": times,
        },
        {
            "case": "everything else (start, imports, listing, read-back, hash)",
            "ours": f"{median['remaining']:.1f} s",
            "peer": "–",
            "theirs": "–",
            "ratio": "–",
            "needed": "10 s",
        },
        *(
            {
                "case": f"the whole conversion, {clock}",
                "ours": f"{count / median[ours]:,.0f} {unit}",
                "peer": "DynVision 0.1.0's converter",
                "theirs": f"{count / median[theirs]:,.0f} {unit}",
                "ratio": f"{median[theirs] / median[ours]:.2f} ×",
                "needed": "3 ×",
            }
            for clock, ours, theirs, unit in (
                ("wall", "wall", "their_wall", "img/s"),
                ("CPU", "cpu", "their_cpu", "img/CPU s"),
            )
        ),
    ]


def _measure(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Call a function that starts processes; return its result, wall seconds, and the CPU seconds of all of them."""
    os.sync()  # so that the work does not wait for what was written before
    before, start = _cpu_of_children(), time.perf_counter()
    result = work()
    return result, time.perf_counter() - start, _cpu_of_children() - before


def _compare_pixels(path: Path, files: list[Path]) -> None:
    """Compare a file with its images, pixel by pixel, as FFCV's own loader reads it.

    Raises:
        ValueError: If a pixel differs or an image is missing.
    """
    import cv2
    import torch

    from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

    loader = get_ffcv_dataloader(path, batch_size=500, n_timesteps=1, dtype=torch.uint8)
    count = 0
    for images, _, _ in loader.iterate_images():
        for pixels in images.permute(0, 2, 3, 1).numpy():
            if not np.array_equal(pixels, cv2.cvtColor(cv2.imread(str(files[count])), cv2.COLOR_BGR2RGB)):
                raise ValueError(f"{files[count]} differs from its sample in {path.name}")
            count += 1
    if count != len(files):
        raise ValueError(f"the loader gave {count} of {len(files)} images")
    print(f"FFCV's loader reads all {count:,} images of our file, and every pixel is right")


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(program: str, job: Path) -> dict[str, Any]:
    """Run a program in its own process; return the JSON that it prints last."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), str(job)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=job.parent)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _run_dynvision_converter(root: Path, folder: Path) -> None:
    """Convert the same files with DynVision's own command."""
    package = install_dynvision()
    command = [sys.executable, "-P", "-W", "ignore", "-m", "dynvision.data.ffcv_datasets"]
    command += [
        "--config_path",
        str(package / "dynvision" / "configs" / "config_defaults.yaml"),
        "--input",
        str(folder),
    ]
    command += ["--output_train", str(root / "their_train.beton"), "--output_val", str(root / "their_val.beton")]
    command += ["--data_name", "cifar100", "--train_ratio", "0.9", "--data_timesteps", "1"]
    subprocess.run(command, check=True, capture_output=True, cwd=root, env={**os.environ, "PYTHONPATH": str(package)})
