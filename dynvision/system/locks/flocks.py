"""The kernel's lock on a file. It is freed when its holder dies, however that happens."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path

__all__ = ["Flock"]

_BUSY = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK})

_REFUSED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What a file system without such locks says."""


class Flock:
    """A lock of the kernel on a file.

    On a file system that several machines share it may hold on one machine alone, without a word, or be refused.

    Args:
        path: The file; it is made, and stays.

    Attributes:
        is_refused: Whether the file system has no such locks.
        identity: The device and number of the locked file, as this machine sees it; `None` if it is not locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_refused = False
        self.identity: tuple[int, int] | None = None
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock if it is free; return whether it is held now, or refused by the file system.

        Raises:
            OSError: If the file cannot be opened or locked.
        """
        if self._descriptor is not None or self.is_refused:
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(self.path, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
            if status.st_nlink == 0:
                return False  # It was removed meanwhile, so this lock guards nothing.
            self.identity = (status.st_dev, status.st_ino)
            self._descriptor = descriptor
            return True
        except OSError as error:
            if error.errno in _REFUSED:
                self.is_refused = True
                return True
            if error.errno in _BUSY:
                return False
            raise
        finally:
            if self._descriptor is None:
                os.close(descriptor)

    def release(self) -> None:
        """Free the lock if it is held."""
        descriptor, self._descriptor, self.identity = self._descriptor, None, None
        if descriptor is not None:
            # Processes that were forked from this one have the descriptor, too: closing alone would not free it.
            with contextlib.suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def forget(self) -> None:
        """Close this process's copy of the lock, but leave it to the process that it was forked from."""
        descriptor, self._descriptor, self.identity = self._descriptor, None, None
        if descriptor is not None:
            os.close(descriptor)
