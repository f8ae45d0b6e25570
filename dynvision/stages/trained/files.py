"""The files of a model: its weights with their record, and what is read of them."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.models.weights_header import read_arrays
from dynvision.records import Record
from dynvision.system.file_digests import digest_files
from dynvision.system.files import make_directory, replace_directory, sync_tree, temporary_sibling, write_json

if TYPE_CHECKING:
    from dynvision.models.making.orders import MadeNetwork

__all__ = ["digest_weights", "read_first_kernels", "save_model"]


def save_model(folder: Path, made: MadeNetwork, record: Record) -> Record:
    """Write each set of weights of a network under its name, all with the record of the last one, `trained`.

    Args:
        folder: The folder of the model; it is there whole or not at all.
        made: The network with its weights.
        record: The record, without files.

    Returns:
        The record with the digests of the files.
    """
    from dynvision.models.loading import save_weights
    from dynvision.models.weights.filling import fill_network

    make_directory(folder.parent)
    temporary = temporary_sibling(folder)
    try:
        for name, weights in made.weights.items():
            fill_network(made.network, weights)
            save_weights(temporary / f"{name}.safetensors", made.network, record.to_dict())
        files = digest_files(temporary, sorted(f"{name}.safetensors" for name in made.weights))
        record = dataclasses.replace(record, files=files)
        write_json(temporary / "record.json", record.to_dict())
        sync_tree(temporary)
        replace_directory(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return record


def read_first_kernels(path: Path) -> Any:
    """Read the kernels of the first convolution, `[C_out, C_in, k, k]`; else the first matrix, as one kernel."""
    import numpy as np

    arrays = [value for value in read_arrays(path).values() if value.ndim in (2, 4)]
    kernels = next((value for value in arrays if value.ndim == 4), None)
    return kernels if kernels is not None else arrays[0][None, None] if arrays else np.zeros((1, 1, 1, 1))


def digest_weights(weights: dict[str, Any]) -> str:
    """Digest the names and values of weights, by their bytes: NumPy does not have all types."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
