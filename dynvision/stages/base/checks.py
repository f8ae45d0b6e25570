"""Checks of finished targets: each states the truth that it asserts, and says what is wrong if it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dynvision.config import Config
from dynvision.data.images.files import list_images
from dynvision.records import Record
from dynvision.targets import Target

__all__ = ["Check", "CheckResult", "Inspected", "Inspection", "count_images_again"]


class Inspected(Protocol):
    """What a check needs of a stage."""

    config: Config

    def output(self, target: Target) -> Path:
        """Return the file or folder that a target is."""
        ...


@dataclass(frozen=True)
class CheckResult:
    """The outcome of a check.

    Attributes:
        name: The truth that it asserts.
        passed: Whether it holds.
        sentence: What was found.
        numbers: Counts.
        offenders: The names of what does not fit.
    """

    name: str
    passed: bool
    sentence: str
    numbers: dict[str, float] = field(default_factory=dict)
    offenders: list[str] = field(default_factory=list)


class Inspection:
    """One look at a finished target, which all of its checks share.

    Attributes:
        stage: The target's stage.
        target: The target.
        record: Its record.
    """

    def __init__(self, stage: Inspected, target: Target, record: Record) -> None:
        self.stage, self.target, self.record = stage, target, record

    @property
    def folder(self) -> Path:
        """The folder that the target is."""
        return self.stage.output(self.target)


@dataclass(frozen=True)
class Check:
    """A check of a stage.

    Attributes:
        run: Looks at a target. Its name and docstring state the truth that is asserted.
        is_hard: Whether a failure stops the graph: the target then does not count as built.
        while_building: Whether building itself makes sure of it, so that a target of which it does not hold is not
            built; `run` only counts then.
    """

    run: Callable[[Any], CheckResult]
    is_hard: bool
    while_building: bool = False

    @property
    def name(self) -> str:
        """The truth, as an identifier."""
        return self.run.__name__

    @property
    def statement(self) -> str:
        """The truth, as a sentence."""
        return self.run.__doc__ or self.name


def count_images_again(folder: Path, record: Record) -> tuple[dict[str, int], list[str]]:
    """Count the images of each class folder.

    Returns:
        The count of each folder, and a line for each that is not the count of the record.
    """
    recorded = {c["folder"]: c["count"] for c in record.details["classes"]}
    counts = {name: len(list_images(folder / name)) if (folder / name).is_dir() else 0 for name in recorded}
    wrong = [f"{name}: {counts[name]} of {count}" for name, count in recorded.items() if counts[name] != count]
    return counts, wrong
