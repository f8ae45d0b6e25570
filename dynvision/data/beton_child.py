"""The child process that writes `.beton` files; started by `beton_watchdog`, speaks JSON lines."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from multiprocessing import Array, Value
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dynvision.data.images import decode_image, read_image

__all__: list[str] = []

SMART_FACTOR = 2
"""In the mode `smart`, an image is stored as JPEG where its raw pixels take more than this times the bytes."""


@dataclass(frozen=True)
class Picture:
    """An image as it goes into the file.

    Attributes:
        pixels: `[H, W, 3]`, or `[1, H, W]` for one channel; `None` where the bytes are all that is written.
        encoded: The bytes of a JPEG; `None` for raw pixels.
        size: Height and width.
    """

    pixels: Any
    encoded: Any
    size: tuple[int, int]


class CheckedImages:
    """The images of a file for FFCV's writer: an unreadable one is noted and never raised into it.

    FFCV's workers are forks of this process, so counters and hashes live in shared memory.
    """

    def __init__(self, job: dict[str, Any], left_out: Collection[str] = ()) -> None:
        kept = [place for place, path in enumerate(job["paths"]) if path not in left_out]
        self.paths: list[str] = [job["paths"][place] for place in kept]
        self.labels: list[int] = [job["labels"][place] for place in kept]
        self.resolution: int = job["resolution"]
        self.channels: int = job["channels"]
        self.mode: str = job["write_mode"]
        self.quality: int = job["jpeg_quality"]
        temporary = Path(job["temporary"])
        self.errors = temporary.with_name(f".{temporary.name}.bad")
        self.hashes = np.frombuffer(Array("B", 8 * len(self.paths), lock=False), dtype=np.uint64)
        self.done = np.frombuffer(Array("B", len(self.paths), lock=False), dtype=np.uint8)
        self.last = Value("l", -1, lock=False)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Picture, int, int]:
        self.last.value = index
        try:
            picture = self._read(index)
        except (OSError, ValueError, cv2.error) as error:
            with self.errors.open("a") as file:
                file.write(json.dumps([self.paths[index], str(error)]) + "\n")
            blank = np.zeros((self.resolution, self.resolution, 3), dtype=np.uint8)
            picture = Picture(blank if self.channels == 3 else blank[None, :, :, 0], None, blank.shape[:2])
        self.hashes[index] = _hash(picture.pixels if picture.encoded is None else picture.encoded)
        self.done[index] = 1
        return picture, self.labels[index], int(index)

    def _read(self, index: int) -> Picture:
        if self.mode == "bytes":
            return self._pass_through(self.paths[index])
        pixels = read_image(self.paths[index], self.channels, self.resolution)
        size = pixels.shape[:2]
        if self.channels == 1:
            return Picture(np.ascontiguousarray(pixels.transpose(2, 0, 1)), None, size)
        encoded = None
        if self.mode != "raw" and not (self.mode == "proportion" and index % 2):
            encoded = _encode(pixels, self.quality)
            if self.mode == "smart" and pixels.nbytes <= SMART_FACTOR * len(encoded):
                encoded = None
        return Picture(pixels, encoded, size)

    def _pass_through(self, path: str) -> Picture:
        """The bytes of a JPEG as they are; another format is encoded as one, at its own size."""
        content = np.fromfile(path, dtype=np.uint8)
        pixels = decode_image(content, 3)  # damage is found here and not by whoever reads the file
        is_jpeg = content[:2].tobytes() == b"\xff\xd8" and not _is_cmyk(content)
        encoded = content if is_jpeg else _encode(pixels, self.quality)
        return Picture(None, encoded, pixels.shape[:2])

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
    image: Any = RGBImageField() if channels == 3 else NDArrayField(np.dtype(np.uint8), (1, size, size))
    # On the instance: of a class of our own FFCV's reader would not know what it is.
    write_array = image.encode
    image.encode = _encode_picture if channels == 3 else lambda place, p, malloc: write_array(place, p.pixels, malloc)
    # An image larger than the page would hang the writer.
    largest = size * size * channels if images.mode != "bytes" else max(map(os.path.getsize, images.paths)) * 4
    small = len(images) * largest < 1 << 25
    page = max(1 << 21 if small else 1 << 23, 1 << int(np.ceil(np.log2(largest + 1))))
    workers = min(2, os.cpu_count() or 1, len(images))
    fields = {"image": image, "label": IntField(), "index": IntField()}
    writer = DatasetWriter(job["temporary"], fields, page_size=page, num_workers=workers)
    writer.from_indexed_dataset(images, chunksize=min(100, -(-len(images) // workers)))


def _encode_picture(destination: Any, picture: Picture, malloc: Any) -> None:
    """Write an image as FFCV's own field does: 0 is JPEG, 1 raw pixels."""
    content = picture.pixels.reshape(-1) if picture.encoded is None else picture.encoded
    destination["mode"] = 1 if picture.encoded is None else 0
    destination["height"], destination["width"] = picture.size
    destination["data_ptr"], storage = malloc(content.nbytes)
    storage[:] = content


def _encode(pixels: Any, quality: int) -> Any:
    colours = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".jpg", colours, [int(cv2.IMWRITE_JPEG_QUALITY), quality])
    if not done:
        raise ValueError("it cannot be encoded as JPEG")
    return encoded.reshape(-1)


def _is_cmyk(content: Any) -> bool:
    """Whether a JPEG has four channels, which FFCV's decoder does not read."""
    from PIL import Image

    with Image.open(io.BytesIO(content.tobytes())) as image:
        return image.mode == "CMYK"


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
    pointers = (metadata["f0"]["data_ptr"] if job["channels"] == 3 else metadata["f0"]).astype(np.int64).ravel()
    sizes = np.full(len(pointers), size)
    if job["channels"] == 3 and (metadata["f0"]["mode"] == 0).any():
        held = dict(zip(reader.alloc_table["ptr"].tolist(), reader.alloc_table["size"].tolist(), strict=True))
        sizes = np.asarray([held[pointer] for pointer in pointers.tolist()])
    for index, (pointer, length) in enumerate(zip(pointers, sizes, strict=True)):
        if _hash(content[pointer : pointer + length]) != images.hashes[index]:
            raise ValueError(f"the pixels of {images.paths[index]} were not written as given")
    return hashlib.sha256(images.hashes.tobytes() + labels.tobytes()).hexdigest()[:32]


def run(jobs: list[dict[str, Any]], max_bad_images: int) -> None:
    """Write all files of a job and report; a few bad images are left out and the file is written again."""
    every = [CheckedImages(job) for job in jobs]
    stop = threading.Event()
    threading.Thread(target=_report, args=(every, stop), daemon=True).start()
    bad: list[list[list[str]]] = []
    seconds: list[float] = []
    import ffcv.fields
    import ffcv.writer  # noqa: F401  # so that the time of writing is not that of importing

    for job, images in zip(jobs, every, strict=True):
        start = time.perf_counter()
        write_file(job, images)
        seconds.append(time.perf_counter() - start)
        bad.append(images.bad())
    count = sum(map(len, bad))
    if count > max_bad_images or any(len(b) == len(i) for b, i in zip(bad, every, strict=True)):
        stop.set()
        return _say({"bad": [entry for entries in bad for entry in entries]})
    facts = []
    for place, job in enumerate(jobs):
        images = every[place]
        if bad[place]:
            images = CheckedImages(job, {path for path, _ in bad[place]})
            write_file(job, images)
            if images.bad():
                raise ValueError("images changed while they were read; run this again")
        facts.append({"pixels": read_back(job, images), "left_out": bad[place], "seconds": seconds[place]})
    stop.set()
    return _say({"files": facts})


def _hash(pixels: Any) -> np.uint64:
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=8).digest()
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
    job = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    run(job["files"], job["max_bad_images"])


if __name__ == "__main__":
    main()
