"""One run a GPU: a lock for each, which every engine of this machine takes, whoever's it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from pathlib import Path

__all__ = ["GpuClaims"]


class GpuClaims:
    """The GPUs that this process has to itself. A claim ends with the process, however it ends."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}

    def claim(self, gpu: str) -> bool:
        """Claim a GPU; say whether it is ours.

        Args:
            gpu: The GPU in the words of `CUDA_VISIBLE_DEVICES`.
        """
        if gpu in self._files:
            return True
        try:
            file = os.open(_make_file(gpu), os.O_RDONLY)  # A lock needs no right to write; it may be another user's.
        except OSError:
            return True  # Without a lock file nobody can tell; a run must not wait for that.
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except OSError:
            pass  # The file system has no locks.
        self._files[gpu] = file
        return True

    def close(self) -> None:
        """Give all of them back."""
        while self._files:
            os.close(self._files.popitem()[1])


def _make_file(gpu: str) -> Path:
    """Return the lock file of a GPU, which is made if it does not exist."""
    path = Path(tempfile.gettempdir()) / f"dynvision-gpu-{re.sub(r'[^A-Za-z0-9-]', '_', gpu)}.lock"
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644))
    return path
