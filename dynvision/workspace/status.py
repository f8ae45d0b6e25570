"""The state of a target: whether it is up to date, and if it is not, why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dynvision.errors import UnreadableError
from dynvision.targets import Target

__all__ = ["Status", "check_readable"]


@dataclass(frozen=True)
class Status:
    """Whether a target is up to date, and if it is not, why.

    Attributes:
        state: `fresh`, `missing`, `stale` or `damaged`: a file of it, or its record, is not the one that was written.
        reason: One sentence; empty if it is fresh.
        data_version: The version of the existing output; `None` if there is none.
        unreadable: Whether it is `damaged` only in so far as it cannot be read now: a permission is missing, the disk
            does not answer. It is not built again unless that is forced.
    """

    state: Literal["fresh", "missing", "stale", "damaged"]
    reason: str = ""
    data_version: str | None = None
    unreadable: bool = False


def check_readable(target: Target, status: Status) -> None:
    """Raise if a target exists but cannot be read: building it again might replace what is whole.

    Raises:
        UnreadableError: If it cannot be read; says how to build it all the same.
    """
    if status.unreadable:
        raise UnreadableError(
            f"{target}: {status.reason} It is not built again, because it may be whole; to build it all the same: "
            f"dynvision make --force {target}"
        )
