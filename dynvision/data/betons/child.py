"""The child process that writes `.beton` files; started by `watchdog`. The two exchange lines of JSON.

It needs neither FFCV nor torch, and starts in a fraction of a second.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from dynvision.data.betons.encoding import Picture
from dynvision.data.betons.pages import BetonWriter, choose_page_size
from dynvision.data.betons.read_back import read_back
from dynvision.data.betons.readers import PictureReaders

__all__: list[str] = []


class Progress:
    """What has been done so far; the reporting thread reads it.

    Attributes:
        done: Images that were read.
        steps: Images, later also comparisons; if it stands still, something is stuck.
    """

    def __init__(self) -> None:
        self.done = self.steps = 0

    def advance(self) -> None:
        """Count a step that is not an image."""
        self.steps += 1


@dataclass
class Written:
    """What became of a file's images.

    Attributes:
        positions: The positions of the images that were written, among all images of the file.
        digests: Their digests.
        bad: Position and reason of each image that was left out.
        seconds: How long the file took.
    """

    positions: list[int] = field(default_factory=list)
    digests: list[int] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0


def write_files(jobs: Sequence[dict[str, Any]], readers: PictureReaders, progress: Progress) -> list[Written]:
    """Write the files of a job; an image that cannot be read is left out and noted."""
    every = [Written() for _ in jobs]
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(_open_writer(job)) for job in jobs]
        start, previous = time.perf_counter(), 0
        for file, position, picture in readers:
            if file != previous:
                start = _finish(writers[previous], every[previous], start)
                previous = file
            if isinstance(picture, Picture):
                writers[file].append(picture, jobs[file]["labels"][position])
                every[file].positions.append(position)
                every[file].digests.append(picture.digest)
            else:
                every[file].bad.append((position, picture))
            progress.done += 1
            progress.steps += 1
        _finish(writers[previous], every[previous], start)
    return every


def _open_writer(job: dict[str, Any]) -> BetonWriter:
    size, channels = job["resolution"], job["channels"]
    largest = size * size * channels if job["write_mode"] != "bytes" else max(map(_size_of, job["paths"])) * 4
    page_size = choose_page_size(len(job["paths"]), largest)
    return BetonWriter(Path(job["temporary"]), len(job["paths"]), channels, size, page_size)


def _finish(writer: BetonWriter, written: Written, start: float) -> float:
    writer.finish()
    now = time.perf_counter()
    written.seconds = now - start
    return now


def _size_of(path: str) -> int:
    """Return the bytes of a file; 0 if it is missing, which is reported when it is read."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def run(jobs: list[dict[str, Any]], max_bad_images: int) -> None:
    """Write all files of a job, read them back, and report."""
    readers = PictureReaders(jobs)
    progress, finished = Progress(), threading.Event()
    temporaries = [job["temporary"] for job in jobs]
    threading.Thread(target=_stop_with_parent, args=(temporaries, finished), daemon=True).start()
    threading.Thread(target=_report, args=(readers, progress, finished), daemon=True).start()
    every = write_files(jobs, readers, progress)
    bad = [written.bad for written in every]
    if sum(map(len, bad)) > max_bad_images or not all(written.positions for written in every):
        finished.set()
        return _say({"bad": bad})
    facts = []
    for job, written in zip(jobs, every, strict=True):
        labels = [job["labels"][position] for position in written.positions]
        paths = [job["paths"][position] for position in written.positions]
        checked = read_back(job, paths, labels, written.digests, progress.advance)
        facts.append({**checked, "left_out": written.bad, "seconds": written.seconds})
    finished.set()
    return _say({"files": facts})


def _report(readers: PictureReaders, progress: Progress, finished: threading.Event) -> None:
    previous, last = -1, ""
    while not finished.wait(0.2):
        last = readers.oldest or last
        if progress.steps != previous:
            previous = progress.steps
            _say({"done": progress.done, "steps": previous, "last": last})


_speaking = threading.Lock()


def _say(message: dict[str, Any]) -> None:
    with _speaking:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def _stop_with_parent(temporaries: list[str], finished: threading.Event) -> None:
    """End this process and its readers when the parent ends, and remove the temporary files.

    The parent's end closes the pipe.
    """
    while os.read(0, 4096):
        continue
    if not finished.is_set():  # Otherwise the parent has the files, and may be renaming them.
        for path in temporaries:
            Path(path).unlink(missing_ok=True)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)


def main() -> None:
    """Read the job from standard input and carry it out."""
    job = json.loads(sys.stdin.buffer.readline())
    cv2.setNumThreads(1)  # Images are spread over processes, so a single image needs no threads.
    try:
        run(job["files"], job["max_bad_images"])
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        _say({"full": str(error)})


if __name__ == "__main__":
    main()
