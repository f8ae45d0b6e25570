"""Checkpoints of a training: written whole or not at all, and read only if they are of the same training and undamaged.

They lie in a hidden folder next to the output. A small JSON file says which files belong together, with their digests:

    .all_s0.training/checkpoint.json    the training, the epoch, the files, a checksum
    .all_s0.training/state-7.pt         everything that the rest of the training follows from
    .all_s0.training/epoch=3.pt         weights that are kept, written once
"""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dynvision.errors import DamagedFileError, DynvisionError, LockLostError
from dynvision.models.making.notes import NOTE, TrainingNote, read_note, remove_checkpoints
from dynvision.models.making.packing import UnpackableError
from dynvision.system.failures import find_machine_error, last_line
from dynvision.system.file_digests import FileDigest, digest_file
from dynvision.system.files import make_directory, replace_file, temporary_sibling, write_json
from dynvision.system.guards import check_guard
from dynvision.system.json_values import as_json, changed_keys
from dynvision.system.progress import announce

__all__ = ["Checkpoints"]

EVERY = 10.0
"""Least seconds between two checkpoints, so that short epochs are not slowed down."""

LARGEST_SHARE = 0.05
"""Largest share of the time that is spent on writing checkpoints."""


_LOOK = 5.0
"""Seconds between two looks at whether the lock of the output is still held, if no checkpoint is written."""


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: The hidden folder next to the output.
        name: The target, for messages.
        identity: Everything that determines the training, as JSON-ready values: a checkpoint of another is not used.
        epochs: The epochs after which weights are kept.
        fresh: Begin anew whatever there is.

    Attributes:
        kept: The weights after epochs, by epoch. Whoever trains adds to them before `keep`; `resume` fills them.
        resumed_after: The epoch after which the training went on; 0 if it began anew.
    """

    def __init__(
        self, folder: Path, name: str, identity: Mapping[str, Any], epochs: Sequence[int] = (), fresh: bool = False
    ) -> None:
        self.folder, self.name, self.identity = folder, name, as_json(identity)
        self.epochs, self.fresh = tuple(epochs), fresh
        self.kept: dict[int, dict[str, Tensor]] = {}
        self.resumed_after = 0
        self._files: dict[str, FileDigest] = {}
        self._next = time.monotonic() + EVERY
        self._has_complained = self._is_hopeless = False

    def resume(self, restore: Callable[[dict[str, Any]], object]) -> int:
        """Go on from the last checkpoint if it is of this training; otherwise a sentence says why it is not used.

        Args:
            restore: Takes the state that was kept.

        Returns:
            The epoch after which the training goes on; 0 if it begins anew.
        """
        try:
            note = None if self.fresh else read_note(self.folder)
            if note is not None and (state := self._read(note)) is not None:
                restore(state)
                self.resumed_after = note.epoch
                announce(f"{self.name}: resumed after epoch {note.epoch}")
        except (DynvisionError, OSError) as error:
            announce(f"{self.name}: its training begins anew, because its checkpoint cannot be used: {error}")
        with contextlib.suppress(OSError):  # What is left is in nobody's way.
            remove_checkpoints(self.folder, but=(NOTE, *self._files) if self.resumed_after else ())
        return self.resumed_after

    def keep(self, epoch: int, take: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint if the last one is old enough. The training goes on if that is not possible.

        Args:
            epoch: The epoch that is finished.
            take: Returns the state of the training.

        Raises:
            LockLostError: If another process has taken over the lock of the output, so that this training is in vain.
        """
        start = time.monotonic()
        try:
            check_guard(self.folder, _LOOK)
            if self._is_hopeless or start < self._next:
                return
            self._write(epoch, take())
        except LockLostError:
            raise
        except UnpackableError as error:
            self._is_hopeless = True
            self._complain(f"the network keeps {error}")
        except (OSError, RuntimeError, DynvisionError) as error:
            refusal = find_machine_error(error)
            if refusal is None and not isinstance(error, OSError | DynvisionError):
                raise
            self._complain(str(refusal or error))
        now = time.monotonic()
        self._next = now + max(EVERY, (now - start) / LARGEST_SHARE)

    def remove(self) -> None:
        """Remove the checkpoints of a training that is finished."""
        with contextlib.suppress(OSError):  # The next build of the same target removes them.
            remove_checkpoints(self.folder)

    def _read(self, note: TrainingNote) -> dict[str, Any] | None:
        """Read the state of a checkpoint, and the weights that were kept; `None` if it is of another training.

        Raises:
            DamagedFileError: If a file is not as it was written.
        """
        if changed := changed_keys(note.identity, self.identity):
            announce(
                f"{self.name}: its training begins anew, because its checkpoint is of a training with other "
                f"{', '.join(changed[:6])}{' …' if len(changed) > 6 else ''}"
            )
            return None
        wanted = [epoch for epoch in self.epochs if epoch <= note.epoch]
        if missing := [epoch for epoch in wanted if _weights_file(epoch) not in note.files]:
            announce(
                f"{self.name}: its training begins anew, because an experiment asks for the weights after epoch "
                f"{missing[0]}, and its checkpoint does not have them"
            )
            return None
        contents = {name: _load(note.check(self.folder, name)) for name in note.files}
        self.kept.update({epoch: contents[_weights_file(epoch)] for epoch in wanted})
        self._files = dict(note.files)
        return dict(contents[_state_file(note.epoch)])

    def _write(self, epoch: int, state: dict[str, Any]) -> None:
        make_directory(self.folder)
        for number, weights in self.kept.items():
            if (name := _weights_file(number)) not in self._files:
                self._files[name] = _save(self.folder / name, weights)
        files = {name: digest for name, digest in self._files.items() if name.startswith("epoch=")}
        files[_state_file(epoch)] = _save(self.folder / _state_file(epoch), state)
        write_json(self.folder / NOTE, TrainingNote(epoch, self.identity, files).to_dict())
        self._files = files
        remove_checkpoints(self.folder, but=(NOTE, *files))

    def _complain(self, why: str) -> None:
        if not self._has_complained:
            announce(f"{self.name}: if this training is interrupted now, it cannot be resumed from here: {why}")
        self._has_complained = True


def _state_file(epoch: int) -> str:
    return f"state-{epoch}.pt"


def _weights_file(epoch: int) -> str:
    return f"epoch={epoch}.pt"


def _save(path: Path, content: dict[str, Any]) -> FileDigest:
    """Write tensors and plain values to a file, whole or not at all."""
    temporary = temporary_sibling(path)
    try:
        with temporary.open("wb") as file:  # A file of Python's own: torch's errors do not say that a disk is full.
            torch.save(content, file)
        digest = digest_file(temporary, afresh=True)
        replace_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return digest


def _load(path: Path) -> dict[str, Any]:
    """Read a file whose bytes are those that were written; none of its code is run.

    Raises:
        DamagedFileError: If this version of torch does not understand it.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise DamagedFileError(f"{path} cannot be read: {last_line(str(error))}") from error
    return content
