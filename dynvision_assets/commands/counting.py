"""How many partitions of each asset are up to date, stale, damaged or missing, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dynvision.system.escaping import show_text

if TYPE_CHECKING:
    from dynvision.targets import Target
    from dynvision.workspace import Status, Workspace

__all__ = ["STATES", "count_states", "explain_states"]

STATES = ("fresh", "stale", "damaged", "missing")

_NOT_BUILT = "it has not been built"
_MOST_NAMED = 5
"""How many assets of a stage of which nothing has been built have a line each."""

_LINK = re.compile(r"(\S+ is (?:stale|missing|damaged): )(.*)", re.DOTALL)
"""One link of a chain of reasons, and the rest of it."""


def count_states(workspace: Workspace, keys: Sequence[tuple[str, ...]]) -> list[dict[str, Any]]:
    """Return a row for each asset: its key, and how many of its partitions are in each state."""
    known: dict[Target, Status] = {}
    rows = []
    for key in keys:
        states: list[str] = [workspace.status(target, known).state for target in workspace.targets(key)]
        counts = {state: states.count(state) for state in STATES}
        own = workspace.stages[key[0]].description(key)
        described = {"description": own} if own else {}
        rows.append({"key": "/".join(key), "partitions": len(states), **counts, **described})
    return rows


def explain_states(states: Mapping[Target, Status]) -> Iterator[str]:
    """Yield a line for each asset that is not up to date: how many partitions are in which state, and the first reason.

    The state and the reason are those of what needs most to be done.
    """
    by_key: dict[tuple[str, ...], list[Status]] = {}
    for target, state in states.items():
        by_key.setdefault(target.key, []).append(state)
    untouched = {key for key, of_asset in by_key.items() if all(state.reason == _NOT_BUILT for state in of_asset)}
    for stage in dict.fromkeys(key[0] for key in by_key):
        keys = [key for key in by_key if key[0] == stage]
        absent = [key for key in keys if key in untouched]
        if is_many := len(absent) > _MOST_NAMED:
            yield f"missing  {stage}: {len(absent)} of {len(keys)} assets have not been built (dynvision list {stage})"
        for key in keys:
            if not (is_many and key in untouched):
                yield from _explain_asset(key, by_key[key])


def _explain_asset(key: tuple[str, ...], of_asset: Sequence[Status]) -> Iterator[str]:
    """Yield the line of an asset, unless all of it is up to date."""
    counts = {name: sum(state.state == name for state in of_asset) for name in ("damaged", "missing", "stale")}
    worst = next((name for name, count in counts.items() if count), None)
    if worst is None:
        return
    reason = show_text(_shorten(next(state.reason for state in of_asset if state.state == worst)))
    several = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    whole = f"{len(of_asset)} partitions"
    parts = f" ({whole if counts[worst] == len(of_asset) else f'{several} of {whole}'})"
    count = parts if len(of_asset) > 1 else ""
    yield f"{worst:8} {'/'.join(key)}{count}: {reason}"


def _shorten(reason: str) -> str:
    """Leave out of a chain of reasons what lies before its last link; those assets have lines of their own."""
    last = ""
    while link := _LINK.fullmatch(reason):
        last, reason = link.groups()
    return f"{last}{reason}"
