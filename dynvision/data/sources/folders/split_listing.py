"""What lies in the folder of a split: class folders, files, and what other programs left there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dynvision.data.images.files import holds_image, is_image_file
from dynvision.data.sources.folders.class_names import is_system_folder, join_names, read_name
from dynvision.data.sources.folders.folder_scan import check_name
from dynvision.errors import DataError, MissingError
from dynvision.system.failures import as_unreadable

__all__ = ["SplitListing", "explain_empty_classes", "list_split", "list_split_with_classes"]

_NO_CLASSES = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "pictures", "pics", "photos", "data", "all", "all images"}
)
"""Names that say that images are inside, and not what they show; as `read_name` reads them."""
_MOST_LOOKS = 20
"""In how many class folders without images an error looks for what else is there."""


@dataclass(frozen=True)
class SplitListing:
    """The content of the folder of a split.

    Attributes:
        folder: The folder.
        classes: The names of the class folders, in their order.
        images: The names of the images that are in no class folder.
        files: The names of all other files.
        left_out: The names of folders that other programs made, such as `__MACOSX`.
    """

    folder: Path
    classes: tuple[str, ...]
    images: tuple[str, ...]
    files: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def is_flat(self) -> bool:
        """Whether its only folder is one such as `images`, which is no class."""
        return len(self.classes) == 1 and read_name(self.classes[0]) in _NO_CLASSES

    def describe(self) -> str:
        """Say what was found in it."""
        groups = (("folders", self.classes), ("images", self.images), ("other files", self.files))
        parts = [f"{len(names)} {noun} ({join_names(names, 3)})" for noun, names in groups if names]
        return f"Found there: {', '.join(parts)}." if parts else "It is empty."


def list_split(folder: Path) -> SplitListing:
    """List the folder of a split.

    Raises:
        DataError: If the folder cannot be read, a link in it leads nowhere, two class folders are links to one, or a
            name is not UTF-8.
    """
    classes: list[str] = []
    images: list[str] = []
    files: list[str] = []
    left_out: list[str] = []
    links: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.is_symlink():
                    links.append(entry.name)
                if entry.name[0] == ".":
                    continue
                if _is_folder(entry):
                    (left_out if is_system_folder(entry.name) else classes).append(entry.name)
                else:
                    (images if is_image_file(entry) else files).append(entry.name)
    except OSError as error:
        text = f"{folder} cannot be read: {error}"
        raise as_unreadable(error, text) or DataError(text) from error
    _check_links(folder, classes, [name for name in links if name in {*classes, *files}])
    for name in classes:
        check_name(folder, name)
    return SplitListing(folder, tuple(classes), tuple(images), tuple(files), tuple(left_out))


def list_split_with_classes(folder: Path, known: Iterable[str] = ()) -> SplitListing:
    """List the folder of a split that is needed, and so must have class folders.

    Args:
        folder: The folder of the split.
        known: Names that are classes for certain; others such as `images` are none if they stand alone.

    Raises:
        DataError: Like `list_split`, or if there are no class folders.
        MissingError: If the folder does not exist.
    """
    if not folder.is_dir():
        lost = f"{folder} is a link that leads nowhere" if folder.is_symlink() else f"{folder} does not exist"
        raise MissingError(f"{lost}. Put one folder of images for each class there.")
    listing = list_split(folder)
    if not listing.classes:
        raise DataError(
            f"{folder} holds no class folders. Put one folder of images for each class there. {listing.describe()}"
            f"{_hint_at_stimuli(listing)}"
        )
    if listing.is_flat and listing.classes[0] not in set(known):
        raise flat_error(listing)
    return listing


def flat_error(listing: SplitListing) -> DataError:
    """Return the error for a split whose only folder is one such as `images`."""
    (name,) = listing.classes
    inner = _folders_in(listing.folder / name)
    deeper = f" It holds the folders {join_names(inner)}: if these are the classes, move them up." if inner else ""
    return DataError(
        f"{listing.folder} holds the single folder '{name}', whose name is not that of a class, so the classes of its "
        f"images are unknown.{deeper} Put one folder of images for each class there, or list '{name}' as a class in a "
        "file under class_index_files."
    )


def _hint_at_stimuli(listing: SplitListing) -> str:
    if not listing.images:
        return ""
    return " If they have no classes and are only to be shown, name their folder under stimulus_sets instead."


def explain_empty_classes(folder: Path, names: Iterable[str]) -> str:
    """Say for class folders without images whether there are some one level deeper; empty if not.

    Args:
        folder: The folder of the split.
        names: The class folders without images.

    Returns:
        A sentence for the end of an error message, with a blank in front.
    """
    for name in list(names)[:_MOST_LOOKS]:
        for inner in _folders_in(folder / name):
            if holds_image(folder / name / inner):
                return (
                    f". Images were found one level deeper, in {name}/{inner}: move them up into {name}, where images "
                    "of a class are looked for"
                )
    return ""


def _folders_in(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if _is_folder(e) and not is_system_folder(e.name))
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False


def _check_links(folder: Path, classes: Iterable[str], links: Iterable[str]) -> None:
    """Raise if a link leads nowhere, or to a folder that is a class already."""
    links = set(links)
    lost = sorted(name for name in links if not (folder / name).exists())
    if lost:
        raise DataError(f"{folder}: '{join_names(lost[:1])}' is a link that leads nowhere. Mend or remove it.")
    if not links:
        return
    owners: dict[Path, str] = {}
    for name in classes:
        real = (folder / name).resolve() if name in links else folder.resolve() / name
        other = owners.setdefault(real, name)
        if other != name:
            raise DataError(
                f"{folder}: '{join_names([other])}' and '{join_names([name])}' are one folder, {real}, so its images "
                "would have two labels. Remove one."
            )
