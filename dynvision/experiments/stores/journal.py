"""The journal of a store that is being written: what it is made from, and which batches are in it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dynvision.system.files import read_file
from dynvision.system.guards import check_guard
from dynvision.system.json_values import as_json, changed_keys, same_json

__all__ = ["JOURNAL", "BatchEntry", "Journal", "read_header"]

JOURNAL = "journal.jsonl"
"""The name of the file in a store."""


_MOST_NAMED = 6
"""So many differences between two headers are named."""

_LONGEST_SHOWN = 24
"""Values of so many characters are shown with the difference."""


@dataclass(frozen=True)
class BatchEntry:
    """A batch whose responses are all in the store.

    Attributes:
        digests: For each array the digests of its blocks of time, in order.
        averages: For each layer the mean response at each recorded step, summed over the batch's trials; by
            `<run>/<layer>` that of the runs that the condition is compared with.
        steps: How many steps of the network were computed for the batch, for all conditions shown together.
        image_contrasts: The RMS contrast of the images of each trial, shape `[B]` or `[B, K]`.
    """

    digests: dict[str, list[str]]
    averages: dict[str, list[float]]
    steps: int = 0
    image_contrasts: list[Any] = field(default_factory=list)


class Journal:
    """A file of lines: the header first, then one line for each batch, written once the batch is on the disk.

    Args:
        folder: The folder of the store.
        header: Everything that the numbers follow from; only a store with the same header is resumed.

    Attributes:
        batches: The batches that are in the store.
        obstacle: Why the batches that an interrupted run left cannot be used; empty if there are none, or they can.
    """

    def __init__(self, folder: Path, header: dict[str, Any]) -> None:
        self.path = folder / JOURNAL
        self.header = as_json(header)
        self.batches: list[BatchEntry] = []
        self.obstacle = ""

    def begin(self) -> None:
        """Write the header of a new store."""
        check_guard(self.path)
        self.path.write_text(json.dumps(self.header) + "\n")
        self.batches = []

    def resume(self) -> bool:
        """Read what an interrupted run left. If the run was killed while it wrote a line, cut that line off.

        Returns:
            Whether the store can be resumed: its journal can be read and has the same header.
        """
        lines: list[bytes] = []
        try:
            *lines, unfinished = read_file(self.path).split(b"\n")
            header, *entries = [json.loads(line) for line in lines]
            self.batches = [BatchEntry(**entry) for entry in entries]
        except (OSError, ValueError, TypeError):
            self.obstacle = "cannot be read" if len(lines) > 1 else ""
            return False
        if not same_json(header, self.header):
            self.obstacle = f"is of a recording with other {_name_changes(header, self.header)}" if entries else ""
            return False
        if unfinished:
            os.truncate(self.path, self.path.stat().st_size - len(unfinished))
        return True

    def append(self, entry: BatchEntry) -> None:
        """Add the next batch.

        Raises:
            LockLostError: If another process has taken over the lock of the store.
        """
        check_guard(self.path)
        with self.path.open("ab") as file:
            file.write(json.dumps(asdict(entry)).encode() + b"\n")
        self.batches.append(entry)


def read_header(folder: Path) -> dict[str, Any]:
    """Return the header of the journal in the folder of a store; nothing if it cannot be read."""
    try:
        header = json.loads(read_file(folder / JOURNAL).split(b"\n", 1)[0])
    except (OSError, ValueError):
        return {}
    return header if isinstance(header, dict) else {}


def _name_changes(before: Any, now: Mapping[str, Any]) -> str:
    """Name what differs between two headers, one level down; short values are shown."""
    first, second = _flatten(before), _flatten(now)
    changed = changed_keys(first, second)
    shown = [
        f"{key} ({first[key]}, now {second[key]})" if _is_short(first.get(key)) and _is_short(second.get(key)) else key
        for key in changed[:_MOST_NAMED]
    ]
    return ", ".join([*shown, *(["…"] if len(changed) > _MOST_NAMED else [])])


def _flatten(header: Any) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in header.items() if isinstance(header, dict) else ():
        flat |= value if isinstance(value, dict) and key != "inputs" else {key: value}
    return flat


def _is_short(value: Any) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= _LONGEST_SHOWN
