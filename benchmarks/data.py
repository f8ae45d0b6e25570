"""The data stages: exporting PNG files, linking a million images, writing `.beton` files, beside their peers."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.peers import install_dynvision

ROUNDS = 5
COUNT = 50_000
CLASSES = 100


def run() -> None:
    """Measure, print a table and write the numbers as JSON."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        rows.append(_exports(root))
        rows += _writing(root)
        rows.append(_linking(root))
    print(f"\ndata stages, {COUNT:,} images of 32 × 32, {os.cpu_count()} cores\n")
    print("| case | ours | peer | theirs | ratio | needed |\n| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(f"| {row['case']} | {row['ours']} | {row['peer']} | {row['theirs']} | {row['ratio']} | {row['needed']} |")
    place = Path(__file__).parent / "results"
    place.mkdir(exist_ok=True)
    (place / "data.json").write_text(json.dumps(rows, indent=1))


def _draw_images() -> Any:
    """Images with the smoothness of photographs, so that they compress as such; real ones where there are any."""
    real = os.environ.get("DYNVISION_REAL_DATA")
    if real:
        import pickle
        import tarfile

        with tarfile.open(Path(real) / "cifar-100-python.tar.gz") as archive:
            member = archive.extractfile("cifar-100-python/train")
            assert member is not None
            rows = pickle.load(member, encoding="latin1")["data"]
        images = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(np.resize(images, (COUNT, 32, 32, 3)))
    print("DYNVISION_REAL_DATA is unset: smooth random images stand in for CIFAR-100")
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (COUNT // 10, 8, 8, 3), dtype=np.uint8)
    smooth = np.stack([np.asarray(Image.fromarray(image).resize((32, 32))) for image in coarse])
    return np.resize(smooth, (COUNT, 32, 32, 3))


def _exports(root: Path) -> dict[str, Any]:
    from dynvision.data.exporting import export_images, open_export

    images = _draw_images()
    labels = np.arange(COUNT) % CLASSES
    names = [str(index) for index in range(CLASSES)]
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    sizes = {}
    for number in range(3):
        os.sync()
        start = time.perf_counter()
        folder = open_export(root / f"ours{number}", {"round": number})
        export = export_images(zip(labels.tolist(), images, strict=True), names, folder, COUNT, "ours")
        os.rename(folder, root / f"ours{number}")
        seconds["ours"].append(time.perf_counter() - start)
        sizes["ours"] = export.n_bytes
        os.sync()
        start = time.perf_counter()
        place = root / f"pil{number}"
        for index in range(CLASSES):
            (place / f"{index:02d}").mkdir(parents=True)
        sizes["theirs"] = 0
        for order, (label, image) in enumerate(zip(labels, images, strict=True)):
            path = place / f"{label:02d}" / f"{order:05d}.png"
            Image.fromarray(image).save(path, compress_level=6)
            sizes["theirs"] += path.stat().st_size
        seconds["theirs"].append(time.perf_counter() - start)
    ours, theirs = (statistics.median(values) for values in seconds.values())
    share = sizes["ours"] / sizes["theirs"]
    return {
        "case": f"export to PNG, level 6 (files {share:.3f} × the size)",
        "ours": f"{COUNT / ours:,.0f} img/s",
        "peer": "PIL.Image.save in a loop",
        "theirs": f"{COUNT / theirs:,.0f} img/s",
        "ratio": f"{theirs / ours:.2f} ×",
        "needed": "1.8 ×",
        "seconds": seconds,
    }


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


def _writing(root: Path) -> list[dict[str, Any]]:
    from dynvision.data.beton import write_beton
    from dynvision.data.samples import Sample

    folder = root / "ours0"
    files = sorted(folder.rglob("*.png"), key=lambda path: path.stem)
    samples = [Sample(str(path.relative_to(root)), int(path.parent.name), int(path.parent.name)) for path in files]
    job = root / "job.json"
    paths, labels = [str(path) for path in files], [sample.label for sample in samples]
    job.write_text(json.dumps({"paths": paths, "labels": labels, "out": str(root / "bare.beton")}))
    times: dict[str, list[float]] = {"writing": [], "bare": [], "all": [], "cpu": []}
    for _ in range(ROUNDS):
        os.sync()  # what the other wrote before must not be waited for here
        before = _cpu_of_children()
        start = time.perf_counter()
        sidecar = write_beton(root / "ours.beton", samples, base=root, resolution=32)
        times["all"].append(time.perf_counter() - start)
        times["cpu"].append(_cpu_of_children() - before)
        times["writing"].append(sidecar["file"]["write_seconds"])
        os.sync()
        times["bare"].append(_run(_BARE, job)["seconds"])
    writing, bare, all_, cpu = (statistics.median(values) for values in times.values())
    peer = _dynvision_converter(root, folder)
    return [
        {
            "case": "writing a .beton, first to last sample",
            "ours": f"{COUNT / writing:,.0f} img/s",
            "peer": "bare DatasetWriter, cv2, 2 workers",
            "theirs": f"{COUNT / bare:,.0f} img/s",
            "ratio": f"{bare / writing:.2f} ×",
            "needed": "0.85 ×",
            "seconds": times,
        },
        {
            "case": "everything else (imports, read-back, hash)",
            "ours": f"{all_ - writing:.1f} s",
            "peer": "–",
            "theirs": "–",
            "ratio": "–",
            "needed": "10 s",
        },
        {
            "case": "the whole conversion, wall",
            "ours": f"{COUNT / all_:,.0f} img/s",
            "peer": "DynVision 0.1.0's converter",
            "theirs": f"{peer['images'] / peer['seconds']:,.0f} img/s",
            "ratio": f"{(COUNT / all_) / (peer['images'] / peer['seconds']):.2f} ×",
            "needed": "3 ×",
        },
        {
            "case": "the whole conversion, CPU",
            "ours": f"{COUNT / cpu:,.0f} img/CPU s",
            "peer": "DynVision 0.1.0's converter",
            "theirs": f"{peer['images'] / peer['cpu']:,.0f} img/CPU s",
            "ratio": f"{(COUNT / cpu) / (peer['images'] / peer['cpu']):.2f} ×",
            "needed": "3 ×",
        },
    ]


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(program: str, job: Path) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), str(job)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=job.parent)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _dynvision_converter(root: Path, folder: Path) -> dict[str, float]:
    """Convert the same files with DynVision's own command, in its own process."""
    place = install_dynvision()
    command = [sys.executable, "-P", "-W", "ignore", "-m", "dynvision.data.ffcv_datasets"]
    command += ["--config_path", str(place / "dynvision" / "configs" / "config_defaults.yaml"), "--input", str(folder)]
    command += ["--output_train", str(root / "their_train.beton"), "--output_val", str(root / "their_val.beton")]
    command += ["--data_name", "cifar100", "--train_ratio", "0.9", "--data_timesteps", "1"]
    os.sync()
    before, start = _cpu_of_children(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=root, env={**os.environ, "PYTHONPATH": str(place)})
    seconds, cpu = time.perf_counter() - start, _cpu_of_children() - before
    return {"images": COUNT, "seconds": seconds, "cpu": cpu}


def _linking(root: Path) -> dict[str, Any]:
    """Link a thousand classes of 1,280 images each, which are empty files."""
    import shutil

    import yaml

    from dynvision.addresses import parse_target
    from dynvision.building import build_targets
    from dynvision.workspace import Workspace

    mount = root / "mount" / "train"
    for index in range(1000):
        folder = mount / f"n{index:08d}"
        folder.mkdir(parents=True)
        for number in range(1280):
            os.close(os.open(folder / f"{number:04d}.JPEG", os.O_CREAT | os.O_WRONLY))
    shutil.copytree(Path(__file__).parent.parent / "config", root / "config")
    path = root / "config" / "config_data.yaml"
    content = yaml.safe_load(path.read_text())
    content["data_resolution"]["big"] = 64
    content["mounted_datasets"] = {"big": str(root / "mount")}
    path.write_text(yaml.safe_dump(content))
    where = {"root": str(root), "config": str(root / "config")}
    start = time.perf_counter()
    build_targets(["raw/big:train"], **where)
    scanned = time.perf_counter() - start
    workspace = Workspace.open(root, root / "config")
    (target,) = parse_target(workspace, "interim/big:train_all")
    start = time.perf_counter()
    inputs = workspace.inputs(target)
    looked = time.perf_counter() - start
    start = time.perf_counter()
    workspace.stage(target).build([target], inputs)
    linked = time.perf_counter() - start
    return {
        "case": "linking 1,000 classes of 1.28 million images",
        "ours": f"{linked:.2f} s",
        "peer": f"looking at every image: {scanned:.1f} s the first time, {looked:.1f} s remembered",
        "theirs": "–",
        "ratio": "–",
        "needed": "2 s",
        "seconds": {"scanned": scanned, "looked": looked, "linked": linked},
    }
