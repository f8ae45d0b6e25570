"""The journal of a store that is being written: what it is made from, and which batches are in it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dynvision.system.files import read_file
from dynvision.system.guards import check_guard
from dynvision.system.json_values import as_json, same_json

__all__ = ["JOURNAL", "BatchEntry", "Journal"]

JOURNAL = "journal.jsonl"
"""The name of the file in a store."""


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
    """

    def __init__(self, folder: Path, header: dict[str, Any]) -> None:
        self.path = folder / JOURNAL
        self.header = as_json(header)
        self.batches: list[BatchEntry] = []

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
        try:
            *lines, unfinished = read_file(self.path).split(b"\n")
            header, *entries = [json.loads(line) for line in lines]
            self.batches = [BatchEntry(**entry) for entry in entries]
        except (OSError, ValueError, TypeError):
            return False
        if not same_json(header, self.header):
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
