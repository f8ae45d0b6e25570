"""Which index each class folder has: decided once for all splits of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from dynvision.data.sources.folders.class_index import LARGEST_INDEX
from dynvision.data.sources.folders.class_names import find_alike, is_number, join_names, quote_pair, read_name
from dynvision.data.sources.folders.split_listing import SplitListing, flat_error, list_split, list_split_with_classes
from dynvision.errors import DataError

__all__ = ["ClassOrder", "order_classes"]

_ADVICE = "Rename one, or list the folders in a file under class_index_files (config_data.yaml)."


@dataclass(frozen=True)
class ClassOrder:
    """The indices of the class folders of a dataset.

    Attributes:
        split: The folder that is looked at.
        others: The folders of the other splits that have classes.
        indices: The index of each class folder of all splits, by its name.
        class_index: The folder and name of each index, if a class index file says so.
    """

    split: SplitListing
    others: tuple[SplitListing, ...]
    indices: Mapping[str, int]
    class_index: Mapping[int, tuple[str, str]] | None

    @property
    def of_split(self) -> list[tuple[int, str]]:
        """The index and name of each class folder of the split, by name."""
        return [(self.indices[name], name) for name in self.split.classes]

    def group_order(self, training: Path) -> list[int]:
        """Return the indices of all classes in the order of their labels within the group of all classes.

        Args:
            training: The folder of the training split. Its classes come first, because a network that is trained on
                them has an output for each; classes that only other splits have come after them.
        """
        listings = (self.split, *self.others)
        trained = {
            self.indices[c] for each in listings if each.folder == training for c in each.classes if c in self.indices
        }
        return [*sorted(trained), *sorted({*self.indices.values()} - trained)]

    def notes(self) -> list[str]:
        """Say what a person should know about the classes, in sentences; nothing if all is as expected."""
        return [
            *self._describe_content(),
            *self._describe_numbering(),
            *(note for other in self.others for note in self._compare(other)),
            *self._describe_empty(),
        ]

    def _describe_content(self) -> list[str]:
        notes = []
        if self.split.left_out:
            names = join_names(self.split.left_out)
            notes.append(f"left out, because other programs make such folders: {names}")
        if self.split.images:
            count, names = len(self.split.images), join_names(self.split.images, 3)
            notes.append(f"{count} images are in no class folder and are left out: {names}")
        return notes

    def _describe_numbering(self) -> list[str]:
        if self.class_index:
            return []
        names = [name for name in self.indices if not is_number(name)]
        notes = []
        if names and len(names) < len(self.indices):
            notes.append(
                f"not all names are whole numbers ({join_names(names)}), so a class's index is its position in the "
                "sorted names and not its number"
            )
        if names and not self.others:
            notes.append(
                f"no other split has classes, so {self.split.folder.name} alone decides the indices of the classes"
            )
        return notes

    def _compare(self, other: SplitListing) -> list[str]:
        here, there = self.split.folder.name, other.folder.name
        own = {self.indices[name]: name for name in self.split.classes}
        others = {self.indices[name]: name for name in other.classes if name in self.indices}
        total = len({*own, *others})
        if not own.keys() & others.keys():
            return [f"{here} and {there} share no class: {len(own)} classes in {here}, {len(others)} in {there}"]
        notes = []
        for lacking, present, is_own in ((own, others, True), (others, own, False)):
            names = [name for index, name in sorted(present.items()) if index not in lacking]
            if names:
                split = here if is_own else there
                notes.append(f"{split} lacks {len(names)} of {total} classes: {join_names(names)}")
        pairs = [(own[i], others[i]) for i in sorted(own.keys() & others.keys()) if own[i] != others[i]]
        if pairs:
            notes.append(
                f"{len(pairs)} numbers are written differently in {here} and {there}, first {quote_pair(*pairs[0])}; "
                "the number counts"
            )
        return notes

    def _describe_empty(self) -> list[str]:
        notes = []
        listed = set(self.class_index or self.indices.values())
        gaps = max(listed) + 1 - len(listed)
        if gaps:
            first = _first_missing(listed, 5)
            more = f" and {gaps - len(first)} more" if gaps > len(first) else ""
            noun = f"class {first[0]} is" if gaps == 1 else f"classes {', '.join(map(str, first))}{more} are"
            notes.append(f"{noun} empty: no folder has this index. The indices are {min(listed)} to {max(listed)}")
        absent = sorted(listed - set(self.indices.values()))
        if absent and self.class_index:
            names = join_names(self.class_index[index][0] for index in absent)
            notes.append(f"{len(absent)} of {len(listed)} classes of the class index file have no folder: {names}")
        return notes


def order_classes(
    folder: Path, class_index: Mapping[int, tuple[str, str]] | None = None, other_splits: Iterable[Path] = ()
) -> ClassOrder:
    """Decide which index each class folder has.

    With a class index file, it is the index there. Otherwise it is the number that names the folder if the names in all
    splits are whole numbers, and else the position in the sorted names of all splits.

    Args:
        folder: The folder of a split.
        class_index: Folder name and class name of each index.
        other_splits: The folders of the dataset's other splits; those that do not exist do not count.

    Raises:
        DataError: If a split has no classes or is not readable, names look alike, or the splits share no class.
        MissingError: If the folder does not exist.
    """
    split = list_split_with_classes(folder, [name for name, _ in class_index.values()] if class_index else ())
    others = tuple(other for other in map(list_split, _existing(other_splits, folder)) if other.classes)
    if class_index:
        by_folder = {name: index for index, (name, _) in class_index.items()}
        _check_listed(split, by_folder)
        names = {*split.classes, *(name for other in others for name in other.classes if name in by_folder)}
        return ClassOrder(split, others, {name: by_folder[name] for name in sorted(names)}, class_index)
    flat = [other for other in others if other.is_flat]
    if flat:
        raise flat_error(flat[0])
    splits = [split, *others]
    names = {name for one in splits for name in one.classes}
    if all(map(is_number, names)):
        return ClassOrder(split, others, _read_numbers(splits), None)
    _check_alike(splits)
    for one, another in combinations(splits, 2):
        _check_overlap(one, another)
    return ClassOrder(split, others, {name: index for index, name in enumerate(sorted(names))}, None)


def _existing(folders: Iterable[Path], besides: Path) -> list[Path]:
    return [other for other in folders if other.is_dir() and other != besides]


def _check_listed(split: SplitListing, by_folder: Mapping[str, int]) -> None:
    """Raise if a class folder is not in the class index file."""
    unknown = [name for name in split.classes if name not in by_folder]
    if not unknown:
        return
    read = {read_name(name): name for name in by_folder}
    alike = read.get(read_name(unknown[0]))
    hint = f" It looks like {quote_pair(unknown[0], alike)}." if alike else ""
    count = f" ({len(unknown)} of {len(split.classes)} folders are not)" if len(unknown) > 1 else ""
    raise DataError(
        f"{split.folder}: the folder '{join_names(unknown[:1])}' is not in the class index file{count}.{hint} Its "
        f"folders are: {join_names(sorted(by_folder))}."
    )


def _read_numbers(splits: Sequence[SplitListing]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for split in splits:
        seen: dict[int, str] = {}
        for name in split.classes:
            number = int(name)
            if number > LARGEST_INDEX:
                raise DataError(
                    f"{split.folder}: the number '{name}' is too large for a class index, which is at most "
                    f"{LARGEST_INDEX}. {_ADVICE}"
                )
            if seen.setdefault(number, name) != name:
                raise DataError(
                    f"{split.folder}: two class folders have the same number; rename one: "
                    f"{quote_pair(seen[number], name)}"
                )
            numbers[name] = number
    return numbers


def _check_alike(splits: Sequence[SplitListing]) -> None:
    pair = find_alike({name for split in splits for name in split.classes})
    if pair is None:
        return
    where = [next(split.folder for split in splits if name in split.classes) for name in pair]
    place = str(where[0]) if where[0] == where[1] else f"{where[0]} and {where[1]}"
    raise DataError(f"{place}: the class folders {quote_pair(*pair)} look alike but would be two classes. {_ADVICE}")


def _check_overlap(one: SplitListing, another: SplitListing) -> None:
    if set(one.classes) & set(another.classes):
        return
    raise DataError(
        f"{one.folder} and {another.folder} share no class: {join_names(one.classes, 3)} in the first, "
        f"{join_names(another.classes, 3)} in the second. A class has the same folder name in every split. Rename the "
        "folders, or list them all in a file under class_index_files (config_data.yaml)."
    )


def _first_missing(listed: set[int], most: int) -> list[int]:
    """Return the smallest numbers from 0 on that are not listed and below the largest one, at most `most`."""
    below = range(min(max(listed), len(listed) + most) + 1)
    return [index for index in below if index not in listed][:most]
