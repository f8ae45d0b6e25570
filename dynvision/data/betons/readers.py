"""Processes that decode images and return them in order.

Each of n processes takes every n-th chunk and writes it to a pipe of its own. A full pipe stops a process that is too
far ahead. A process that dies closes its pipe. They share nothing that could outlive them.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

import cv2

from dynvision.data.betons.encoding import Picture, read_picture
from dynvision.system.machine import usable_cores

__all__ = ["PictureReaders"]

MOST_PROCESSES = 16
"""Beyond these, the one process that writes the file is the slowest."""

_CHUNK_BYTES = 1 << 18
_PIPE_BYTES = 1 << 20
_DIE_WITH_PARENT = 1
"""Linux's PR_SET_PDEATHSIG."""


class PictureReaders:
    """Processes that decode the images of several files.

    Make it before any thread is started, because the processes are forks.

    Args:
        jobs: For each file its `paths`, and what `read_picture` needs.
    """

    def __init__(self, jobs: Sequence[dict[str, Any]]) -> None:
        self._jobs, self._parent = jobs, os.getpid()
        self._chunks = [(file, positions) for file, job in enumerate(jobs) for positions in _cut(job)]
        count = min(usable_cores(), MOST_PROCESSES, len(self._chunks))
        self._busy = memoryview(mmap.mmap(-1, 8 * count)).cast(
            "q"
        )  # the image that each process decodes, counted from 1; 0 for none
        self._starts = [0]
        for job in jobs:
            self._starts.append(self._starts[-1] + len(job["paths"]))
        self._connections: list[Connection] = []
        self._processes = []
        self._running: dict[Any, int] = {}
        context = multiprocessing.get_context("fork")
        for number in range(count):
            mine, theirs = context.Pipe(duplex=False)
            with contextlib.suppress(AttributeError, OSError):  # not on this system, or more than a user may have
                fcntl.fcntl(theirs.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            others = [*self._connections, mine]
            process = context.Process(target=self._decode, args=(number, count, theirs, others), daemon=True)
            process.start()
            theirs.close()  # so that the pipe closes when the process ends
            self._connections.append(mine)
            self._processes.append(process)
            self._running[process.sentinel] = number

    @property
    def oldest(self) -> str:
        """The path of the image that has been worked on the longest; empty if there is none."""
        busy = [number for number in self._busy.tolist() if number]
        return self._path(min(busy) - 1) if busy else ""

    def __iter__(self) -> Iterator[tuple[int, int, Picture | str]]:
        """Yield file, position in it, and the picture (or the reason why there is none), in order."""
        for turn, (file, positions) in enumerate(self._chunks):
            number = turn % len(self._connections)
            self._await(number)
            try:
                facts = pickle.loads(self._connections[number].recv_bytes())
                content = memoryview(self._connections[number].recv_bytes())
            except EOFError:
                raise self._died(number) from None
            start = 0
            for position, fact in zip(positions, facts, strict=True):
                if isinstance(fact, str):
                    yield file, position, fact
                    continue
                kept_as, size, digest, length = fact
                yield file, position, Picture(content[start : start + length], kept_as, size, digest)
                start += length

    def _await(self, number: int) -> None:
        """Wait for a reader's next chunk; if another reader dies, that is noticed at once and not only at its turn."""
        connection = self._connections[number]
        while not connection.poll():
            ready = wait([connection, *self._running])
            if connection in ready:
                return
            for sentinel in ready:
                ended = self._running.pop(sentinel)
                self._processes[ended].join()
                if self._processes[ended].exitcode:
                    raise self._died(ended)

    def _path(self, number: int) -> str:
        file = max(f for f, start in enumerate(self._starts[:-1]) if start <= number)
        return str(self._jobs[file]["paths"][number - self._starts[file]])

    def _died(self, number: int) -> RuntimeError:
        self._processes[number].join(5)
        code = self._processes[number].exitcode or 0
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        at = self._busy[number]
        return RuntimeError(f"the process that read {self._path(at - 1) if at else 'images'} ended with {how}")

    def _decode(self, number: int, count: int, connection: Connection, others: list[Connection]) -> None:
        _end_with_parent(self._parent)
        for other in others:
            other.close()
        for file, positions in self._chunks[number::count]:
            facts: list[Any] = []
            contents = []
            for position in positions:
                self._busy[number] = self._starts[file] + position + 1
                try:
                    picture = read_picture(self._jobs[file]["paths"][position], position, self._jobs[file])
                except (OSError, ValueError, ArithmeticError, cv2.error) as error:
                    facts.append(str(error))
                    continue
                facts.append((picture.kept_as, picture.size, picture.digest, len(picture.content)))
                contents.append(picture.content)
            self._busy[number] = 0
            connection.send_bytes(pickle.dumps(facts))
            connection.send_bytes(b"".join(contents))
        connection.close()


def _cut(job: dict[str, Any]) -> Iterator[range]:
    """Cut the images of a file into chunks, small enough that a pipe takes several."""
    count = len(job["paths"])
    size = max(1, min(64, _CHUNK_BYTES // (job["resolution"] ** 2 * job["channels"])))
    return (range(start, min(start + size, count)) for start in range(0, count, size))


def _end_with_parent(parent: int) -> None:
    """Tell the system to end this process when its parent dies, even while it waits for a disk."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
