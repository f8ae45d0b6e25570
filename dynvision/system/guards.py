"""Guards of outputs: a check that runs before anything is put in place where an output is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

__all__ = ["check_guard", "guard_outputs"]

Check = Callable[[float], object]

_checks: dict[Path, Check] = {}
"""For each guarded output its check; paths are absolute."""


@contextlib.contextmanager
def guard_outputs(outputs: Iterable[Path], check: Check) -> Iterator[None]:
    """Guard outputs of this process while the block runs.

    Args:
        outputs: Files or folders.
        check: Raises if nothing may be written to them any more. It takes how many seconds ago the last check may have
            been.
    """
    paths = [output.absolute() for output in outputs]
    before = {path: _checks[path] for path in paths if path in _checks}
    _checks.update(dict.fromkeys(paths, check))
    try:
        yield
    finally:
        for path in paths:
            _checks.pop(path, None)
        _checks.update(before)


def check_guard(path: Path, within: float = 0.0) -> None:
    """Run the check of the output to which a file or folder belongs, if there is one.

    What lies in an output belongs to it, and so do the files next to it that are named after it: `train.beton.json`
    and `.train.beton.partial-…` belong to `train.beton`.

    Args:
        path: What is about to be written, put in place or removed.
        within: How many seconds ago the last check may have been; 0 checks now.

    Raises:
        LockLostError: If another process has taken the lock of the output over.
    """
    if not _checks:
        return
    absolute = path.absolute()
    for folder in (absolute, *absolute.parents):
        for name in _names_before_dots(folder.name):
            if (check := _checks.get(folder.parent / name)) is not None:
                check(within)


def _names_before_dots(name: str) -> Iterator[str]:
    """Yield a name, and what comes before each of its dots: `.a.b` gives `.a.b`, `a.b` and `a`."""
    yield name
    bare = name.removeprefix(".")
    while bare:
        yield bare
        bare = bare.rpartition(".")[0]
