"""Files that hold no weights, or something that runs: each is refused in one sentence."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dynvision.errors import DamagedFileError, DynvisionError
from dynvision.models.checkpoint import load_checkpoint
from tests.helpers.checkpoints import (
    OPTIMIZER,
    READ,
    TRAINED,
    WEIGHTS,
    Mood,
    assert_same,
    make_network,
)


def npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, weight=np.ones(2))


def zipped(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "x")

    return write


def saved(content: Any, **options: Any) -> Callable[[Path], None]:
    return lambda path: torch.save(content, path, **options)


def written(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None  # type: ignore[func-returns-value]


def truncated(save: Callable[[Any, Any], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        save(dict(WEIGHTS), path)
        path.write_bytes(path.read_bytes()[:-100])

    return write


class Evil:
    """Code in a pickle."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('code of the file was run')",)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a network as code": (
        saved(TRAINED),
        r"but it is a torch\.nn\.modules\.container\.Sequential as code, and it is not",
    ),
    "a network as code under a key": (
        saved({"model": TRAINED, "optimizer": OPTIMIZER}),
        r"but 'model' in it is a torch\.nn\.modules\.container\.Sequential as code",
    ),
    "a network as code, old": (saved(TRAINED, _use_new_zipfile_serialization=False), "holds more than tensors"),
    "code": (saved({"model": Evil()}), "holds no state dict"),
    "code of the system": (saved({"model": io.open_code}), "holds no state dict"),
    "an optimizer without state": (saved({"optimizer": {"lr": 0.1}}), "holds no state dict"),
    "a number": (saved(torch.tensor(1.0)), "holds no state dict"),
    "TorchScript": (zipped("w/constants.pkl", "w/data.pkl"), "is a TorchScript archive"),
    "a plain pickle": (written(pickle.dumps({"w": np.ones(2)})), "is written with another pickle protocol"),
    "pickle protocol 5": (saved(WEIGHTS, pickle_protocol=5), "is written with another pickle protocol"),
    "HDF5": (written(b"\x89HDF\r\n\x1a\n" + bytes(900)), "is an HDF5 file"),
    "npz": (npz, r"is an archive of NumPy arrays \(npz\)"),
    "npy": (lambda path: np.save(path.open("wb"), np.ones(2)), "is an array of NumPy"),
    "a zip archive": (zipped("w.txt"), "is a zip archive of other files"),
    "gzip": (written(b"\x1f\x8b" + bytes(900)), "is compressed by gzip, .*unpack it"),
    "a pointer": (written(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "only a pointer of Git LFS"),
    "a web page": (written(b"\n<!DOCTYPE html><html></html>"), "is a web page"),
    "an index of shards": (
        written(b'{"weight_map": {"a": "b.safetensors"}}'),
        r"is a JSON file \(the index of weights",
    ),
    "nothing": (written(b""), "is an empty file"),
    "noise": (written(bytes(range(7, 256)) * 4), "is of an unknown kind"),
    "text": (written(b"my weights are 3 and 4\n"), "is of an unknown kind"),
    "a part of a torch file": (truncated(torch.save), "cannot be read"),
    "a part of a safetensors file": (truncated(save_file), "cannot be read"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_files_are_refused_in_one_sentence(tmp_path, kind):
    make, message = REFUSED[kind]
    make(tmp_path / "w.bin")
    with pytest.raises(DynvisionError, match=message) as error:
        load_checkpoint(tmp_path / "w.bin", make_network())
    assert isinstance(error.value, DamagedFileError)
    assert "\n" not in str(error.value)


def test_code_beside_the_weights_is_never_run(tmp_path):
    torch.save({"model": WEIGHTS, "settings": Evil(), "hook": io.open_code}, tmp_path / "w.pt")
    network = make_network()
    load_checkpoint(tmp_path / "w.pt", network)
    assert_same(network)


def test_what_torch_may_load_is_as_before(tmp_path):
    torch.serialization.add_safe_globals([Mood])
    try:
        before = torch.serialization.get_safe_globals()
        torch.save(READ["lightning"], tmp_path / "w.pt")
        load_checkpoint(tmp_path / "w.pt", make_network())
        assert set(torch.serialization.get_safe_globals()) == set(before)
    finally:
        torch.serialization.clear_safe_globals()
