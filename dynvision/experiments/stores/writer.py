"""Writing the store of a condition, block by block, so that an interrupted run can be resumed."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.experiments.stores.files import create_array, fill_variable, open_array, write_variables
from dynvision.experiments.stores.journal import BatchEntry, Journal
from dynvision.experiments.stores.layout import IMAGE_CONTRAST, REFERENCES, StoreLayout
from dynvision.experiments.stores.store import (
    DIGEST,
    PENDING,
    digest_content,
    discard_partial,
    join_digests,
    partial_path,
)
from dynvision.system.files import make_directory, write_json
from dynvision.system.guards import check_guard

__all__ = ["StoreWriter", "write_skeleton"]

_LOOK = 5.0
"""Seconds between two looks at whether the lock of a store is still held, while blocks are written."""


def write_skeleton(
    folder: Path, layout: StoreLayout, layer_coordinates: Mapping[str, Mapping[str, tuple[Any, ...]]]
) -> None:
    """Write what the stores of all conditions start with: the groups of the layers, and arrays without chunks.

    Args:
        folder: An empty folder.
        layout: The shape of the stores.
        layer_coordinates: For each layer its variables, as xarray takes them: name → (dimensions, values, attributes).
    """
    for layer in layout.layers:
        write_variables(folder / layer, layer_coordinates.get(layer, {}), {})
    for name in layout.references:
        write_variables(folder / name, {}, {"long_name": REFERENCES[name]})
    for name, spec in layout.arrays.items():
        create_array(folder / name, layout, spec)


class StoreWriter:
    """Writes the responses of one condition, and resumes what an interrupted run left.

    Args:
        store: Where the store will be; it is written to `partial_path(store)`.
        layout: Its shape.
        coordinates: The root's variables, as xarray takes them: name → (dimensions, values, attributes).
        skeleton: A folder with the layers' groups and the arrays, as `write_skeleton` makes it; it is copied.
        attributes: Everything needed to make the store again.
        header: What the numbers follow from; only a store with the same header is resumed.
        fresh: Resume nothing.

    Attributes:
        folder: Where the store is written.
        discarded: Why the batches that an interrupted run left were thrown away; empty if none were, or it was asked.
    """

    def __init__(
        self,
        store: Path,
        layout: StoreLayout,
        *,
        coordinates: Mapping[str, tuple[Any, ...]],
        skeleton: Path,
        attributes: Mapping[str, Any],
        header: Mapping[str, Any],
        fresh: bool = False,
    ) -> None:
        self.folder, self.layout = partial_path(store), layout
        self.journal = Journal(self.folder, dict(header))
        with TemporaryDirectory() as temporary:
            root = Path(temporary) / "store"
            write_variables(root, coordinates, attributes)
            is_resumed = not fresh and self.journal.resume()
            self.discarded = self.journal.obstacle
            if is_resumed and not _is_intact(self.folder, root, skeleton):
                is_resumed = False
                self.discarded = "has lost coordinates, or has other ones" if self.journal.batches else ""
            if not is_resumed:
                discard_partial(store)
                make_directory(self.folder)
                for source in (root, skeleton):
                    _copy_files(source, self.folder)
                self.journal.begin()
        (self.folder / PENDING).unlink(missing_ok=True)
        self._arrays = {name: open_array(self.folder / name) for name in layout.arrays}

    @property
    def batches_done(self) -> int:
        """How many batches, counted from the first, are whole."""
        return len(self.journal.batches)

    def write(self, batch: int, start: int, arrays: Mapping[str, npt.NDArray[Any]]) -> list[Any]:
        """Start to write a block. The arrays are not copied: do not change them until the block is written.

        Args:
            batch: The number of the batch.
            start: The block's first recorded step.
            arrays: `[B, steps, …]` by the layout's names.

        Returns:
            Tensorstore's futures, done when the block is written.

        Raises:
            LockLostError: If another process has taken over the lock of the store.
        """
        check_guard(self.folder, _LOOK)
        first = batch * self.layout.batch_size
        writes = []
        for name, value in arrays.items():
            rows, steps = value.shape[:2]
            region = self._arrays[name][first : first + rows, start : start + steps]
            writes.append(region.write(value, can_reference_source_data_indefinitely=True).commit)
            writes[-1].force()
        return writes

    def note_batch(self, entry: BatchEntry) -> None:
        """Record in the journal that the next batch is written."""
        self.journal.append(entry)

    def finish(self, record: dict[str, Any], allow_nonfinite: bool = False) -> None:
        """Write the contrast of the images, what `verify_store` has to find, and the record of the store."""
        if (self.folder / IMAGE_CONTRAST).exists():
            fill_variable(self.folder / IMAGE_CONTRAST, self.image_contrasts)
        pending = {
            "record": record,
            "batch_size": self.layout.batch_size,
            "block_steps": self.layout.block_steps,
            "shapes": {
                name: [self.layout.n_samples, self.layout.n_timesteps, *spec.trailing]
                for name, spec in self.layout.arrays.items()
            },
            "digest": DIGEST,
            "digests": self.digests,
            "allow_nonfinite": allow_nonfinite,
        }
        write_json(self.folder / PENDING, pending)

    @property
    def digests(self) -> dict[str, str]:
        """For each array one digest of the blocks written so far."""
        return {
            name: join_digests(itertools.chain.from_iterable(batch.digests[name] for batch in self.journal.batches))
            for name in self.layout.arrays
        }

    @property
    def content(self) -> str:
        """A digest of everything written so far."""
        return digest_content(self.digests)

    @property
    def averages(self) -> dict[str, npt.NDArray[np.float64]]:
        """The mean response of each layer at each recorded step, shape `[T]`, over the samples written so far.

        By `<run>/<layer>` there are those of the runs that the condition is compared with.
        """
        done = min(self.batches_done * self.layout.batch_size, self.layout.n_samples)
        sums: dict[str, npt.NDArray[np.float64]] = {}
        for batch in self.journal.batches:
            for layer, values in batch.averages.items():
                sums[layer] = sums.get(layer, np.zeros(len(values))) + np.asarray(values)
        return {layer: total / done for layer, total in sums.items()}

    @property
    def image_contrasts(self) -> npt.NDArray[np.float64]:
        """The RMS contrast of the images of each trial written so far: shape `[N]` or `[N, K]`."""
        values = [trial for batch in self.journal.batches for trial in batch.image_contrasts]
        return np.asarray(values, dtype=np.float64)

    @property
    def steps_computed(self) -> int:
        """Steps that the network took for a batch: the most of any run, as a resumed one may show fewer conditions."""
        return max((batch.steps for batch in self.journal.batches), default=0)


def _copy_files(source: Path, target: Path) -> None:
    """Copy the contents of a folder into another, with the permissions that new files get there."""
    for path in sorted(source.rglob("*")):
        copy = target / path.relative_to(source)
        if path.is_dir():
            copy.mkdir(exist_ok=True)
        else:
            shutil.copyfile(path, copy)


def _is_intact(folder: Path, *originals: Path) -> bool:
    """Tell whether a store still has the coordinates and metadata it started with; a power cut may have taken them."""
    for original in originals:
        for path in original.rglob("*"):
            copy = folder / path.relative_to(original)
            if path.is_dir() or path.is_relative_to(original / IMAGE_CONTRAST / "c"):
                continue  # The values of the latter are filled in at the end.
            try:
                content, wanted = copy.read_bytes(), path.read_bytes()
                if copy == folder / "zarr.json":  # it may hold the metadata of the whole store already
                    content, wanted = _read_attributes(content), _read_attributes(wanted)
            except (OSError, ValueError, LookupError):
                return False
            if content != wanted:
                return False
    return True


def _read_attributes(metadata: bytes) -> bytes:
    return json.dumps(json.loads(metadata)["attributes"]).encode()
