"""The source file of a network's class, so that a change of it makes what it computed stale."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path

from dynvision.files import sha256_file

__all__ = ["digest_source"]


def digest_source(class_path: str) -> str:
    """Digest the file that a class of one's own is defined in, without importing it.

    Args:
        class_path: `module:Class`.

    Returns:
        32 hexadecimal digits; empty for installed packages and for this library, whose stages carry
        code versions, and where there is no such file.
    """
    name = class_path.partition(":")[0]
    top, *rest = name.split(".")
    if top == "dynvision":
        return ""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ""
    if spec is None or not spec.origin:
        return ""
    origin = Path(spec.origin)
    installed = [Path(sysconfig.get_path(key)) for key in ("purelib", "platlib", "stdlib")]
    if any(folder in origin.parents for folder in installed):
        return ""
    module = origin.parent.joinpath(*rest) if rest else origin
    candidates = [module.with_suffix(".py"), module / "__init__.py"] if rest else [origin]
    found = next((path for path in candidates if path.is_file()), None)
    return sha256_file(found)[:32] if found else ""
