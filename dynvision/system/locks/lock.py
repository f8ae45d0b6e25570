"""The lock of one output: what takes it, gives signs of life, looks whether it is still held, and gives it back."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from dynvision.errors import DynvisionError, LockLostError
from dynvision.system.locks.flocks import Flock
from dynvision.system.locks.holders import REFRESH, Holder, lock_path, owner_path, read_note
from dynvision.system.locks.notes import compose_note, create_note, give_back, take_over, why_ended, why_suspended
from dynvision.system.locks.refreshing import start_refreshing, stop_refreshing

__all__ = ["LOOK", "OutputLock", "unusable"]

LOOK = 5.0
"""Seconds between two looks at the signs of life of a holder that is waited for."""


class OutputLock:
    """The lock of one output. Take it with `output_lock`.

    Args:
        output: The file or folder that is about to be written.
        refresh: Seconds between two signs of life. After 20 that fail to come, others take the lock over.
    """

    def __init__(self, output: Path, refresh: float = REFRESH) -> None:
        self.output = output
        self._refresh = refresh
        self._flock = Flock(lock_path(output))
        self._text = ""
        self._process = os.getpid()
        self._seen_at = 0.0
        self._watched: Holder | None = None
        self._watched_since = self._looked_at = 0.0

    def take(self) -> str | None:
        """Take the lock if it is free, or if its owner has ended.

        Returns:
            Who had it and why it was taken over, the end of a sentence; empty if it was free; `None` if it is held.

        Raises:
            OSError: If the lock cannot be used at all.
        """
        taken = None
        try:
            if self._flock.take():
                taken = self._take_note()
        finally:
            if taken is None:
                self._flock.release()
        if taken is not None:
            self._seen_at = _now()
            start_refreshing(self, self._refresh, self._give_sign_of_life)
        return taken

    def check(self, within: float = 0.0) -> None:
        """Make sure that this process still holds the lock.

        Args:
            within: For how many seconds after the last look none is needed.

        Raises:
            LockLostError: If another process has taken it over.
        """
        if within and _now() - self._seen_at < within:
            return
        try:
            holder = read_note(self.output)
        except OSError as error:
            raise unusable(self.output, error) from error
        if holder.text != self._text:
            raise LockLostError(_describe_loss(self.output, holder))
        self._seen_at = _now()

    @contextlib.contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Raise `LockLostError` in place of any error in the block if the lock was lost.

        Whoever takes a lock over removes the temporary files of the owner, who then finds that files are missing.
        """
        try:
            yield
        except LockLostError:
            raise
        except Exception as error:
            lost: LockLostError | None = None
            try:
                self.check()
            except LockLostError as loss:
                lost = loss
            except DynvisionError:
                pass  # The disk does not answer; the first error says more.
            if lost is not None:
                raise lost from error
            raise

    def release(self) -> None:
        """Free the lock, as far as this process holds it."""
        if os.getpid() != self._process:  # A process that was forked from the holder holds nothing.
            self._flock.forget()
            return
        stop_refreshing(self)
        if self._text:
            give_back(self.output, self._text)
        self._flock.release()

    def _take_note(self) -> str | None:
        holder = read_note(self.output)
        if holder.modified is None:
            self._text = compose_note(self._flock.identity, self._refresh)
            return "" if create_note(self.output, self._text) else None
        why = self._why_ended(holder)
        if not why:
            return None
        self._text = compose_note(self._flock.identity, self._refresh)
        return f"{holder}, {why}" if take_over(self.output, holder, self._text) else None

    def _why_ended(self, holder: Holder) -> str:
        """Say why the owner of a note has ended. The file system's clock is not asked at every look."""
        now = time.monotonic()  # It stands still while the machine sleeps.
        if holder != self._watched:
            self._watched, self._watched_since, self._looked_at = holder, now, -LOOK
        is_dead = holder.owner is not None and holder.owner.is_of_this_boot and holder.liveness == "dead"
        if not is_dead and now - self._looked_at < min(LOOK, holder.refresh):
            return ""
        self._looked_at = now
        why = why_ended(self.output, holder, self._flock.identity)
        return why or why_suspended(self.output, holder, now - self._watched_since)

    def _give_sign_of_life(self) -> None:
        with contextlib.suppress(OSError):  # It is tried again at the next turn.
            if read_note(self.output).text == self._text:
                os.utime(owner_path(self.output))
                self._seen_at = _now()


def unusable(output: Path, error: OSError) -> DynvisionError:
    """Return the error for a lock that cannot be used."""
    file = error.filename or lock_path(output)
    return DynvisionError(
        f"{output} cannot be locked, so it is not written: {file}: {error.strerror}. Change its "
        "permissions, make room, or set DYNVISION_ROOT to another disk."
    )


def _describe_loss(output: Path, holder: Holder) -> str:
    if holder.modified is None:
        who = "has been taken away from this process, by another one or by dynvision unlock --force"
    else:
        who = f"has been taken over by {holder}"
    return (
        f"{output}: its lock {who}: this process gave no sign of life for too long; the machine may have slept, or the "
        "disk not answered. Nothing was put in place, and what the other one writes is left alone. Run this again."
    )


def _now() -> float:
    """Return seconds on a clock that also runs while the machine sleeps, if there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
