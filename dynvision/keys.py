"""Partition keys: the grammar of the names that partitions have in targets, folders and Dagster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dynvision.errors import UnknownNameError

__all__ = ["Condition", "GroupSeed", "SplitGroup", "find_level", "level_text"]


@dataclass(frozen=True, order=True)
class SplitGroup:
    """A group of one split, written `<split>_<group>`: `train_all`, `test_invertebrates`.

    A stimulus set has no splits: its groups are written `<group>`.

    Attributes:
        split: `train` or `test`, which hold no `_`; empty for a group of a stimulus set.
        group: The group.
    """

    split: str
    group: str

    @classmethod
    def parse(cls, text: str) -> SplitGroup:
        """Read `<split>_<group>`.

        Raises:
            UnknownNameError: The text has no `_`.
        """
        split, underscore, group = text.partition("_")
        if not underscore:
            raise UnknownNameError(f"'{text}' names no class group of a split. Write it like 'train_all'.")
        return cls(split, group)

    def __str__(self) -> str:
        return f"{self.split}_{self.group}" if self.split else self.group

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that its images are kept in: `train` and `val`, or `test`, or `images` of a stimulus set."""
        if not self.split:
            return ("images",)
        return ("train", "val") if self.split == "train" else (self.split,)


@dataclass(frozen=True, order=True)
class GroupSeed:
    """The class group and the seed that a network was trained with, written `<group>_s<seed>`: `all_s0`.

    Attributes:
        group: The class group.
        seed: The seed, a whole number from 0.
    """

    group: str
    seed: int

    @classmethod
    def parse(cls, text: str) -> GroupSeed:
        """Read `<group>_s<seed>`.

        Raises:
            UnknownNameError: The text does not end in `_s<seed>`.
        """
        group, mark, seed = text.rpartition("_s")
        if not mark or not seed.isdecimal():
            raise UnknownNameError(f"'{text}' names no trained network. Write it like 'all_s0'.")
        return cls(group, int(seed))

    def __str__(self) -> str:
        return f"{self.group}_s{self.seed}"


class Condition(Mapping[str, str]):
    """The level of each swept parameter, written `<parameter>=<level>[,<parameter>=<level>]`.

    The parameters keep the order in which the experiment names them. Two conditions are equal where their levels are,
    in whatever order.

    Args:
        levels: The level of each parameter: its text, or the number that the configuration gives.
    """

    __slots__ = ("_levels",)

    def __init__(self, levels: Mapping[str, object]) -> None:
        self._levels = {name: level_text(level) for name, level in levels.items()}

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read `contrast=0.5,duration=20`; whether an experiment has such levels is not asked here.

        Raises:
            UnknownNameError: A part is no `<parameter>=<level>`, or a parameter is given twice.
        """
        levels: dict[str, str] = {}
        for part in text.split(","):
            parameter, equals, level = part.partition("=")
            if not equals:
                raise UnknownNameError(f"'{part}' names no level. Write it like 'contrast=0.5'.")
            if parameter in levels:
                raise UnknownNameError(f"'{text}' gives '{parameter}' twice")
            levels[parameter] = level
        return cls(levels)

    def __getitem__(self, parameter: str) -> str:
        return self._levels[parameter]

    def __iter__(self) -> Iterator[str]:
        return iter(self._levels)

    def __len__(self) -> int:
        return len(self._levels)

    def __hash__(self) -> int:
        return hash(frozenset(self._levels.items()))

    def __str__(self) -> str:
        return ",".join(f"{parameter}={level}" for parameter, level in self._levels.items())

    def __repr__(self) -> str:
        return f"Condition({self._levels})"


def find_level(value: object, levels: Iterable[str]) -> str | None:
    """Return the level that a value names, also if it is a number that is written otherwise (`1`, `0.50`, `1e-1`).

    Args:
        value: What a user gave.
        levels: The levels as partitions have them.

    Returns:
        One of the levels; `None` if there is no such level.
    """
    text, valid = level_text(value), list(levels)
    if text in valid:
        return text
    number = _read_number(text)
    return None if number is None else next((level for level in valid if _read_number(level) == number), None)


def _read_number(text: str) -> float | None:
    """Return the number that a text is; `None` if it is another text."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def level_text(value: object) -> str:
    """Write a level as YAML does: `0.1`, `1.0`, `20`, `true`, `gaussian`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
