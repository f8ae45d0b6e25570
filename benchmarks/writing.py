"""Writing `.beton` files: this project beside FFCV's bare writer and DynVision's converter."""

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
    """Convert a folder of PNG files, in turn: this project, FFCV's bare writer, DynVision's converter.

    Each is a process of its own, measured whole, from the start of the interpreter to its end.
    """
    folder = root / "ours0"
    files = sorted(folder.rglob("*.png"), key=lambda path: path.stem)
    count, job = len(files), root / "job.json"
    labels = [int(path.parent.name) for path in files]
    job.write_text(json.dumps({"paths": list(map(str, files)), "labels": labels, "out": str(root / "bare.beton")}))
    times: dict[str, list[float]] = {
        name: [] for name in ("writing", "bare", "rest", "wall", "cpu", "their", "theircpu")
    }
    for _ in range(ROUNDS):
        ours, wall, cpu = _measure(lambda: _run(_OURS, job))
        times["wall"].append(wall)
        times["cpu"].append(cpu)
        times["writing"].append(ours["writing"])
        times["rest"].append(wall - ours["writing"])
        times["bare"].append(_measure(lambda: _run(_BARE, job))[0]["seconds"])
        _, wall, cpu = _measure(lambda: _dynvision_converter(root, folder))
        times["their"].append(wall)
        times["theircpu"].append(cpu)
    _compare_pixels(root / "ours.beton", files)
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
            "ours": f"{median['rest']:.1f} s",
            "peer": "–",
            "theirs": "–",
            "ratio": "–",
            "needed": "10 s",
        },
        *(
            {
                "case": f"the whole conversion, {what}",
                "ours": f"{count / median[ours]:,.0f} {unit}",
                "peer": "DynVision 0.1.0's converter",
                "theirs": f"{count / median[theirs]:,.0f} {unit}",
                "ratio": f"{median[theirs] / median[ours]:.2f} ×",
                "needed": "3 ×",
            }
            for what, ours, theirs, unit in (
                ("wall", "wall", "their", "img/s"),
                ("CPU", "cpu", "theircpu", "img/CPU s"),
            )
        ),
    ]


def _measure(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Run something that starts processes; gives its result, wall seconds, and CPU seconds of all of them."""
    os.sync()  # what was written before must not be waited for here
    before, start = _cpu_of_children(), time.perf_counter()
    result = work()
    return result, time.perf_counter() - start, _cpu_of_children() - before


def _compare_pixels(path: Path, files: list[Path]) -> None:
    """What FFCV's own loader reads from the file is, pixel for pixel, what the images hold."""
    import cv2
    import torch

    from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

    loader = get_ffcv_dataloader(path, batch_size=500, n_timesteps=1, dtype=torch.uint8)
    place = 0
    for images, _, _ in loader.iterate_images():
        for pixels in images.permute(0, 2, 3, 1).numpy():
            if not np.array_equal(pixels, cv2.cvtColor(cv2.imread(str(files[place])), cv2.COLOR_BGR2RGB)):
                raise ValueError(f"{files[place]} was not written as it is")
            place += 1
    if place != len(files):
        raise ValueError(f"the loader gave {place} of {len(files)} images")
    print(f"FFCV's loader reads all {place:,} images of our file, pixel for pixel")


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(program: str, job: Path) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), str(job)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=job.parent)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _dynvision_converter(root: Path, folder: Path) -> None:
    """Convert the same files with DynVision's own command, in its own process."""
    place = install_dynvision()
    command = [sys.executable, "-P", "-W", "ignore", "-m", "dynvision.data.ffcv_datasets"]
    command += ["--config_path", str(place / "dynvision" / "configs" / "config_defaults.yaml"), "--input", str(folder)]
    command += ["--output_train", str(root / "their_train.beton"), "--output_val", str(root / "their_val.beton")]
    command += ["--data_name", "cifar100", "--train_ratio", "0.9", "--data_timesteps", "1"]
    subprocess.run(command, check=True, capture_output=True, cwd=root, env={**os.environ, "PYTHONPATH": str(place)})
