"""Every kind of output, damaged in every way, and what each reader says.

`python -m tests.helpers.damage ROOT` prints the whole table for a copy of a root in which the demo was built.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynvision.errors import DynvisionError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.verifying import verify_targets
from dynvision_assets import load

RESPONSES, SUMMARY = "data/responses/contrast/rcnn_gratings", "data/reports/contrast/rcnn_gratings"
WEIGHTS, BETONS = "data/models/rcnn/gratings/all_s0", "data/processed/gratings/train_all"


@dataclass(frozen=True)
class Output:
    """A file of the chain.

    Attributes:
        target: Whose file it is.
        path: The file, relative to the root; a glob, of which the first match counts.
        twin: A file that it is swapped with.
        downstream: What is made from the target.
        also: Suffixes of files that are swapped together with it.
    """

    target: str
    path: str
    twin: str
    downstream: str
    also: tuple[str, ...] = ()


OUTPUTS = {
    "image": Output(
        "raw/gratings:test",
        "data/raw/gratings/test/0/*.png",
        "data/raw/gratings/test/1/*.png",
        "interim/gratings:test_all",
    ),
    "class folder": Output(
        "raw/gratings:test", "data/raw/gratings/test/0", "data/raw/gratings/test/1", "interim/gratings:test_all"
    ),
    "manifest": Output(
        "raw/gratings:test",
        "data/raw/gratings/test/manifest.json",
        "data/raw/gratings/train/manifest.json",
        "interim/gratings:test_all",
    ),
    "image table": Output(
        "raw/gratings:test",
        "data/raw/gratings/test/manifest.images.parquet",
        "data/raw/gratings/train/manifest.images.parquet",
        "interim/gratings:test_all",
    ),
    "link": Output(
        "interim/gratings:test_all",
        "data/interim/gratings/test_all/0",
        "data/interim/gratings/test_all/1",
        "processed/gratings:test_all",
    ),
    "folder.link": Output(
        "interim/gratings:test_all",
        "data/interim/gratings/test_all/folder.link",
        "data/interim/gratings/train_all/folder.link",
        "processed/gratings:test_all",
    ),
    ".beton": Output(
        "processed/gratings:train_all",
        f"{BETONS}/train.beton",
        f"{BETONS}/val.beton",
        "models/rcnn/gratings:all_s0",
        (".json", ".samples.parquet"),
    ),
    "sidecar": Output(
        "processed/gratings:train_all",
        f"{BETONS}/train.beton.json",
        f"{BETONS}/val.beton.json",
        "models/rcnn/gratings:all_s0",
    ),
    "sample table": Output(
        "processed/gratings:train_all",
        f"{BETONS}/train.beton.samples.parquet",
        f"{BETONS}/val.beton.samples.parquet",
        "models/rcnn/gratings:all_s0",
    ),
    "weights": Output(
        "models/rcnn/gratings:all_s0",
        f"{WEIGHTS}/trained.safetensors",
        f"{WEIGHTS}/init.safetensors",
        "responses/contrast/rcnn_gratings:0.1",
    ),
    "initial weights": Output(
        "models/rcnn/gratings:all_s0",
        f"{WEIGHTS}/init.safetensors",
        f"{WEIGHTS}/trained.safetensors",
        "responses/contrast/rcnn_gratings:0.1",
    ),
    "record of weights": Output(
        "models/rcnn/gratings:all_s0",
        f"{WEIGHTS}/record.json",
        f"{SUMMARY}/record.json",
        "responses/contrast/rcnn_gratings:0.1",
    ),
    "store": Output(
        "responses/contrast/rcnn_gratings:0.1",
        f"{RESPONSES}/contrast=0.1.zarr",
        f"{RESPONSES}/contrast=1.0.zarr",
        "summary/contrast/rcnn_gratings",
    ),
    "record of responses": Output(
        "responses/contrast/rcnn_gratings:0.1",
        f"{RESPONSES}/contrast=0.1.zarr/record.json",
        f"{RESPONSES}/contrast=1.0.zarr/record.json",
        "summary/contrast/rcnn_gratings",
    ),
    "chunk": Output(
        "responses/contrast/rcnn_gratings:0.1",
        f"{RESPONSES}/contrast=0.1.zarr/scores/c/*/*/*",
        f"{RESPONSES}/contrast=1.0.zarr/scores/c/*/*/*",
        "summary/contrast/rcnn_gratings",
    ),
    "label": Output(
        "responses/contrast/rcnn_gratings:0.1",
        f"{RESPONSES}/contrast=0.1.zarr/label/c/0",
        f"{RESPONSES}/contrast=0.1.zarr/sample/c/0",
        "summary/contrast/rcnn_gratings",
    ),
    "class": Output(
        "responses/contrast/rcnn_gratings:0.1",
        f"{RESPONSES}/contrast=0.1.zarr/class/c/0",
        f"{RESPONSES}/contrast=0.1.zarr/time/c/0",
        "summary/contrast/rcnn_gratings",
    ),
    "shown": Output(
        "responses/contrast/rcnn_gratings:0.1",
        f"{RESPONSES}/contrast=0.1.zarr/shown/c/0",
        f"{RESPONSES}/contrast=0.1.zarr/time/c/0",
        "summary/contrast/rcnn_gratings",
    ),
    "store metadata": Output(
        "responses/contrast/rcnn_gratings:0.1",
        f"{RESPONSES}/contrast=0.1.zarr/zarr.json",
        f"{RESPONSES}/contrast=0.1.zarr/scores/zarr.json",
        "summary/contrast/rcnn_gratings",
    ),
    "table": Output(
        "summary/contrast/rcnn_gratings", f"{SUMMARY}/table.parquet", f"{SUMMARY}/tuning.parquet", "summary/contrast"
    ),
    "fits": Output(
        "summary/contrast/rcnn_gratings", f"{SUMMARY}/fits.parquet", f"{SUMMARY}/fits.csv", "summary/contrast"
    ),
    "picture": Output(
        "summary/contrast/rcnn_gratings", f"{SUMMARY}/tuning.png", f"{SUMMARY}/summary.png", "summary/contrast"
    ),
    "record of summary": Output(
        "summary/contrast/rcnn_gratings", f"{SUMMARY}/record.json", f"{WEIGHTS}/record.json", "summary/contrast"
    ),
}


def _first(root: Path, pattern: str) -> Path:
    return next(path for path in sorted(root.glob(pattern)) if not path.name.startswith("."))


def flip(root: Path, output: Output) -> None:
    """Flip one bit in the middle of a file and keep its times; of a folder or link, that of another name."""
    path = _first(root, output.path)
    if path.is_symlink():
        destination = os.readlink(path)
        path.unlink()
        path.symlink_to(destination[:-1] + "2")
    elif path.is_dir():
        path.rename(path.with_name(f"{path.name}x"))
    else:
        times = path.stat()
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def truncate(root: Path, output: Output) -> None:
    """Cut a file in half; of a folder remove half of the files; lead a link one folder up."""
    path = _first(root, output.path)
    if path.is_symlink():
        destination = os.readlink(path)
        path.unlink()
        path.symlink_to(os.path.dirname(destination))  # noqa: PTH120
    elif path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file())
        for file in files[::2]:
            file.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2)


def delete(root: Path, output: Output) -> None:
    """Delete a file, folder or link."""
    path = _first(root, output.path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def swap(root: Path, output: Output) -> None:
    """Exchange a file with another of its kind, by renaming."""
    first, second = _first(root, output.path), _first(root, output.twin)
    for suffix in ("", *output.also):
        one, two = (path.with_name(path.name + suffix) for path in (first, second))
        aside = one.with_name("aside")
        one.rename(aside)
        two.rename(one)
        aside.rename(two)


DAMAGES: dict[str, Callable[[Path, Output], None]] = {
    "flip": flip,
    "truncate": truncate,
    "delete": delete,
    "swap": swap,
}


def read_everything(target: str, root: Path) -> None:
    """Load a target, and read all that can be read of it."""
    stage = target.partition("/")[0]
    names = {"summary": ("table", "tuning", "fits", "time_courses")}.get(stage, ("",))
    for name in names:
        value: Any = load(target, root=root, **({"table": name} if name else {}))
        if stage in ("raw", "interim"):
            for index in range(len(value)):
                value[index]
        if stage == "responses":
            value.load()


def say(reader: str, output: Output, root: Path, config: Path | None = None) -> str:
    """Return what a reader says about a target: an error's class and text, a state and its reason; else nothing."""
    workspace = Workspace.open(root, config)
    (target,) = parse_target(workspace, output.target)
    if reader == "load":
        return _error_of(lambda: read_everything(output.target, root))
    if reader == "make downstream":
        (downstream,) = parse_target(workspace, output.downstream)
        return _error_of(lambda: workspace.inputs(downstream))
    if reader == "status":
        status = workspace.status(target)
        return "" if status.state == "fresh" else f"{status.state}: {status.reason}"
    (result,) = verify_targets(workspace, [Target(target.key, target.partition)])
    return "" if result.state == "whole" else f"{result.state}: {result.sentence}"


READERS = ("load", "make downstream", "status", "verify")


def _error_of(read: Callable[[], object]) -> str:
    try:
        read()
    except DynvisionError as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _copies(made: Path) -> Iterator[Path]:
    while True:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(shutil.copytree(made, Path(folder) / "root", symlinks=True))


def main(made: Path) -> None:
    """Print the table as Markdown."""
    print("| output | damage | " + " | ".join(READERS) + " |\n" + "| --- " * (len(READERS) + 2) + "|")
    copies = _copies(made)
    for name, output in OUTPUTS.items():
        for damage, apply in DAMAGES.items():
            root = next(copies)
            apply(root, output)
            words = [say(reader, output, root).partition(":")[0] or "NOTHING" for reader in READERS]
            print(f"| {name} | {damage} | " + " | ".join(words) + " |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
