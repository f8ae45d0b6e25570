"""The state of a target: whether it is up to date, and if it is not, why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dynvision.errors import UnreadableError
from dynvision.targets import Target

__all__ = ["Status", "check_readable", "compare_inputs"]


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


def compare_inputs(recorded: Iterable[str], upstream: Sequence[Target]) -> str:
    """Say which inputs were added and which were removed, by the first of each."""
    before, now = dict.fromkeys(recorded), dict.fromkeys(map(str, upstream))
    changes = []
    for names, verb in (([n for n in now if n not in before], "new"), ([n for n in before if n not in now], "gone")):
        if names:
            more = f" and {len(names) - 1} more are" if len(names) > 1 else " is"
            changes.append(f"{names[0]}{more} {verb}")
    return ", ".join(changes)
