"""Response stores: one Zarr (version 3) group for each condition, streamed, checked, then put in place.

A store is written beside its place and renamed when it is verified; `record.json` inside it is
written last. A store without that record is incomplete and no reader opens it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.errors import DamagedFileError, DataError

__all__ = ["ArrayLayout", "StoreWriter", "digest_content", "partial_path", "verify_store"]

RECORD = "record.json"
PENDING = "pending.json"

ArrayLayout = dict[str, tuple[int, ...]]
"""Trailing shape (after sample and time) of each array, by `layer/variable`."""

_TRAILING_DIMENSIONS = {1: ("channel",), 3: ("channel", "y", "x")}


def partial_path(store: Path) -> Path:
    """Where a store is written before it is whole."""
    return store.with_name(f".{store.name}.partial")


class StoreWriter:
    """Writes the responses of one condition, batch after batch.

    Args:
        store: Where the store will be; it is written to `partial_path(store)`.
        layout: The arrays.
        n_samples: Samples in all.
        n_timesteps: Recorded steps.
        batch_size: Samples a chunk.
        dtype: `float32` or `float16`.
        coordinates: The root's variables, as xarray takes them: name → (dimensions, values, attributes).
        attributes: Everything needed to make the store again.
    """

    def __init__(
        self,
        store: Path,
        layout: ArrayLayout,
        *,
        n_samples: int,
        n_timesteps: int,
        batch_size: int,
        dtype: str,
        coordinates: Mapping[str, tuple[Any, ...]],
        attributes: Mapping[str, Any],
    ) -> None:
        import xarray
        import zarr.codecs

        self.folder = partial_path(store)
        self.dtype = np.dtype(dtype)
        self._digests = {name: hashlib.sha256() for name in layout}
        root = xarray.Dataset(coords=dict(coordinates), attrs=dict(attributes))
        # Checksums in the store itself: a flipped byte in a label is an error at reading, not another number.
        checked = {"compressors": (zarr.codecs.ZstdCodec(level=1), zarr.codecs.Crc32cCodec())}
        encoding = {str(name): checked for name in root.variables}
        root.to_zarr(self.folder, mode="w", zarr_format=3, consolidated=False, encoding=encoding)
        for layer in dict.fromkeys(name.rpartition("/")[0] for name in layout if "/" in name):
            _write_group(self.folder / layer)
        self._arrays = {
            name: _create_array(self.folder / name, (n_samples, n_timesteps, *trailing), batch_size, dtype)
            for name, trailing in layout.items()
        }
        self._shapes = {name: [n_samples, n_timesteps, *trailing] for name, trailing in layout.items()}
        self._writes: list[Any] = []

    def write(self, start: int, values: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Write a batch.

        Args:
            start: The first sample's place.
            values: For each array `[B, T, …]`.

        Raises:
            DataError: A response is not finite; names layer, step and sample.
        """
        self._wait()
        for name, value in values.items():
            with np.errstate(over="ignore"):
                kept = np.ascontiguousarray(value, dtype=self.dtype)
            if not np.isfinite(kept).all():
                sample, step, *_ = np.argwhere(~np.isfinite(kept))[0]
                raise DataError(
                    f"the response of '{name.rpartition('/')[0] or name}' is not finite at sample {start + sample}, "
                    f"recorded step {step} ({self.folder.name}). Check the network's weights and stability; "
                    "float16 overflows above 65504."
                )
            self._digests[name].update(kept.tobytes())
            self._writes.append(self._arrays[name][start : start + len(kept)].write(kept))

    def finish(self, record: dict[str, Any]) -> None:
        """Wait for all writes and leave a note of what `verify_store` has to find."""
        self._wait()
        digests = {name: digest.hexdigest() for name, digest in self._digests.items()}
        pending = {"record": record, "shapes": self._shapes, "dtype": self.dtype.name, "digests": digests}
        (self.folder / PENDING).write_text(json.dumps(pending))

    @property
    def content(self) -> str:
        """A digest of everything written so far."""
        return digest_content({name: digest.hexdigest() for name, digest in self._digests.items()})

    def _wait(self) -> None:
        for write in self._writes:
            write.result()
        self._writes.clear()


def digest_content(digests: Mapping[str, str]) -> str:
    """One digest of all arrays of a store, from the digest of each."""
    together = "".join(f"{name}:{digest}" for name, digest in sorted(digests.items()))
    return hashlib.sha256(together.encode()).hexdigest()[:32]


def verify_store(folder: Path) -> dict[str, Any]:
    """Read a written store back and compare it with what was written.

    Args:
        folder: A store, or the partial one before it is put in place.

    Returns:
        The note that `StoreWriter.finish` left.

    Raises:
        DamagedFileError: It is incomplete, not finite, has other shapes or other contents.
    """
    try:
        pending: dict[str, Any] = json.loads((folder / PENDING).read_text())
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{folder} is incomplete: showing the stimuli did not finish. Run it again.") from error
    for name, shape in pending["shapes"].items():
        digest = hashlib.sha256()
        try:
            for rows in _read_rows(folder / name, shape):
                if not np.isfinite(rows).all():
                    raise DamagedFileError(f"{folder / name} holds responses that are not finite")
                digest.update(np.ascontiguousarray(rows).tobytes())
        except ValueError as error:
            raise DamagedFileError(f"{folder / name} cannot be read: {error}") from error
        if digest.hexdigest() != pending["digests"][name]:
            raise DamagedFileError(f"{folder / name} does not hold what was written. Run it again with --force.")
    return pending


def _read_rows(path: Path, shape: list[int]) -> Iterator[npt.NDArray[Any]]:
    array = _open_array(path)
    if list(array.shape) != shape:
        raise DamagedFileError(f"{path} has the shape {list(array.shape)} where {shape} was written")
    step = array.chunk_layout.write_chunk.shape[0]
    for start in range(0, shape[0], step):
        yield array[start : min(start + step, shape[0])].read().result()


def _open_array(path: Path) -> Any:
    import tensorstore

    return tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}}).result()


def _create_array(path: Path, shape: tuple[int, ...], batch_size: int, dtype: str) -> Any:
    """Chunks hold a batch: all of its steps, or for whole units one step, packed into one file."""
    import tensorstore

    spatial = len(shape) == 5
    rows = min(batch_size, shape[0])
    whole = [rows, *shape[1:]]
    inner: list[Any] = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 1, "checksum": False}},
        {"name": "crc32c"},
    ]
    codecs = inner
    if spatial:
        one_step = [rows, 1, *shape[2:]]
        codecs = [{"name": "sharding_indexed", "configuration": {"chunk_shape": one_step, "codecs": inner}}]
    metadata = {
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": whole}},
        "codecs": codecs,
        "fill_value": "NaN",
        "dimension_names": ["sample", "time", *_trailing_names(path.name, len(shape) - 2)],
    }
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path)}, "metadata": metadata, "create": True}
    return tensorstore.open(spec).result()


def _trailing_names(name: str, count: int) -> tuple[str, ...]:
    if name == "scores":
        return ("class",)
    return _TRAILING_DIMENSIONS.get(count, tuple(f"axis{i}" for i in range(count)))


def _write_group(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {}}))
