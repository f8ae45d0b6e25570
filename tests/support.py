"""What tests share: a small configuration, archives in the standard formats, a loopback server, building a chain."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import http.server
import io
import pickle
import shutil
import struct
import tarfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets

PROJECT_CONFIG = Path(__file__).resolve().parent.parent / "config"


def edit_yaml(path: Path, change: Any) -> None:
    """Read a YAML file, let `change` alter its content in place, and write it back."""
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def write_small_config(folder: Path) -> Path:
    """Copy the project's config and make it tiny: 3 orientations of 16 pixels, 12 + 4 images a class, one epoch."""
    shutil.copytree(PROJECT_CONFIG, folder)
    edit_yaml(folder / "config_data.yaml", _shrink_data)
    edit_yaml(folder / "config_models.yaml", _shrink_models)
    edit_yaml(folder / "config_experiments.yaml", _shrink_experiments)
    return folder


def _shrink_data(content: dict[str, Any]) -> None:
    content["data_resolution"]["gratings"] = 16
    content["gratings"] |= {"orientations": 3, "train_per_class": 12, "test_per_class": 4, "noise": 0.05}
    content["data_groups"]["gratings"] = {"pair": [2, 0]}


def _shrink_models(content: dict[str, Any]) -> None:
    model = content["models"]["rcnn"]
    model["args"]["channels"] = [4, 4, 6, 6]
    model["training"] |= {"epochs": 1, "n_timesteps": 3, "loss_from": 1, "batch_size": 16}
    for changes in model["training"]["datasets"].values():
        changes.pop("epochs", None)


def _shrink_experiments(content: dict[str, Any]) -> None:
    experiments = content["experiment_config"]
    for name in experiments.keys() - {"contrast", "duration", "contrast_duration"}:
        del experiments[name]
    for experiment in experiments.values():
        experiment["idle"] = 2
        experiment["data_args"]["tsteps"] = 6
    experiments["contrast"]["data_args"] |= {"stim": 4, "contrast": [0.1, 0.5, 1.0]}
    experiments["duration"]["data_args"] |= {"stim": [1, 3]}
    experiments["contrast_duration"]["data_args"] |= {"stim": [1, 3], "contrast": [0.5, 1.0]}


def set_at(place: str, value: Any) -> Any:
    """A change that sets the value at a dotted key path."""

    def change(content: dict[str, Any]) -> None:
        *parents, last = place.split(".")
        for part in parents:
            content = content[part]
        content[last] = value

    return change


def build_chain(root: Path, config: Path, *targets: str) -> None:
    """Build targets and everything upstream that is not up to date, asset after asset."""
    workspace = Workspace.open(root, config)
    plan = workspace.plan(target for text in targets for target in parse_target(workspace, text))
    for key in dict.fromkeys(target.key for target in plan):
        build_targets([str(t) for t in plan if t.key == key], root=str(root), config=str(config))


def flip_byte(path: Path, place: int) -> None:
    """Change one byte of a file; a negative place counts from the end."""
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(bytes(content))


def find_leftovers(folder: Path) -> list[str]:
    """Temporary files and folders below a folder."""
    return sorted(p.name for p in folder.rglob("*") if "partial" in p.name or p.name.startswith(".unpacked"))


@contextlib.contextmanager
def serve_folder(folder: Path, asked: list[str] | None = None) -> Any:
    """Serve a folder on a free loopback port; gives its address, and notes in `asked` what was asked for."""

    class Handler(_QuietHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            super().do_GET()

    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


def closed_address() -> str:
    """An address on which nothing listens."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    port = server.server_address[1]
    server.server_close()
    return f"http://127.0.0.1:{port}"


def write_cifar100_archive(path: Path, n_train: int = 200, n_test: int = 100, seed: int = 0) -> dict[str, Any]:
    """Write an archive of random images in CIFAR-100's own format, every class in it.

    Returns:
        `md5`, and for `train` and `test` the images `[N, 32, 32, 3]` and labels `[N]` in the archive's order.
    """
    rng = np.random.default_rng(seed)
    held: dict[str, Any] = {}
    with tarfile.open(path, "w:gz") as archive:
        for split, count in (("train", n_train), ("test", n_test)):
            images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
            labels = rng.permutation(np.arange(count) % 100)
            rows = images.transpose(0, 3, 1, 2).reshape(count, -1)
            content = {"data": rows, "fine_labels": labels.tolist(), "coarse_labels": [0] * count, "filenames": []}
            _add_pickle(archive, f"cifar-100-python/{split}", content)
            held[split] = (images, labels)
        meta = {"fine_label_names": [f"thing{i:02d}" for i in range(100)], "coarse_label_names": []}
        _add_pickle(archive, "cifar-100-python/meta", meta)
    return {"md5": md5(path), **held}


def _add_pickle(archive: tarfile.TarFile, name: str, content: Any) -> None:
    data = pickle.dumps(content)
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


MNIST_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def write_mnist_files(folder: Path, n_train: int = 40, n_test: int = 20, seed: int = 0) -> dict[str, Any]:
    """Write random digits in MNIST's own format.

    Returns:
        `files` (the MD5 of each), and for `train` and `test` the images `[N, 28, 28]` and labels `[N]`.
    """
    rng = np.random.default_rng(seed)
    held: dict[str, Any] = {"files": {}}
    for split, count in (("train", n_train), ("test", n_test)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        contents = (
            struct.pack(">IIII", 0x803, count, 28, 28) + images.tobytes(),
            struct.pack(">II", 0x801, count) + labels.tobytes(),
        )
        for name, content in zip(MNIST_FILES[split], contents, strict=True):
            (folder / name).write_bytes(gzip.compress(content, mtime=0))
            held["files"][name] = md5(folder / name)
        held[split] = (images, labels.astype(np.int64))
    return held


def md5(path: Path) -> str:
    """The MD5 of a file."""
    return hashlib.md5(path.read_bytes()).hexdigest()
