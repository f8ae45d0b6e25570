"""Response stores: one Zarr (version 3) group for each condition, streamed, checked, then put in place.

A store is written beside its place and renamed when it is verified; `record.json` inside it is
written last. A store without that record is incomplete and no reader opens it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from dynvision.errors import DamagedFileError
from dynvision.experiments.journal import JOURNAL, BatchEntry, Journal
from dynvision.experiments.store_files import create_array, open_array, write_variables
from dynvision.experiments.store_layout import StoreLayout
from dynvision.system.files import make_directory, write_json

__all__ = [
    "StoreWriter",
    "consolidate_store",
    "digest_block",
    "digest_content",
    "discard_partial",
    "partial_path",
    "reject_partial",
    "verify_store",
    "write_skeleton",
]

RECORD = "record.json"
PENDING = "pending.json"


def partial_path(store: Path) -> Path:
    """Where a store is written before it is whole."""
    return store.with_name(f".{store.name}.partial")


def write_skeleton(
    folder: Path, layout: StoreLayout, layer_coordinates: Mapping[str, Mapping[str, tuple[Any, ...]]]
) -> None:
    """Write what the stores of all conditions begin with: the groups of the layers, and arrays without chunks.

    Args:
        folder: An empty folder.
        layout: The shape of the stores.
        layer_coordinates: For each layer its variables, as xarray takes them: name → (dimensions, values, attributes).
    """
    for layer in layout.layers:
        write_variables(folder / layer, layer_coordinates.get(layer, {}), {})
    for name, spec in layout.arrays.items():
        create_array(folder / name, layout, spec)


class StoreWriter:
    """Writes the responses of one condition, and goes on with what an interrupted run left.

    Args:
        store: Where the store will be; it is written to `partial_path(store)`.
        layout: Its shape.
        coordinates: The root's variables, as xarray takes them: name → (dimensions, values, attributes).
        skeleton: A folder with the layers' groups and the arrays, as `write_skeleton` makes it; it is copied.
        attributes: Everything needed to make the store again.
        header: What the numbers follow from; only a store with the same header is gone on with.
        fresh: Begin anew in any case.
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
            beginning = Path(temporary) / "store"
            write_variables(beginning, coordinates, attributes)
            if fresh or not self.journal.resume() or not _holds(self.folder, beginning, skeleton):
                discard_partial(store)
                make_directory(self.folder)
                for source in (beginning, skeleton):
                    _copy_files(source, self.folder)
                self.journal.begin()
        (self.folder / PENDING).unlink(missing_ok=True)
        self._arrays = {name: open_array(self.folder / name) for name in layout.arrays}

    @property
    def batches_done(self) -> int:
        """How many batches, from the first, are whole."""
        return len(self.journal.batches)

    def write(self, batch: int, start: int, arrays: Mapping[str, npt.NDArray[Any]]) -> list[Any]:
        """Begin to write a block; the arrays are written from where they are, and must not be changed any more.

        Args:
            batch: Which batch it is.
            start: The block's first recorded step.
            arrays: `[B, steps, …]` by the layout's names.

        Returns:
            Tensorstore's futures, which are done when the block is written.
        """
        first = batch * self.layout.batch_size
        writes = []
        for name, value in arrays.items():
            rows, steps = value.shape[:2]
            region = self._arrays[name][first : first + rows, start : start + steps]
            writes.append(region.write(value, can_reference_source_data_indefinitely=True).commit)
            writes[-1].force()
        return writes

    def note_batch(self, entry: BatchEntry) -> None:
        """Note that the next batch is written."""
        self.journal.append(entry)

    def finish(self, record: dict[str, Any], allow_nonfinite: bool = False) -> None:
        """Leave a note of what `verify_store` has to find."""
        pending = {
            "record": record,
            "batch_size": self.layout.batch_size,
            "block_steps": self.layout.block_steps,
            "shapes": {
                name: [self.layout.n_samples, self.layout.n_timesteps, *spec.trailing]
                for name, spec in self.layout.arrays.items()
            },
            "digest": "xxh3_128",
            "digests": self.digests,
            "allow_nonfinite": allow_nonfinite,
        }
        write_json(self.folder / PENDING, pending)

    @property
    def digests(self) -> dict[str, str]:
        """For each array one digest of the blocks written so far."""
        return {
            name: _join(itertools.chain.from_iterable(batch.digests[name] for batch in self.journal.batches))
            for name in self.layout.arrays
        }

    @property
    def content(self) -> str:
        """A digest of everything written so far."""
        return digest_content(self.digests)

    @property
    def averages(self) -> dict[str, npt.NDArray[np.float64]]:
        """The mean response of each layer at each recorded step, over the samples written so far."""
        done = min(self.batches_done * self.layout.batch_size, self.layout.n_samples)
        sums: dict[str, npt.NDArray[np.float64]] = {}
        for batch in self.journal.batches:
            for layer, values in batch.averages.items():
                sums[layer] = sums.get(layer, np.zeros(len(values))) + np.asarray(values)
        return {layer: total / done for layer, total in sums.items()}

    @property
    def rest(self) -> dict[str, float]:
        """The mean response of each layer at the last idle step, over the samples so far; empty without idle."""
        done = min(self.batches_done * self.layout.batch_size, self.layout.n_samples)
        layers = self.journal.batches[0].rest if self.journal.batches else {}
        return {layer: sum(batch.rest[layer] for batch in self.journal.batches) / done for layer in layers}

    @property
    def steps_computed(self) -> int:
        """Steps of the network that a trial took, in the company in which most were shown together."""
        return max((batch.steps for batch in self.journal.batches), default=0)


def digest_block(values: npt.NDArray[Any]) -> str:
    """A digest of a block's values, 128 bits of XXH3: ten times as fast as SHA-256, and as sure against accidents."""
    return xxhash.xxh3_128_hexdigest(_bytes_of(values))


def _bytes_of(values: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def _digest_block_of_before(values: npt.NDArray[Any]) -> str:
    return hashlib.sha256(_bytes_of(values)).hexdigest()


DIGESTS = {"xxh3_128": digest_block, "sha256": _digest_block_of_before}
"""How blocks are digested, by the name in a store's note; the stores of before have none, and SHA-256."""


def digest_content(digests: Mapping[str, str]) -> str:
    """One digest of all arrays of a store, from the digest of each."""
    together = "".join(f"{name}:{digest}" for name, digest in sorted(digests.items()))
    return hashlib.sha256(together.encode()).hexdigest()[:32]


def reject_partial(store: Path) -> None:
    """Make sure that what was written for a store is never resumed. The files stay for whoever wants to look."""
    for name in (JOURNAL, PENDING):
        (partial_path(store) / name).unlink(missing_ok=True)


def discard_partial(store: Path) -> None:
    """Delete what was written for a store: the journal first, so that a half-deleted store is never resumed."""
    reject_partial(store)
    shutil.rmtree(partial_path(store), ignore_errors=True)


def verify_store(folder: Path, only: Sequence[str] | None = None) -> dict[str, Any]:
    """Read a written store back and compare it with what was written.

    Args:
        folder: A store, or the partial one before it is put in place.
        only: These arrays; by default all.

    Returns:
        The note that `StoreWriter.finish` left.

    Raises:
        DamagedFileError: It is incomplete, not finite, has other shapes or other contents.
    """
    try:
        pending: dict[str, Any] = json.loads((folder / PENDING).read_text())
        shapes, wanted = pending["shapes"], pending["digests"]
        digest = DIGESTS[pending.get("digest", "sha256")]
        chunk = (int(pending["batch_size"]), int(pending["block_steps"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DamagedFileError(f"{folder} is incomplete: showing the stimuli did not finish. Run it again.") from error
    for name, shape in shapes.items():
        if only is not None and name not in only:
            continue
        digests = []
        try:
            for block in _read_blocks(folder / name, shape, chunk):
                if not pending["allow_nonfinite"] and block.dtype.kind == "f" and not np.isfinite(block).all():
                    raise DamagedFileError(f"{folder / name} holds responses that are not finite")
                digests.append(digest(block))
        except ValueError as error:
            raise DamagedFileError(f"{folder / name} cannot be read: {error}") from error
        if _join(digests) != wanted[name]:
            raise DamagedFileError(f"{folder / name} does not hold what was written. Run it again with --force.")
    return pending


def consolidate_store(folder: Path) -> None:
    """Gather the metadata of all arrays in one place, so that a store opens at once and without a warning."""
    import warnings

    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        warnings.filterwarnings("ignore", message="Object at .* is not recognized")
        zarr.consolidate_metadata(str(folder), zarr_format=3)


def _copy_files(source: Path, target: Path) -> None:
    """Copy what is in a folder into another; permissions are those that new files get there."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            shutil.copyfile(path, place)


def _holds(folder: Path, *beginnings: Path) -> bool:
    """Whether a store still has the coordinates and metadata that it began with: a power cut may have taken them."""
    for beginning in beginnings:
        for path in beginning.rglob("*"):
            place = folder / path.relative_to(beginning)
            if path.is_dir():
                continue
            try:
                found, wanted = place.read_bytes(), path.read_bytes()
                if place == folder / "zarr.json":  # it may hold the metadata of the whole store already
                    found, wanted = (
                        json.dumps(json.loads(content)["attributes"]).encode() for content in (found, wanted)
                    )
            except (OSError, ValueError, LookupError):
                return False
            if found != wanted:
                return False
    return True


def _join(digests: Iterator[str] | Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _read_blocks(path: Path, shape: list[int], chunk: tuple[int, int]) -> Iterator[npt.NDArray[Any]]:
    array = open_array(path)
    if list(array.shape) != shape:
        raise DamagedFileError(f"{path} has the shape {list(array.shape)} where {shape} was written")
    rows, steps = chunk
    for first in range(0, shape[0], rows):
        for start in range(0, shape[1], steps):
            region = (slice(first, min(first + rows, shape[0])), slice(start, min(start + steps, shape[1])))
            yield array[region].read().result()
