"""Stimulus sets: images without classes in a folder, and a table about them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from dynvision.config import Config
from dynvision.data.images.image_table import Rows
from dynvision.data.images.stimulus_table import FILENAME, FRAME, STIMULUS_ID, Columns
from dynvision.data.sources.base import FoundSource
from dynvision.data.sources.folders.class_folders import Export
from dynvision.data.sources.folders.folder_scan import FolderScan, read_folders, remember_scans, scan_folders
from dynvision.data.sources.stimulus_sets.listing import ImageTree, list_tree, sort_naturally
from dynvision.data.sources.stimulus_sets.table import (
    StimulusTable,
    describe_without_table,
    list_frames,
    read_stimulus_table,
)
from dynvision.errors import ConfigError, DataError, MissingError, unknown_name
from dynvision.paths import Paths
from dynvision.reserved_names import COORDINATES
from dynvision.system.files import digest_json

__all__ = ["StimulusFolder"]


class StimulusFolder(FoundSource):
    """The images of a folder and of those below it, in the order of the table or else in natural order.

    Attributes:
        is_in_order: Whether rows of the table belong to images by their order.
    """

    is_in_order: ClassVar[bool] = False

    def __init__(self, dataset: str, config: Config, paths: Paths) -> None:
        super().__init__(dataset, config, paths)
        self.given = config.data.stimulus_sets[dataset]
        self._scanned: Export | None = None

    def settings(self, split: str) -> dict[str, Any]:
        """Return the channels, the folder, and digests of the images and the table, which others may change.

        The digest of the images is empty while some have other sizes or times than when they were read.
        """
        scanned = self.scan(split)
        return {
            "channels": self.channels,
            "source": self.paths.relative(self.folder(split)),
            "files": scanned.digest,
            "table": digest_json({name: list(values) for name, values in (scanned.stimuli or {}).items()}),
            **({} if self.given.frames is None else {"frames": self.given.frames}),
            **self.details,
        }

    def explain_change(self, split: str, changed: Sequence[str]) -> str | None:
        """Say whether images, the table or both changed."""
        if not {*changed} <= {"files", "table"}:
            return None
        images = f"images in {self.folder(split)} changed, or their sizes or times did"
        if self.given.table is None:
            return images
        table = f"the table changed: {self.given.table}"
        return "; ".join([*([images] if "files" in changed else []), *([table] if "table" in changed else [])])

    @property
    def table_path(self) -> Path | None:
        """The file of the table; `None` if there is none."""
        return None if self.given.table is None else self.paths.root / Path(self.given.table).expanduser()

    def folder(self, split: str) -> Path:
        """Return the folder of the images: the one that the configuration names, or `data/raw/<name>`."""
        if self.given.folder is None:
            return self.paths.raw(self.dataset)
        return self.paths.root / Path(self.given.folder).expanduser()

    def scan(self, split: str) -> Export:
        """See `FoundSource.scan`."""
        if self._scanned is None:
            self._scanned = self._scan(split)
        return self._scanned

    def read(self, split: str, known: Rows) -> Export:
        """See `FoundSource.read`."""
        self._scanned = self._scan(split, every_image=True, known=known)
        return self._scanned

    def scan_every_image(self, split: str) -> Export:
        """See `FoundSource.scan_every_image`."""
        return self._scan(split, every_image=True)

    def notes(self, split: str) -> list[str]:
        """Say how many images there are, and what is known about them."""
        stimuli = self.scan(split).stimuli or {}
        about = f"with the columns {', '.join(stimuli)}" if self.given.table else "without a table"
        if self.given.frames is None:
            return [f"{self.scan(split).count} images {about}"]
        counts = Counter(stimuli[STIMULUS_ID]).values()
        return [f"{len(counts)} stimuli of {min(counts)} to {max(counts)} frames {about}"]

    def group_order(self, split: str) -> list[int]:
        """Return nothing, as there are no classes."""
        return []

    def _scan(self, split: str, *, every_image: bool = False, known: Rows | None = None) -> Export:
        folder, cache = self.folder(split), self.cache(split)
        tree = self._list(folder)
        stimuli = self._describe(folder, tree)
        scans = scan_folders(folder, sorted(tree.images), cache, every_image=every_image)
        rows: dict[str, Any] = {}
        if known is not None:
            rows, scans = read_folders(folder, scans, known)
            remember_scans(cache, folder, scans)
        others = [name for name in tree.others if not self._is_ours(folder, name)]
        ignored = {".": (len(others), ascii(others[0])[1:-1])} if others else {}
        stamp = digest_json([[(name, scan.stamp) for name, scan in scans.items()], digest_json(stimuli)])
        n_bytes = sum(scan.n_bytes for scan in scans.values())
        return Export([], _digest(scans), n_bytes, None, ignored, rows, stamp, stimuli)

    def _list(self, folder: Path) -> ImageTree:
        name = f"stimulus_sets.{self.dataset}"
        if not folder.is_dir():
            problem = "is a link that leads nowhere" if folder.is_symlink() else "does not exist"
            problem = "is a file" if folder.is_file() else problem
            raise MissingError(
                f"{folder} {problem}. Put the images of the stimulus set '{self.dataset}' there, or name their folder "
                f"in {self.config.folder / 'config_data.yaml'}: {name}.folder."
            )
        if folder.resolve() in (self.paths.data.resolve(), *self.paths.data.resolve().parents):
            raise DataError(
                f"{folder} holds what this project makes ({self.paths.data}), whose pictures would be stimuli. Put the "
                f"images of the stimulus set '{self.dataset}' into a folder of their own, and name it in "
                f"{self.config.folder / 'config_data.yaml'}: {name}.folder."
            )
        tree = list_tree(folder)
        if not tree.images:
            others = [other for other in tree.others if not self._is_ours(folder, other)]
            found = f" {len(others)} other files were found, such as '{others[0]}'." if others else ""
            raise DataError(f"{folder} holds no image, nor does a folder in it.{found}")
        return tree

    def _describe(self, folder: Path, tree: ImageTree) -> Columns:
        frames = self._list_frames(folder, tree)
        stimuli = tree.paths if frames is None else list(frames)
        columns = self._describe_stimuli(folder, stimuli)
        return columns if frames is None else list_frames(columns, frames)

    def _list_frames(self, folder: Path, tree: ImageTree) -> dict[str, list[str]] | None:
        """Return the frames of each stimulus; `None` if each is one image."""
        if self.given.frames is None:
            return None
        if "" in tree.images:
            raise DataError(
                f"{folder / tree.images[''][0]} lies in no folder: with 'frames: {self.given.frames}' each stimulus is "
                "a folder of frames. Move it into one, or leave 'frames' out if each image is a stimulus."
            )
        return {name: [f"{name}/{frame}" for frame in sort_naturally(names)] for name, names in tree.images.items()}

    def _describe_stimuli(self, folder: Path, stimuli: Sequence[str]) -> Columns:
        path = self.table_path
        if path is None:
            return describe_without_table(sort_naturally(stimuli))
        where = f"{self.config.folder / 'config_data.yaml'}: stimulus_sets.{self.dataset}"
        table = read_stimulus_table(path, f"{where}.table")
        self._refuse_reserved(table)
        columns = table.match(folder, stimuli, self.is_in_order)
        label = self.given.label
        if label is not None:
            if label.column not in columns:
                raise unknown_name("column", label.column, columns, f"{where}.label.column")
            _check_labels(f"{where}.label", path, label.column, label.by, columns[label.column])
        return columns

    def _refuse_reserved(self, table: StimulusTable) -> None:
        """Raise if a column has the name of something else in the results."""
        swept = {
            parameter: name
            for name, experiment in self.config.experiments.items()
            if any(self.config.subjects[s].dataset == self.dataset for s in self.config.subjects_of(name))
            for parameter in experiment.parameters
        }
        for column in table.columns:
            if column in (FILENAME, STIMULUS_ID):
                continue
            taken = f"a parameter of the experiment '{swept[column]}'" if column in swept else ""
            if column.lower() in COORDINATES or (column.lower() == FRAME and self.given.frames):
                taken = "a dimension or coordinate of every store of responses"
            if taken:
                raise DataError(
                    f"{table.path}: the column '{column}' has the name of {taken}. Rename it, as in '{column}_shown'."
                )

    def _is_ours(self, folder: Path, name: str) -> bool:
        """Whether a file next to the images is the table, or a record of this project."""
        is_record = folder == self.paths.raw(self.dataset) and name.startswith("all.manifest.")
        return is_record or folder / name == self.table_path


def _digest(scans: dict[str, FolderScan]) -> str:
    """Digest the names and contents of all images; empty if some changed and were not read."""
    if not all(scan.content for scan in scans.values()):
        return ""
    text = "".join(f"{name},{scan.content};" for name, scan in scans.items())
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _check_labels(where: str, path: Path, column: str, by: str, values: Any) -> None:
    is_index = all(type(value) is int and value >= 0 for value in values)
    if by == "index" and not is_index:
        raise ConfigError(
            f"{where}: 'by: index' needs whole numbers from 0, and the column '{column}' of {path} has others. Write "
            "'by: name' if it holds the names of classes."
        )
    if by == "name" and not all(isinstance(value, str) for value in values):
        raise ConfigError(
            f"{where}: 'by: name' needs names of classes, and the column '{column}' of {path} holds numbers. Write "
            "'by: index' if these are the network's own output indices."
        )
