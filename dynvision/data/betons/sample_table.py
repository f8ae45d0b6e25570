"""The table of samples of a `.beton` file, in its order: source, label, group label, the row of a stimulus set."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from dynvision.system.files import read_file, write_bytes

__all__ = ["digest_old_sidecar", "read_table", "table_path", "write_table"]


def table_path(path: Path) -> Path:
    """Return the table of a `.beton` file: `train.beton.samples.parquet` next to `train.beton`."""
    return path.with_name(path.name + ".samples.parquet")


def write_table(path: Path, samples: dict[str, list[Any]]) -> dict[str, Any]:
    """Write the table of a `.beton` file whole or not at all.

    Args:
        path: The `.beton` file.
        samples: The columns `source` (text), `label` and `group_label` (whole numbers), and those of a stimulus set,
            of equal length.

    Returns:
        The `bytes` and the `sha256` of the table, by which `read_table` recognizes it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"source": pa.string(), "label": pa.int64(), "group_label": pa.int64()}
    columns = {name: pa.array(column, types.get(name)) for name, column in samples.items()}
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer)
    content = buffer.getvalue().to_pybytes()
    write_bytes(table_path(path), content)
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def read_table(path: Path, sha256: object, with_samples: bool = True) -> dict[str, list[Any]] | None:
    """Read the table of a `.beton` file.

    Args:
        path: The `.beton` file.
        sha256: The SHA-256 of the table that belongs to it.
        with_samples: Read the columns; otherwise the table is only compared.

    Returns:
        The columns as lists, none without `with_samples`; `None` if the table is not the one with this digest.

    Raises:
        FileNotFoundError: If there is no table.
    """
    content = read_file(table_path(path))
    if hashlib.sha256(content).hexdigest() != sha256:
        return None
    if not with_samples:
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(content))
    # By way of NumPy, which makes a million values many times faster than `to_pylist`.
    return {name: table[name].to_numpy().tolist() for name in table.column_names}


def digest_old_sidecar(content: dict[str, Any]) -> str | None:
    """Return the digest of a sidecar that contains its table, as earlier versions wrote it.

    Args:
        content: The sidecar: `record`, `file` and `samples`.

    Returns:
        32 hexadecimal digits; `None` if the sidecar contains impossible values.
    """
    try:
        parts = [content["record"], content["file"], sorted(content["samples"])]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        for name, column in sorted(content["samples"].items()):  # of a million samples, in a fraction of a second
            digest.update(f"{name},{len(column)};".encode())
            digest.update("\0".join(column).encode() if name == "source" else np.asarray(column, np.int64).tobytes())
    except (TypeError, ValueError, AttributeError, OverflowError):
        return None
    return digest.hexdigest()[:32]
