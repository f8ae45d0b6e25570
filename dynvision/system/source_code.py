"""Digesting the source files of a user's class: if one of them changes, everything that the class made is stale."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import re
import sysconfig
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from dynvision.errors import ConfigError
from dynvision.system.files import digest_json
from dynvision.system.imports import Import, Module, read_module

__all__ = ["digest_source"]

_CLASS_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_OURS = ("dynvision", "dynvision_assets")
_SITES = frozenset({"site-packages", "dist-packages"})
_SUFFIXES = (*importlib.machinery.EXTENSION_SUFFIXES, *importlib.machinery.SOURCE_SUFFIXES)
"""The endings of modules, in the order in which Python looks for them."""

_SETTLED = 2_000_000_000
"""After how many nanoseconds without a change the stamp of a file says that it is the same."""

Stamp = tuple[int, int, int, int]

_digests: dict[Path, tuple[Stamp, str, Module]] = {}
"""For each file its stamp, the digest of its bytes, and what it imports."""


def digest_source(class_path: str, arguments: Any = None) -> str:
    """Digest the file that defines a user's class and what it imports of the user's own, without importing it.

    Followed are imports that are written out, wherever they stand: in functions, under conditions, for type checkers,
    relative ones, `import_module("name")`, the `__init__` files of packages on the way, and so on from file to file.
    Not followed are names that are put together when the code runs, and files that it opens. A file that is no Python
    counts by its bytes. Installed packages and this library (its stages have code versions) do not count.

    Args:
        class_path: `module:Class`.
        arguments: The arguments of the class. Each text in them of the form `module:Class` is followed as well.

    Returns:
        32 hexadecimal digits: of the bytes of the file, if it is the only one, so that they are the same as ever.
        Empty if there is no file of the user's own.

    Raises:
        ConfigError: If a file cannot be read.
    """
    root = class_path.partition(":")[0]
    others = [text.partition(":")[0] for text in _list_texts(arguments) if _CLASS_PATH.fullmatch(text)]
    search = _Search(root)
    try:
        for name in (root, *others):
            search.follow(name)
    except OSError as error:
        raise ConfigError(
            f"cannot read {error.filename}, which '{class_path}' is made of: {error.strerror}. "
            "Make it readable, so that a change in it can be noticed."
        ) from error
    digests = search.digests()
    return digests[root][:32] if list(digests) == [root] else digest_json(digests) if digests else ""


def _list_texts(value: Any) -> Iterator[str]:
    """List the texts in nested lists and dicts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _list_texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _list_texts(item)


class _Search:
    """Follows imports from file to file.

    Args:
        root: The module that defines the class.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._files: dict[str, Path] = {}
        self._seen: set[str] = set()
        self._tops: dict[str, tuple[Path | None, list[Path]]] = {}

    def follow(self, name: str) -> None:
        """Add the file of a module, and those of all that it imports."""
        pending = [name]
        while pending:
            name = pending.pop()
            if not name or name in self._seen:
                continue
            self._seen.add(name)
            pending.append(name.rpartition(".")[0])  # Importing a.b runs a first.
            path = self._find(name)
            if path is not None:
                self._files[name] = path
                for imported in _read(path)[1].imports:
                    pending += self._resolve(imported, name, path)

    def digests(self) -> dict[str, str]:
        """Return the digest of each module; a package on the way that has nothing in it does not count."""
        read = {name: (path.name, *_read(path)) for name, path in self._files.items()}
        return {
            name: digest
            for name, (file, digest, module) in read.items()
            if name == self._root or file != "__init__.py" or not module.is_empty
        }

    def _resolve(self, imported: Import, name: str, path: Path) -> list[str]:
        """List the modules that an import in the module `name` may mean."""
        base = imported.module
        if imported.level:
            parts = name.split(".")
            parts = parts[: len(parts) - imported.level + (path.stem == "__init__")]
            base = ".".join([*parts, *([base] if base else [])]) if parts else ""
        if not base:
            return []
        names = [base]
        for taken in imported.names:
            names += self._list_exports(base) if taken == "*" else [f"{base}.{taken}"]
        return names

    def _list_exports(self, package: str) -> list[str]:
        """List the modules that `from package import *` may import: those in its `__all__`."""
        path = self._find(package)
        if path is None or path.name != "__init__.py":
            return []
        exports = _read(path)[1].exports
        if exports is None:  # put together when the code runs: any module next to it may be meant
            exports = tuple(sorted({entry.name.partition(".")[0] for entry in path.parent.iterdir()} - {"__init__"}))
        return [f"{package}.{name}" for name in exports]

    def _find(self, name: str) -> Path | None:
        """Find the file of a module of the user's own, without importing anything."""
        top, *below = name.split(".")
        if top not in self._tops:
            self._tops[top] = _find_top(top)
        origin, folders = self._tops[top]
        candidates = [path for folder in folders for path in _list_candidates(folder.joinpath(*below))]
        found = candidates if below else [origin] if origin is not None else []
        sites = frozenset() if name == self._root else _SITES
        return next((path for path in found if not _is_installed(path, sites) and path.is_file()), None)


def _find_top(top: str) -> tuple[Path | None, list[Path]]:
    """Find the file of a top-level module, and the folders of its submodules."""
    try:
        spec = None if top in _OURS else importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return None, []
    # A folder without __init__.py has no origin, but it has search locations.
    origin = Path(spec.origin) if spec.origin and spec.has_location else None
    return origin, [Path(folder) for folder in spec.submodule_search_locations or ()]


def _list_candidates(module: Path) -> list[Path]:
    """List the files that a module may be, in the order in which Python looks for them."""
    return [module / "__init__.py", *(module.with_name(module.name + suffix) for suffix in _SUFFIXES)]


def _is_installed(path: Path, sites: frozenset[str]) -> bool:
    return not sites.isdisjoint(path.parts) or any(folder in path.parents for folder in _installed_folders())


@lru_cache(maxsize=1)
def _installed_folders() -> tuple[Path, ...]:
    return tuple(Path(sysconfig.get_path(key)) for key in ("purelib", "platlib", "stdlib"))


def _read(path: Path) -> tuple[str, Module]:
    """Return the digest of a file and what it imports. A file that has not changed is not read again."""
    status = path.stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    known = _digests.get(path)
    # The clock of a file system is coarse: a file may be written twice within one tick.
    is_settled = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED
    if known is not None and known[0] == stamp and is_settled:
        return known[1], known[2]
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if known is not None and known[1] == digest:
        module = known[2]
    else:
        module = read_module(content) if path.suffix == ".py" else Module()
    _digests[path] = stamp, digest, module
    return digest, module
