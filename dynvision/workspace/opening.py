"""What opening a workspace needs: its root on Python's path, and one reading of its configuration."""

from __future__ import annotations

import sys
from pathlib import Path

from dynvision.config import Config, find_config_folder, load_snapshot, read_snapshot

__all__ = ["import_from", "read_config"]


def import_from(root: Path) -> None:
    """Let Python import modules that lie in a root, after all others."""
    if str(root) not in sys.path:
        sys.path.append(str(root))


def read_config(root: Path, folder: Path | str | None) -> Config:
    """Read the configuration of a root, with the class index files that it names, and import modules from the root.

    Args:
        root: The root, where relative paths start.
        folder: The config folder; by default the one that `find_config_folder` returns.

    Raises:
        ConfigError: If it cannot be read, or is not valid.
    """
    import_from(root)
    snapshot = read_snapshot(folder if folder is not None else find_config_folder(root))
    named = load_snapshot(snapshot).data.class_index_files
    files = {dataset: root / Path(given).expanduser() for dataset, given in named.items()}
    return load_snapshot(snapshot.with_class_indexes(files))
