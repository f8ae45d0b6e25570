"""The data stages: exporting PNG files, writing `.beton` files and linking a million images, each next to a peer."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from benchmarks.images import Images, real_images, smooth_images
from benchmarks.peers import install_dynvision
from benchmarks.results import save_results
from benchmarks.writing import measure_writing

COUNT = 50_000
CLASSES = 100
ROUNDS = 3


def run() -> None:
    """Measure, print a table and write the numbers as JSON."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        install_dynvision()
        rows.append(_measure_exports(root))
        rows += measure_writing(root)
        rows.append(_measure_linking(root))
    print(f"\ndata stages, {COUNT:,} images of 32 × 32, {os.cpu_count()} cores\n")
    print("| case | ours | peer | theirs | ratio | needed |\n| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(f"| {row['case']} | {row['ours']} | {row['peer']} | {row['theirs']} | {row['ratio']} | {row['needed']} |")
    save_results("data", rows)


def _load_images() -> Images:
    """`COUNT` images, repeated if there are fewer."""
    real = real_images("train")
    return np.resize(smooth_images(COUNT // 10) if real is None else real[0], (COUNT, 32, 32, 3))


def _measure_exports(root: Path) -> dict[str, Any]:
    """Export all images to PNG files, in alternating rounds; `measure_writing` reads those of our first round."""
    images, labels = _load_images(), np.arange(COUNT) % CLASSES
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    sizes = {}
    for number in range(ROUNDS):
        for side, export in (("ours", _export_ours), ("theirs", _export_with_pillow)):
            os.sync()
            start = time.perf_counter()
            sizes[side] = export(root / f"{side}{number}", images, labels)
            seconds[side].append(time.perf_counter() - start)
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


def _export_ours(folder: Path, images: Images, labels: Any) -> int:
    """Export as the raw stage does; return the bytes of the files."""
    from dynvision.data.sources.exporting import export_images, open_export

    names = [str(index) for index in range(CLASSES)]
    temporary = open_export(folder, {"round": folder.name})
    export = export_images(zip(labels.tolist(), images, strict=True), names, temporary, COUNT, "ours")
    os.rename(temporary, folder)
    return export.n_bytes


def _export_with_pillow(folder: Path, images: Images, labels: Any) -> int:
    """Export with `PIL.Image.save`; return the bytes of the files."""
    for index in range(CLASSES):
        (folder / f"{index:02d}").mkdir(parents=True)
    size = 0
    for order, (label, image) in enumerate(zip(labels, images, strict=True)):
        path = folder / f"{label:02d}" / f"{order:05d}.png"
        Image.fromarray(image).save(path, compress_level=6)
        size += path.stat().st_size
    return size


def _measure_linking(root: Path) -> dict[str, Any]:
    """Link a thousand classes of 1,280 images each; the images are empty files."""
    from dynvision.workspace import Workspace
    from dynvision.workspace.addresses import parse_target
    from dynvision.workspace.building import build_targets

    config = _prepare_mount(root)
    start = time.perf_counter()
    build_targets(["raw/big:train"], root=str(root), config=str(config))
    scanned = time.perf_counter() - start
    workspace = Workspace.open(root, config)
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


def _prepare_mount(root: Path) -> Path:
    """Make the mounted dataset `big` and its configuration; return the folder of the configuration."""
    for index in range(1000):
        folder = root / "mount" / "train" / f"n{index:08d}"
        folder.mkdir(parents=True)
        for number in range(1280):
            os.close(os.open(folder / f"{number:04d}.JPEG", os.O_CREAT | os.O_WRONLY))
    config = root / "config"
    shutil.copytree(Path(__file__).parent.parent / "config", config)
    path = config / "config_data.yaml"
    content = yaml.safe_load(path.read_text())
    content["data_resolution"]["big"] = 64
    content["mounted_datasets"] = {"big": str(root / "mount")}
    path.write_text(yaml.safe_dump(content))
    return config
