"""Partition keys: the grammar of the names that partitions have in targets, folders and Dagster."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dynvision.errors import ConfigError, UnknownNameError, unknown_name

__all__ = ["Condition", "GroupSeed", "SplitGroup", "find_level", "find_levels", "level_text"]

ROUNDING = 6e-8
"""How much a number changes, relative to itself, if it is stored as float32."""


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


def find_level(value: object, levels: Collection[str]) -> str | None:
    """Return the level that a value names, also if it is a number that is written otherwise (`1`, `0.50`, `1e-1`).

    The same text comes first, then the nearest number, if it is the same but for the rounding of a float32.

    Args:
        value: What a user gave.
        levels: The levels as partitions have them; a mapping by level is the fastest if there are many.

    Returns:
        One of the levels; `None` if there is no such level.
    """
    text = level_text(value)
    if text in levels:
        return text
    number = _read_number(text)
    if number is None:
        return None
    distances = {level: abs(other - number) for level in levels if (other := _read_number(level)) is not None}
    nearest = min(distances, key=lambda level: distances[level], default=None)
    return nearest if nearest is not None and distances[nearest] <= ROUNDING * abs(number) else None


def find_levels(parameter: str, value: object, levels: Sequence[str]) -> list[str]:
    """Return the levels that a value, several values or a range name, in the order of the levels.

    Args:
        parameter: The parameter, for the message of an error.
        value: One value; several of them, as a list or an array; or `slice(first, last)` of numbers, with both ends.
        levels: The levels as partitions have them.

    Raises:
        UnknownNameError: If there is no such level; the message names the nearest.
        ConfigError: If nothing is chosen, or a range is none of numbers.
    """
    if isinstance(value, slice):
        return _find_range(parameter, value, levels)
    chosen = set()
    for one in _each(value):
        level = find_level(one, levels)
        if level is None:
            raise unknown_name(f"level of '{parameter}'", level_text(one), levels)
        chosen.add(level)
    if not chosen:
        raise ConfigError(f"no level of '{parameter}' is given. Levels: {', '.join(levels)}")
    return [level for level in levels if level in chosen]


def _each(value: object) -> Iterator[object]:
    """Yield the values of a list or an array, or the only one; numbers of an array become Python's own."""
    if isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", True):
        for one in value:
            yield from _each(one)
    else:
        yield value.item() if hasattr(value, "item") else value


def _find_range(parameter: str, value: slice, levels: Sequence[str]) -> list[str]:
    ends = [None if end is None else _read_number(level_text(end)) for end in (value.start, value.stop)]
    numbers = [_read_number(level) for level in levels]
    is_range = value.step is None and ends.count(None) == [value.start, value.stop].count(None)
    if not is_range or None in numbers:
        raise ConfigError(
            f"{parameter}={value!r}: a range is slice(first, last) of two numbers, and its levels are numbers. "
            f"Levels: {', '.join(levels)}"
        )
    low, high = (-math.inf if ends[0] is None else ends[0]), (math.inf if ends[1] is None else ends[1])
    chosen = [
        level for level, number in zip(levels, numbers, strict=True) if number is not None and low <= number <= high
    ]
    if not chosen:
        raise ConfigError(f"no level of '{parameter}' lies from {low:g} to {high:g}. Levels: {', '.join(levels)}")
    return chosen


def _read_number(text: str) -> float | None:
    """Return the number that a text is; `None` if it is another text."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def level_text(value: object) -> str:
    """Write a level as YAML does: `0.1`, `1.0`, `20`, `true`, `gaussian`."""
    return str(value).lower() if isinstance(value, bool) else str(value)
