"""The note of a training's checkpoint: which files belong to it, and of which training they are.

Nothing here loads torch, so that the state of targets is told fast.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynvision.errors import DamagedFileError
from dynvision.system.failures import unreadable_file
from dynvision.system.file_digests import FileDigest, digest_file
from dynvision.system.files import digest_json, is_there, read_json

__all__ = ["NOTE", "TrainingNote", "checkpoint_folder", "read_note", "remove_checkpoints"]

NOTE = "checkpoint.json"
"""The file of the note in the hidden folder."""

_VERSION = 1
_CHECKSUM = "checksum"
_OWN_FILES = re.compile(r"checkpoint\.json|(state-|epoch=)\d+\.pt|\..+\.partial-[\w-]+")
_NOTHING_ELSE = "Nothing else depends on it."


def checkpoint_folder(output: Path) -> Path:
    """Return the hidden folder of the checkpoints of a training, given the folder of its output."""
    return output.with_name(f".{output.name}.training")


@dataclass(frozen=True)
class TrainingNote:
    """What a checkpoint is.

    Attributes:
        epoch: The last whole epoch.
        identity: Everything that determines the training.
        files: Size and digest of each file that belongs to it, by name.
    """

    epoch: int
    identity: Mapping[str, Any]
    files: Mapping[str, FileDigest]

    def to_dict(self) -> dict[str, Any]:
        """The note as JSON-ready values, with its checksum."""
        files = {name: list(digest) for name, digest in self.files.items()}
        value = {"version": _VERSION, "epoch": self.epoch, "identity": dict(self.identity), "files": files}
        return {**value, _CHECKSUM: digest_json(value)}

    def check(self, folder: Path, name: str) -> Path:
        """Compare a file with its digest, and return its path.

        Raises:
            DamagedFileError: If it is missing, unreadable or not as it was written.
        """
        path = folder / name
        try:
            actual = digest_file(path, afresh=True)
        except FileNotFoundError as error:
            raise DamagedFileError(f"{path} is missing") from error
        except OSError as error:
            raise unreadable_file(path, error, _NOTHING_ELSE) from error
        if actual != self.files[name]:
            raise DamagedFileError(f"{path} is damaged: its contents are not those that were written")
        return path


def read_note(folder: Path) -> TrainingNote | None:
    """Read the note of a checkpoint; `None` if there is none.

    Raises:
        DamagedFileError: If it is not as it was written.
        OSError: If it cannot be read.
    """
    path = folder / NOTE
    content = read_json(path)
    if content is None:
        if is_there(path):
            raise DamagedFileError(f"{path} is damaged: it is not the JSON that was written")
        return None
    value = {name: part for name, part in content.items() if name != _CHECKSUM}
    if content.get(_CHECKSUM) != digest_json(value) or value.get("version") != _VERSION:
        raise DamagedFileError(f"{path} is damaged, or of another version of this project")
    files = {name: FileDigest(*digest) for name, digest in value["files"].items()}
    return TrainingNote(value["epoch"], value["identity"], files)


def remove_checkpoints(folder: Path, but: Container[str] = ()) -> None:
    """Remove the files of checkpoints, the note first, and their folder if it is empty then.

    Args:
        folder: The hidden folder. What is in it besides checkpoints stays.
        but: Files that stay.

    Raises:
        OSError: If one cannot be removed.
    """
    try:
        names = sorted(path.name for path in folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in sorted(names, key=lambda name: name != NOTE):
        if _OWN_FILES.fullmatch(name) and name not in but:
            (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # It is not empty.
        folder.rmdir()
