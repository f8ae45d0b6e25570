"""Digests of files, computed once for each state of a file.

A file is hashed once for each of its states. The state is its stamp: size, modification time, change time and inode.
The stamps of an output's files are remembered next to it, or in the user's cache if nothing can be written there.
They are a memory of what was hashed, never a proof: the digest is compared with the record every time.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from dynvision.system.files import read_file

__all__ = [
    "HASHERS",
    "FileDigest",
    "digest_bytes",
    "digest_file",
    "digest_files",
    "list_files",
    "newest_first",
    "note_places",
    "recall_stamps",
    "remember_stamps",
]

_CHUNK = 1 << 22
HASHERS = 4
"""Threads that hash; xxhash and reading both let other threads run."""
_RECENT_NS = 50_000_000
"""A file that changed this recently may change again without another stamp, because times have a coarse clock."""


class FileDigest(NamedTuple):
    """What a file of an output is.

    Attributes:
        n_bytes: Its size.
        xxh3: 32 hexadecimal digits of the 128-bit XXH3 of its bytes.
    """

    n_bytes: int
    xxh3: str


class _Stamp(NamedTuple):
    n_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @property
    def is_settled(self) -> bool:
        """Whether the file changed so long ago that another change would give another stamp.

        Only the change time counts: every change sets it, and a modification time may lie in the future for years.
        """
        return time.time_ns() - self.ctime_ns > _RECENT_NS


_digests: dict[str, tuple[_Stamp, str]] = {}
"""The stamp and digest of each file that this process knows."""


def digest_bytes(content: Any) -> str:
    """Return 32 hexadecimal digits of the 128-bit XXH3 of some bytes."""
    return xxhash.xxh3_128_hexdigest(content)


def digest_file(path: Path, *, afresh: bool = False) -> FileDigest:
    """Digest a file, or return what is known of it if its stamp has not changed.

    Args:
        path: The file.
        afresh: Read it whatever its stamp says.

    Raises:
        OSError: If it cannot be read.
    """
    before = _stamp(path)
    known = _digests.get(str(path))
    if known is not None and known[0] == before and not afresh:
        return FileDigest(before.n_bytes, known[1])
    digest, n_bytes = xxhash.xxh3_128(), 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            n_bytes += len(chunk)
    if before.is_settled and _stamp(path) == before:
        _digests[str(path)] = before, digest.hexdigest()
    else:
        _digests.pop(str(path), None)
    return FileDigest(n_bytes, digest.hexdigest())


def digest_files(folder: Path, names: Iterable[str]) -> dict[str, FileDigest]:
    """Digest files of a folder, by name; names are relative to the folder."""
    chosen = list(names)
    with ThreadPoolExecutor(HASHERS) as pool:
        return dict(zip(chosen, pool.map(lambda name: digest_file(folder / name), chosen), strict=True))


def list_files(folder: Path, but: Iterable[str] = ()) -> list[str]:
    """List all files below a folder, sorted, as names relative to it.

    Args:
        folder: The folder.
        but: Names that are left out, besides hidden files.

    Raises:
        OSError: If a folder cannot be read.
    """
    left_out = set(but)
    names: list[str] = []
    for directory, _, files in os.walk(folder, onerror=_raise):
        base = Path(directory).relative_to(folder)
        names += [(base / name).as_posix() for name in files if name[0] != "."]
    return sorted(name for name in names if name not in left_out)


def _raise(error: OSError) -> None:
    raise error


def _stamp(path: Path) -> _Stamp:
    stat = path.stat()
    return _Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def _notes(folder: Path) -> Iterator[Path]:
    return note_places(folder.with_name(f".{folder.name}.stamps.json"))


def note_places(note: Path) -> Iterator[Path]:
    """Yield where a note about files may lie: in its place, or in the user's cache if nothing can be written there."""
    yield note
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    yield Path(cache) / "dynvision" / "stamps" / f"{digest_bytes(os.fsencode(note.absolute()))}.json"


def remember_stamps(folder: Path, digests: Mapping[str, FileDigest]) -> None:
    """Remember the stamps of files that this process knows to have these digests, for other processes."""
    stamps: dict[str, list[Any]] = {}
    for name, wanted in digests.items():
        known = _digests.get(str(folder / name))
        if known is not None and known[1] == wanted.xxh3:
            stamps[name] = [*known[0], known[1]]
    for note in _notes(folder):
        remembered = _read_note(note)
        if all(remembered.get(name) == stamp for name, stamp in stamps.items()):
            return
        with contextlib.suppress(OSError):
            _write_note(note, remembered | stamps)
            return


def newest_first(notes: Iterable[Path]) -> list[Path]:
    """Return the notes that exist, the one that was written last first."""
    times = {}
    for note in notes:
        with contextlib.suppress(OSError):
            times[note] = note.stat().st_mtime_ns
    return sorted(times, key=lambda note: -times[note])


def recall_stamps(folder: Path, digests: Mapping[str, FileDigest]) -> None:
    """Learn the stamps that are remembered of a folder's files."""
    for note in newest_first(_notes(folder)):
        for name, values in _read_note(note).items():
            path = str(folder / name)
            if name in digests and path not in _digests:
                *stamp, digest = values
                _digests[path] = _Stamp(*stamp), digest


def _read_note(note: Path) -> dict[str, list[Any]]:
    try:
        stamps = json.loads(read_file(note))["stamps"]
        types = (int, int, int, int, str)
        is_whole = all([type(value) for value in values] == list(types) for values in stamps.values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return dict(stamps) if is_whole else {}


def _write_note(note: Path, stamps: Mapping[str, list[Any]]) -> None:
    if note.name[0] != ".":
        note.parent.mkdir(parents=True, exist_ok=True)
    temporary = note.with_name(f".{note.name.lstrip('.')}.partial-{os.getpid()}-{time.time_ns()}")
    try:
        temporary.write_text(json.dumps({"stamps": stamps}))
        os.replace(temporary, note)
    finally:
        temporary.unlink(missing_ok=True)
