"""A reading of the configuration: the exact texts of its files, which a run keeps and hands to its child process.

A file that is edited while a run computes does not change the run: whoever needs the configuration takes the texts that
were read when the run began, and never the files again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dynvision.system.files import read_file

__all__ = ["Snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """The texts of one reading of the configuration.

    Attributes:
        folder: The config folder, for messages and for paths that are relative to it.
        texts: The text of each file of the folder, by its name.
        class_indexes: The text of each class index file that `class_index_files` names, by dataset; a file that could
            not be read is left out.
    """

    folder: str
    texts: dict[str, str]
    class_indexes: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the same as JSON-ready values, for another process."""
        return {"folder": self.folder, "texts": self.texts, "class_indexes": self.class_indexes}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Snapshot:
        """Take what `to_dict` gave."""
        return cls(value["folder"], dict(value["texts"]), dict(value["class_indexes"]))

    def with_class_indexes(self, files: dict[str, Path]) -> Snapshot:
        """Return the same with the texts of class index files, read now.

        Args:
            files: The file of each dataset. What cannot be read is left out; whoever needs it says why.
        """
        texts = {}
        for dataset, path in files.items():
            try:
                texts[dataset] = read_file(path).decode()
            except (OSError, ValueError):
                continue
        return Snapshot(self.folder, self.texts, texts)
