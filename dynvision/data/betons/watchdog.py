"""The parent's side of writing a `.beton`: it starts the child, follows its progress, and stops it if it is stuck."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dynvision.errors import DataError, DynvisionError
from dynvision.system.progress import progress_bar

if TYPE_CHECKING:
    from dynvision.data.betons.spec import BetonFile

__all__ = ["run_writer"]

START_TIMEOUT = 120.0
"""Seconds that the child may take to start before the first image, on a slow network disk."""


def run_writer(
    files: Sequence[BetonFile], temporaries: Sequence[Path], timeout: float, description: str, max_bad_images: int = 0
) -> list[dict[str, Any]]:
    """Write files in a child process. If a decoder crashes or a disk hangs, the child ends and not its parent.

    Args:
        files: What to write.
        temporaries: The path to write each to.
        timeout: Seconds without progress after which the child is stopped.
        description: The text of the progress bar.
        max_bad_images: How many unreadable images may be left out.

    Returns:
        What the child reports for each file: its `sha256`, a digest of its `pixels`, the `seconds` of writing, and
        position and reason of each image `left_out`.

    Raises:
        DataError: If more images than allowed cannot be read; names all of them.
        DynvisionError: If the child stopped or was stuck, or the disk is full.
    """
    job = [_describe(file, temporary) for file, temporary in zip(files, temporaries, strict=True)]
    with tempfile.TemporaryFile() as errors:
        # The pipe to the child stays open while this process lives. When it closes, the child stops.
        child = subprocess.Popen(
            [sys.executable, "-m", "dynvision.data.betons.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # It forks, and computes no matrix products.
        )
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps({"files": job, "max_bad_images": max_bad_images}).encode() + b"\n")
            child.stdin.flush()
            return _follow(child, child.stdout, job, timeout, description, errors)
        except BrokenPipeError as error:
            raise _stopped(child, errors, "before it began") from error
        finally:
            _stop(child)


def _describe(file: BetonFile, temporary: Path) -> dict[str, Any]:
    """Describe a file to the child, as JSON-ready values."""
    return {
        "temporary": str(temporary.absolute()),
        # Not with pathlib: there may be a million samples.
        "paths": [os.path.join(file.base, s.source) for s in file.samples],  # noqa: PTH118
        "labels": [s.label for s in file.samples],
        "xxh3": [s.xxh3 for s in file.samples],
        "resolution": file.resolution,
        "channels": file.channels,
        "write_mode": file.mode,
        "jpeg_quality": file.jpeg_quality,
        "bit_depth": file.bit_depth,
    }


def _follow(
    child: subprocess.Popen[bytes],
    output: IO[bytes],
    job: list[dict[str, Any]],
    timeout: float,
    description: str,
    errors: IO[bytes],
) -> list[dict[str, Any]]:
    messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_read_messages, args=(output, messages), daemon=True).start()
    last, steps, deadline = "", 0, time.monotonic() + max(timeout, START_TIMEOUT)
    total = sum(len(file["paths"]) for file in job)
    with progress_bar(total, description) as bar:
        while True:
            try:
                message = messages.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise DynvisionError(
                    f"{description}: the writer made no progress for {timeout:g} s and was stopped; the last image "
                    f"was {last or 'not reached'}. Check that image and the disk, then run this again "
                    "(write_timeout in config_data.yaml sets how long to wait)."
                ) from None
            if message is None:
                raise _stopped(child, errors, f"after {last or 'no image'}")
            if "bad" in message:
                raise DataError(_bad_images(description, job, message["bad"]))
            if "full" in message:
                raise DynvisionError(
                    f"{description}: {Path(job[0]['temporary']).parent} cannot take the file: {message['full']}. "
                    "Nothing was left behind. Make room, or set DYNVISION_ROOT to a larger disk, then run this again."
                )
            if "files" in message:
                bar.update(total - bar.n)
                return list(message["files"])
            if message["steps"] > steps:
                deadline = time.monotonic() + timeout
            last, steps = message["last"], message["steps"]
            bar.update(message["done"] - bar.n)


def _read_messages(output: IO[bytes], messages: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    for line in output:
        messages.put(json.loads(line))
    messages.put(None)


def _bad_images(description: str, job: list[dict[str, Any]], bad: list[list[tuple[int, str]]]) -> str:
    named = [(f["paths"][n], reason) for f, images in zip(job, bad, strict=True) for n, reason in images]
    shown = "\n".join(f"  {path}: {reason}" for path, reason in sorted(named))
    count = "1 image" if len(named) == 1 else f"{len(named)} images"
    return (
        f"{description}: {count} cannot be read. Replace or remove them and make the raw stage again, or "
        f"let as many be left out (max_bad_images in config_data.yaml), then run this again:\n{shown}"
    )


def _stopped(child: subprocess.Popen[bytes], errors: IO[bytes], when: str) -> DynvisionError:
    code = child.wait(timeout=10)
    errors.seek(0)
    lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else "it said nothing"
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return DynvisionError(
        f"the .beton writer stopped ({how}) {when}: {reason}. Nothing was left behind; run this again."
    )


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the child: close its input, which asks it to stop; kill it if it does not, as when it waits for a disk."""
    if child.stdin is not None:
        with contextlib.suppress(OSError):  # The child may have ended before it read everything.
            child.stdin.close()
    for number, patience in ((signal.SIGCONT, 1.0), (signal.SIGKILL, 1.0)):
        if child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(child.pid, number)
            child.wait(timeout=patience)
