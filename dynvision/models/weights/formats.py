"""The format of a file of weights, found by its content and not by its name."""

from __future__ import annotations

import zipfile
from pathlib import Path

from dynvision.errors import DamagedFileError, MissingError
from dynvision.system.failures import as_unreadable

__all__ = ["SAVE_AGAIN", "find_format"]

SAVE_AGAIN = "save network.state_dict() with torch.save, or as safetensors, and name that file"

_HEAD = 512

_COMPRESSED = "unpack it, and name the file inside"

_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", SAVE_AGAIN),
    (b"\x93NUMPY", "an array of NumPy", SAVE_AGAIN),
    (b"GGUF", "a GGUF file", SAVE_AGAIN),
    (b"MATLAB", "a MATLAB file", SAVE_AGAIN),
    (b"\x1f\x8b", "compressed by gzip", _COMPRESSED),
    (b"\xfd7zXZ", "compressed by xz", _COMPRESSED),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", _COMPRESSED),
    (b"BZh", "compressed by bzip2", _COMPRESSED),
    (b"Rar!", "a RAR archive", _COMPRESSED),
    (b"7z\xbc\xaf", "a 7z archive", _COMPRESSED),
    (b"version https://git-lfs", "only a pointer of Git LFS", "fetch the file itself (git lfs pull)"),
    (b"<!doctype html", "a web page", "the download went wrong; download the file again"),
    (b"<html", "a web page", "the download went wrong; download the file again"),
)
"""How a file of another kind begins, what it is, and what to do."""

_SUFFIXES = {
    ".pb": "a TensorFlow graph",
    ".index": "the index of a TensorFlow checkpoint",
    ".onnx": "an ONNX graph",
    ".tflite": "a TensorFlow Lite model",
    ".msgpack": "a Flax file",
    ".mlmodel": "a Core ML model",
}
"""Kinds of files that have no bytes to tell them by."""

_MEMBERS: tuple[tuple[str, str], ...] = (
    ("constants.pkl", "a TorchScript archive (torch.jit.save), which holds code"),
    ("serialized_exported_program.json", "a program of torch.export, which holds code"),
    ("models/model.json", "a program of torch.export, which holds code"),
    ("model.weights.h5", "a Keras model"),
)
"""The files in a zip archive that say what it is."""


def find_format(path: Path) -> str:
    """Return the format of a file of weights: `safetensors`, `zip` (torch's own) or `pickle` (torch's older one).

    Args:
        path: The file, whatever its name ends in.

    Raises:
        MissingError: If the file does not exist.
        DamagedFileError: If it is of another kind, or empty; the message says which kind and what to do.
    """
    if path.is_dir():
        raise _refuse(path, "a folder", "name the file of weights in it")
    if not path.is_file():
        raise MissingError(
            f"the checkpoint {path} does not exist. Put it there, or change 'checkpoint' in config_models.yaml."
        )
    head, size = _read_head(path)
    if not head:
        raise _refuse(path, "an empty file", "download or copy it again")
    if head[:4] == b"PK\x03\x04":
        _check_members(path)
        return "zip"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= max(size, 1 << 27):
        return "safetensors"
    _check_magic(path, head)
    return "pickle"


def _read_head(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD), path.stat().st_size
    except OSError as error:
        text = f"the checkpoint {path} cannot be read: {error}"
        raise as_unreadable(error, text) or DamagedFileError(text) from error


def _check_members(path: Path) -> None:
    """Raise if a zip archive is not one that torch.save wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DamagedFileError(f"the checkpoint {path} cannot be read: {error}. Download or copy it again.") from error
    for member, kind in _MEMBERS:
        if any(name == member or name.endswith(f"/{member}") for name in names):
            raise _refuse(path, kind, SAVE_AGAIN)
    if names and all(name.endswith(".npy") for name in names):
        raise _refuse(path, "an archive of NumPy arrays (npz)", SAVE_AGAIN)
    if not any(name.endswith("data.pkl") for name in names):
        raise _refuse(path, "a zip archive of other files", _COMPRESSED)


def _check_magic(path: Path, head: bytes) -> None:
    """Raise if the first bytes, or else the name, are those of another kind of file."""
    lower = head.lstrip().lower()
    for magic, kind, advice in _MAGIC:
        if head.startswith(magic) or (magic.startswith(b"<") and lower.startswith(magic)):
            raise _refuse(path, kind, advice)
    if head[257:262] == b"ustar":
        raise _refuse(path, "a tar archive", _COMPRESSED)
    if lower.startswith(b"{"):
        advice = "join the weights that it lists into one state dict, save that, and name its file"
        raise _refuse(path, "a JSON file (the index of weights in several files, or settings)", advice)
    if head[:1] != b"\x80":  # how a pickle begins
        part = "a part of a TensorFlow checkpoint" if ".data-" in path.name else "of an unknown kind"
        raise _refuse(path, _SUFFIXES.get(path.suffix.lower(), part), SAVE_AGAIN)


def _refuse(path: Path, kind: str, advice: str) -> DamagedFileError:
    return DamagedFileError(f"the checkpoint {path} is {kind}, not a file of torch or safetensors: {advice}.")
