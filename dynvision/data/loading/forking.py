"""How worker processes can be started safely from this process."""

from __future__ import annotations

import multiprocessing

__all__ = ["note_threads", "safe_start_method"]

_state = {"has_threads": False}


def note_threads() -> None:
    """Note that numba's threads ran in this process: a fork of it would wait for them forever."""
    _state["has_threads"] = True


def safe_start_method() -> str | None:
    """Return the start method for worker processes; `None` if torch's default is safe."""
    is_forking = multiprocessing.get_start_method(allow_none=True) in (None, "fork")
    can_serve = "forkserver" in multiprocessing.get_all_start_methods()
    return "forkserver" if _state["has_threads"] and is_forking and can_serve else None
