"""Files that a dataset's class reads: which they are, and digests of their content.

A digest is remembered with the size, times and inode of its file, so that a file is read again only if one of them
changed; a file that was merely touched still has the same digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from dynvision.errors import ConfigError, DataError, DynvisionError, UnreadableError
from dynvision.system.failures import as_unreadable, is_unreadable
from dynvision.system.files import read_json, sha256_file, write_json

__all__ = ["WatchedFiles"]

_SETTLED_NS = 100_000_000
"""A file that was changed so recently could change again without another time stamp, and is not remembered."""


class WatchedFiles:
    """Files below one folder.

    Hidden files and the caches of Python are left out.

    Args:
        folder: The folder.
        patterns: Paths or globs below it; `None` for all files.
        left_out: The names of entries of the folder that are left out.
        cache: The file that remembers digests. It is written only if its folder exists.
    """

    def __init__(self, folder: Path, patterns: Sequence[str] | None, left_out: Collection[str], cache: Path) -> None:
        self.folder, self.patterns, self.left_out, self.cache = folder, patterns, left_out, cache
        self._remembered: dict[str, list[Any]] | None = None

    def digests(self) -> dict[str, str]:
        """Return the digest of each file by its path below the folder, in the order of the paths.

        Raises:
            ConfigError: If a pattern is none.
            DataError: If a file cannot be read.
        """
        if self._remembered is None:
            content = self._read_cache()
            files = content.get("files") if content.get("folder") == str(self.folder) else None
            self._remembered = files if isinstance(files, dict) else {}
        current = {name: self._digest(name, path) for name, path in sorted(self._list().items())}
        remembered = {name: entry for name, (_, entry) in current.items() if entry is not None}
        if remembered != self._remembered:
            self._remembered = remembered
            if self.cache.parent.is_dir():
                with contextlib.suppress(OSError, DynvisionError):  # without it, files are read again
                    write_json(self.cache, {"folder": str(self.folder), "files": remembered}, indent=None)
        return {name: digest for name, (digest, _) in current.items()}

    def digest(self) -> str | None:
        """Return 32 hexadecimal digits for all paths and contents; `None` if there are no files."""
        digests = self.digests()
        if not digests:
            return None
        whole = hashlib.sha256()
        for name, digest in digests.items():
            whole.update(os.fsencode(name) + b"\0" + digest.encode() + b"\0")
        return whole.hexdigest()[:32]

    def unmatched(self) -> list[str]:
        """Return the patterns that no file matches."""
        return [pattern for pattern in self.patterns or () if not self._match(pattern)]

    def require_unchanged(self, before: dict[str, str], where: str) -> None:
        """Raise if a file is not the one that it was, so that nobody knows which of both was read.

        Args:
            before: What `digests` returned before the files were read. Files that were added since are none of them.
            where: Names the dataset, for the message.

        Raises:
            DataError: Names the first file that was changed or removed.
        """
        now = self.digests()
        changed = [name for name, digest in before.items() if now.get(name) != digest]
        if changed:
            raise DataError(
                f"{where}: {self.folder / changed[0]} was changed while the images were read. Make them again; if the "
                "class itself writes that file, list the files that it reads under 'inputs', next to 'class'."
            )

    def _list(self) -> dict[str, Path]:
        if self.patterns is None:
            return dict(self._walk(self.folder, "", frozenset()))
        return {name: path for pattern in self.patterns for name, path in self._match(pattern).items()}

    def _match(self, pattern: str) -> dict[str, Path]:
        try:
            paths = [self.folder / pattern] if (self.folder / pattern).exists() else list(self.folder.glob(pattern))
        except (ValueError, NotImplementedError) as error:
            raise ConfigError(f"inputs: '{pattern}' is no path or glob below {self.folder}: {error}") from error
        files: dict[str, Path] = {}
        for path in paths:
            name = path.relative_to(self.folder).as_posix()
            if name.partition("/")[0] in self.left_out:
                continue
            if path.is_dir():
                files |= dict(self._walk(path, f"{name}/" if name != "." else "", frozenset()))
            elif path.is_file():
                files[name] = path
        return files

    def _read_cache(self) -> dict[str, Any]:
        try:
            return read_json(self.cache) or {}
        except OSError:  # Without it, files are read again.
            return {}

    def _walk(self, folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, Path]]:
        """Yield the files of a folder by name; links are followed, but not to a folder that contains them."""
        try:
            state = folder.stat()
            with os.scandir(folder) as entries:
                shown = [entry for entry in entries if entry.name[0] != "." and entry.name != "__pycache__"]
        except FileNotFoundError:
            return
        except OSError as error:
            text = f"the folder {folder} cannot be read: {error.strerror}"
            raise as_unreadable(error, text) or DataError(text) from error
        here = (state.st_dev, state.st_ino)
        if here in above:
            return
        for entry in shown:
            if not prefix and entry.name in self.left_out:
                continue
            if entry.is_dir():
                yield from self._walk(Path(entry.path), f"{prefix}{entry.name}/", above | {here})
            elif entry.is_file():
                yield f"{prefix}{entry.name}", Path(entry.path)

    def _digest(self, name: str, path: Path) -> tuple[str, list[Any] | None]:
        """Return the digest of a file, and what to remember of it; `None` to look again the next time."""
        assert self._remembered is not None
        try:
            state = _state(path)
            known = self._remembered.get(name)
            if isinstance(known, list) and len(known) == len(state) + 1 and known[1:] == state:
                return str(known[0]), known
            digest = sha256_file(path)
            is_settled = _state(path) == state and time.time_ns() - max(state[1], state[2]) > _SETTLED_NS
        except OSError as error:
            raise (UnreadableError if is_unreadable(error) else DataError)(
                f"{path}: the file cannot be read ({error.strerror}), and what a dataset's class reads is watched. "
                "Make it readable, or list the files that the class reads under 'inputs', next to 'class'."
            ) from error
        return digest, [digest, *state] if is_settled and name.isprintable() else None


def _state(path: Path) -> list[int]:
    """Return size, times and inode of a file."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(0, "it is no file any more")
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
