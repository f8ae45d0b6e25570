"""Digesting the source file of a user's class: if it changes, everything that the class made is stale."""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path

from dynvision.system.files import sha256_file

__all__ = ["digest_source"]


def digest_source(class_path: str) -> str:
    """Digest the file that defines a user's class, without importing it.

    Args:
        class_path: `module:Class`.

    Returns:
        32 hexadecimal digits. Empty for installed packages, for this library (its stages have code versions), and if
        there is no such file.
    """
    name = class_path.partition(":")[0]
    top, *rest = name.split(".")
    if top == "dynvision":
        return ""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ""
    if spec is None:
        return ""
    # A folder without __init__.py has no origin, but it has search locations.
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    installed = [Path(sysconfig.get_path(key)) for key in ("purelib", "platlib", "stdlib")]
    candidates = [Path(spec.origin)] if spec.origin and not rest else []
    for module in (folder.joinpath(*rest) for folder in folders if rest):
        candidates += [module.with_suffix(".py"), module / "__init__.py"]
    own = [path for path in candidates if path.is_file() and not any(folder in path.parents for folder in installed)]
    return sha256_file(own[0])[:32] if own else ""
