"""Which folders are the splits of a dataset that this project finds."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from dynvision.data.images.files import holds_image
from dynvision.data.sources.folders.class_names import is_system_folder, join_names, read_name
from dynvision.data.sources.folders.split_listing import SplitListing, list_split
from dynvision.errors import DataError, DynvisionError, MissingError

__all__ = ["SPLIT_NAMES", "SplitFolders"]

SPLIT_NAMES = {"train": ("train",), "test": ("test", "val")}
"""The folders that may contain a split; the first with classes is used."""

_UNDERSTOOD = "'train' is read as the split train, and 'test', or else 'val', as the split test"
_SIMILAR = {
    "train": {"train", "training", "trainset", "train set", "training set", "train data", "training data", "trn"},
    "test": {
        *("test", "testing", "testset", "test set", "test data", "tst", "eval", "evaluation", "dev", "holdout"),
        *("val", "valid", "validation", "valset", "val set", "validation set", "val data", "validation data"),
    },
}
"""Names that probably mean a split but are not understood; as `read_name` reads them."""


class SplitFolders:
    """The folders of the splits of one dataset.

    Args:
        bases: The folders that may contain the splits, in the order in which they are searched.
        known: The names of the class folders, if a class index file lists them.
    """

    def __init__(self, bases: Sequence[Path], known: Collection[str] = ()) -> None:
        self.bases = list(bases)
        self._known = {read_name(name) for name in known}
        self._chosen: dict[tuple[Path, ...], Path] = {}

    def folder(self, split: str) -> Path:
        """Return the folder of a split, or the one where it should be.

        If several exist, it is the first that has classes of the dataset.
        """
        existing = self._existing(split)
        if len(existing) < 2:
            return existing[0] if existing else self.bases[0] / split
        if existing not in self._chosen:
            self._chosen[existing] = self._choose(split, existing)
        return self._chosen[existing]

    def check(self, split: str) -> None:
        """Raise if a split does not exist, or if the dataset has a split under a name that is not understood.

        Raises:
            DataError: If a split is missing and a folder has a similar name, so that its classes would not be counted.
            MissingError: If the split does not exist.
        """
        for name in SPLIT_NAMES:
            similar = [] if self._existing(name) else self._find_similar(name)
            if similar:
                raise DataError(
                    f"{similar[0]} looks like the split {name}, but is not understood: {_UNDERSTOOD}. "
                    f"{self._describe(similar[0].parent)} Rename it, or link to it: "
                    f"ln -s '{similar[0].name}' '{similar[0].parent / name}'"
                )
        if self._existing(split):
            return
        expected = self.bases[0] / split
        lost = [base / name for base in self.bases for name in SPLIT_NAMES[split] if (base / name).is_symlink()]
        problem = f"{lost[0]} is a link that leads nowhere" if lost else f"{expected} does not exist"
        if expected.is_file():
            problem = f"{expected} is a file"
        found = " ".join(self._describe(base) for base in self.bases if base.is_dir())
        found = found or "There is no folder of the dataset."
        raise MissingError(
            f"{problem}. Put one folder of images for each class there. {found} Of the folders there, {_UNDERSTOOD}."
        )

    def notes(self, split: str) -> list[str]:
        """Say which folder is the split if there are others that could be."""
        chosen, existing = self.folder(split), self._existing(split)
        notes = []
        for other in existing:
            if other != chosen:
                why = (
                    "" if existing.index(other) > existing.index(chosen) else f", because {self._why_not(split, other)}"
                )
                notes.append(f"{chosen} is taken, and {other} is not used{why}")
        parents = {self.folder(name).parent for name in SPLIT_NAMES if self._existing(name)}
        if len(parents) > 1:
            folders = " and ".join(f"{name} is {self.folder(name)}" for name in SPLIT_NAMES)
            notes.append(f"the splits are in different places: {folders}")
        return notes

    def _existing(self, split: str) -> tuple[Path, ...]:
        folders = (base / name for base in self.bases for name in SPLIT_NAMES[split])
        return tuple(folder for folder in folders if folder.is_dir())

    def _choose(self, split: str, existing: Sequence[Path]) -> Path:
        good = [folder for folder in existing if not self._why_not(split, folder)]
        return good[0] if good else existing[0]

    def _why_not(self, split: str, folder: Path) -> str:
        """Say why a folder is not the split; empty if it can be."""
        listing = _list_quietly(folder)
        if listing is None or not listing.classes:
            return "it holds no class folders"
        names = {read_name(name) for name in listing.classes}
        if self._known:
            return "" if names & self._known else "none of its folders is in the class index file"
        if listing.is_flat:
            return f"its single folder '{listing.classes[0]}' is no class"
        if split != "train" and self._existing("train"):
            train = _list_quietly(self.folder("train"))
            if train is not None and train.classes and not names & {read_name(name) for name in train.classes}:
                return "it shares no class with train"
        return ""

    def _find_similar(self, split: str) -> list[Path]:
        return [
            base / name for base in self.bases for name in _list_folders(base) if read_name(name) in _SIMILAR[split]
        ]

    def _describe(self, base: Path) -> str:
        """Say what a folder holds in which splits were looked for, and where they may be."""
        folders = _list_folders(base)
        if not folders:
            hint = (
                " It holds images: if they have no classes and are only to be shown, write 'stimulus_sets: "
                f"{{{base.name}: {{resolution: …}}}}' in config_data.yaml, and leave it out of data_resolution."
            )
            return f"{base} holds no folders.{hint if holds_image(base) else ''}"
        splits = {name for names in SPLIT_NAMES.values() for name in names}
        hint = ""
        deeper = [name for name in folders[:20] if name not in splits and splits & set(_list_folders(base / name))]
        if deeper:
            hint = (
                f" Splits were found one level deeper, in {base / deeper[0]}: move them up, or name that folder under "
                "mounted_datasets."
            )
        elif not splits & set(folders) and holds_image(base / folders[0]):
            hint = " These folders hold images like classes: put them into a folder for each split."
        return f"{base} holds: {join_names(folders, 8)}.{hint}"


def _list_quietly(folder: Path) -> SplitListing | None:
    """List a folder; `None` if it cannot be listed, which is reported when it is needed."""
    try:
        return list_split(folder)
    except DynvisionError:
        return None


def _list_folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if not is_system_folder(e.name) and e.is_dir())
    except OSError:
        return []
