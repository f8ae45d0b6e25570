"""The child process that writes `.beton` files; started by `beton_watchdog`, speaks JSON lines."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import threading
from multiprocessing import Array, Value
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dynvision.data.images import read_image

__all__: list[str] = []


class CheckedImages:
    """The images of a file for FFCV's writer: an unreadable one is noted and never raised into it.

    FFCV's workers are forks of this process, so counters and hashes live in shared memory.
    """

    def __init__(self, job: dict[str, Any], folder: Path) -> None:
        self.paths: list[str] = job["paths"]
        self.labels: list[int] = job["labels"]
        self.resolution: int = job["resolution"]
        self.channels: int = job["channels"]
        self.errors = folder / f".{Path(job['temporary']).name}.bad"
        self.hashes = np.frombuffer(Array("B", 8 * len(self.paths), lock=False), dtype=np.uint64)
        self.done = np.frombuffer(Array("B", len(self.paths), lock=False), dtype=np.uint8)
        self.last = Value("l", -1, lock=False)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, int, int]:
        self.last.value = index
        try:
            pixels = read_image(self.paths[index], self.channels, self.resolution)
        except (OSError, ValueError, cv2.error) as error:
            with self.errors.open("a") as file:
                file.write(json.dumps([self.paths[index], str(error)]) + "\n")
            pixels = np.zeros((self.resolution, self.resolution, self.channels), dtype=np.uint8)
        self.hashes[index] = _hash(pixels)
        self.done[index] = 1
        return (pixels if self.channels == 3 else pixels.transpose(2, 0, 1)), self.labels[index], int(index)

    def bad(self) -> list[list[str]]:
        """The images that could not be read, with the reason."""
        if not self.errors.exists():
            return []
        lines = self.errors.read_text().splitlines()
        self.errors.unlink()
        return sorted(json.loads(line) for line in lines)


def write_file(job: dict[str, Any], images: CheckedImages) -> None:
    """Write one file with FFCV's own writer."""
    from ffcv.fields import IntField, NDArrayField, RGBImageField
    from ffcv.writer import DatasetWriter

    size, channels = job["resolution"], job["channels"]
    image: Any = (
        RGBImageField(write_mode=job["write_mode"], jpeg_quality=95)
        if channels == 3
        else NDArrayField(np.dtype(np.uint8), (1, size, size))
    )
    # An image larger than the page would hang the writer.
    small = len(images) * size * size * channels < 1 << 25
    page = max(1 << 21 if small else 1 << 23, 1 << int(np.ceil(np.log2(size * size * channels + 1))))
    workers = min(2, os.cpu_count() or 1, len(images))
    fields = {"image": image, "label": IntField(), "index": IntField()}
    writer = DatasetWriter(job["temporary"], fields, page_size=page, num_workers=workers)
    writer.from_indexed_dataset(images, chunksize=min(100, -(-len(images) // workers)))


def read_back(job: dict[str, Any], images: CheckedImages) -> str:
    """Compare every image and label of the finished file with what went in.

    Returns:
        A digest of all pixels and labels in order.
    """
    from ffcv.reader import Reader

    reader = Reader(job["temporary"])
    size = job["resolution"] ** 2 * job["channels"]
    metadata = reader.metadata
    content = np.memmap(job["temporary"], dtype=np.uint8, mode="r")
    if reader.num_samples != len(images):
        raise ValueError(f"the file holds {reader.num_samples} images where {len(images)} were written")
    labels = metadata["f1"].astype(np.int64).ravel()
    wrong = np.flatnonzero(labels != np.asarray(images.labels))
    if len(wrong):
        raise ValueError(f"the label of {images.paths[wrong[0]]} was not written as given")
    if job["write_mode"] == "raw":
        pointers = metadata["f0"]["data_ptr"] if job["channels"] == 3 else metadata["f0"]
        for index, pointer in enumerate(pointers.astype(np.int64).ravel()):
            if _hash(content[pointer : pointer + size]) != images.hashes[index]:
                raise ValueError(f"the pixels of {images.paths[index]} were not written as given")
    return hashlib.sha256(images.hashes.tobytes() + labels.tobytes()).hexdigest()[:32]


def run(jobs: list[dict[str, Any]]) -> None:
    """Write all files of a job and report."""
    every = [CheckedImages(job, Path(job["temporary"]).parent) for job in jobs]
    stop = threading.Event()
    threading.Thread(target=_report, args=(every, stop), daemon=True).start()
    facts, bad = [], []
    for job, images in zip(jobs, every, strict=True):
        write_file(job, images)
        bad += images.bad()
        if not bad:
            facts.append({"pixels": read_back(job, images)})
    stop.set()
    _say({"bad": bad} if bad else {"files": facts})


def _hash(pixels: Any) -> np.uint64:
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _report(every: list[CheckedImages], stop: threading.Event) -> None:
    previous = -1
    while not stop.wait(0.2):
        done = sum(int(images.done.sum()) for images in every)
        running = next((i for i in reversed(every) if i.last.value >= 0), every[0])
        if done != previous:
            last = running.paths[running.last.value] if running.last.value >= 0 else ""
            _say({"done": done, "last": last, "phase": done == sum(len(i) for i in every)})
            previous = done


_speaking = threading.Lock()


def _say(message: dict[str, Any]) -> None:
    with _speaking:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def _stop_with_parent() -> None:
    """End the whole process group when the parent is gone: the pipe to it closes."""
    # Not through sys.stdin: its lock would be held across the forks of FFCV's workers, which close it.
    while os.read(0, 4096):
        continue
    os.killpg(0, signal.SIGTERM)


def main() -> None:
    """Read the job from standard input and carry it out."""
    jobs = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    run(jobs)


if __name__ == "__main__":
    main()
