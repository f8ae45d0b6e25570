"""The data stages: exporting PNG files, linking a million images, writing `.beton` files, beside their peers."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.peers import install_dynvision
from benchmarks.writing import measure_writing

COUNT = 50_000
CLASSES = 100


def run() -> None:
    """Measure, print a table and write the numbers as JSON."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        install_dynvision()
        rows.append(_exports(root))
        rows += measure_writing(root)
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
    from dynvision.data.sources.exporting import export_images, open_export

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


def _linking(root: Path) -> dict[str, Any]:
    """Link a thousand classes of 1,280 images each, which are empty files."""
    import shutil

    import yaml

    from dynvision.workspace import Workspace
    from dynvision.workspace.addresses import parse_target
    from dynvision.workspace.building import build_targets

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
