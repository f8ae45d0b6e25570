"""What Dagster prints if it cannot write to its event log: its error follows anyway, and is said in a sentence."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

__all__ = ["quiet_event_log"]

COMPLAINT = "Exception while writing logger call to event log"


@contextlib.contextmanager
def quiet_event_log() -> Iterator[None]:
    """Drop what Dagster writes to standard error, with the whole statement, if its database refuses an event."""
    with contextlib.redirect_stderr(cast(TextIO, _Filtered(sys.stderr))):
        yield


class _Filtered:
    """Standard error without those complaints."""

    def __init__(self, stream: Any) -> None:
        self._wrapped = stream

    def write(self, text: str) -> int:
        return len(text) if text.startswith(COMPLAINT) else int(self._wrapped.write(text) or 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)
