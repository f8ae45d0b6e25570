"""How the targets of a stage are made: from what, into which files, and with which record."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from dynvision.errors import ConfigError, MissingError
from dynvision.records import Record
from dynvision.stages.base.assets import StageAssets
from dynvision.targets import Target

__all__ = ["UNCHECKED", "StageOutputs"]

UNCHECKED = "its checks have not passed: they failed, or the run ended before them"
"""The reason why a target that was built does not count as up to date."""


class StageOutputs(StageAssets):
    """The outputs of a stage: their inputs and settings, their files, and building them.

    Attributes:
        code_version: To be changed when new code gives another result from the same inputs; existing outputs are
            stale then.
        builds_many: Whether several partitions of a key are built in one go.
        computes_networks: Whether building runs a network, which is faster on a GPU.
        shares_inputs: Whether all partitions of a key are made from the same inputs.
        observes_config: Whether the slice of the configuration that a partition depends on is shown in Dagster, as
            an observation of `config/<dataset>`.
        watches_files: Whether some of its targets are files that may change without this project.
    """

    code_version: ClassVar[str]
    builds_many: ClassVar[bool] = False
    computes_networks: ClassVar[bool] = False
    shares_inputs: ClassVar[bool] = False
    observes_config: ClassVar[bool] = False
    watches_files: ClassVar[bool] = False

    # From what a target is made.

    @abstractmethod
    def upstream(self, target: Target) -> list[Target]:
        """Return the targets that a target is directly made from."""

    @abstractmethod
    def settings(self, target: Target) -> dict[str, Any]:
        """Return the slice of the configuration that a target depends on, as JSON-ready values."""

    def recorded_settings(self, target: Target, record: Record) -> dict[str, Any]:
        """Return the settings by which a target was built, as `settings` names them today."""
        return record.config

    def explain_change(self, target: Target, changed: Sequence[str]) -> str:
        """Say why a target is stale, given which of its settings are not those of its record."""
        return f"the configuration changed: {', '.join(changed)}"

    def watched_files(self, target: Target) -> str | None:
        """Return a digest of the target's files if others may change them (see `watches_files`), otherwise `None`."""
        return None

    # Its files, and building them.

    def unchecked_mark(self, target: Target) -> Path:
        """Return the file that exists from before a target is built until its hard checks have passed."""
        output = self.written(target)[0]
        return output.with_name(f".{output.name}.unchecked")

    def output(self, target: Target) -> Path:
        """Return the file or folder that a target is."""
        return self.paths.output(self.folder, *target.key[1:], target.partition)

    def describe_unfinished(self, target: Target) -> str:
        """Say in a clause what an interrupted build of a target left, from which the next one goes on; or nothing."""
        return ""

    def discard_unfinished(self, target: Target) -> None:
        """Remove what an interrupted build left, now that the target is up to date; the caller holds its lock."""
        return

    def written(self, target: Target) -> list[Path]:
        """Return the files and folders that building a target writes; its lock lies next to the first."""
        return [self.output(target)]

    @abstractmethod
    def read_record(self, target: Target) -> Record | None:
        """Return the record of a target; `None` if it has not been built.

        Raises:
            DamagedFileError: If it cannot be read, is not as written, or is that of another target.
        """

    def check_files(self, target: Target, record: Record, *, afresh: bool = False) -> None:
        """Compare the files of a target with its record. A file is read only if its stamp is not a known one.

        Args:
            target: The target.
            record: Its record.
            afresh: Read every byte.

        Raises:
            DamagedFileError: If a file is missing or is not the one that was written.
        """
        record.check_files(self.output(target)).check_all(afresh=afresh)

    @abstractmethod
    def record_files(self, target: Target) -> list[Path]:
        """Return the files that carry the record; without them nothing counts as built."""

    @abstractmethod
    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        """Build targets of one key and return their records, in order.

        Args:
            targets: What to build; more than one only if `builds_many`.
            inputs: The record of everything upstream.
        """

    # What was built.

    def require(self, targets: Sequence[Target]) -> list[Record]:
        """Return the records of targets.

        Raises:
            MissingError: If one has not been made, or its hard checks have not passed; names the command that makes it.
        """
        unchecked = next((target for target in targets if self.unchecked_mark(target).exists()), None)
        if unchecked is not None:
            raise MissingError(f"{unchecked} does not count as made; {UNCHECKED}. Make it: dynvision make {unchecked}")
        records = [self.read_record(target) for target in targets]
        missing = [target for target, record in zip(targets, records, strict=True) if record is None]
        if missing:
            names = ", ".join(str(t) for t in missing[:5]) + (" …" if len(missing) > 5 else "")
            command = str(missing[0]) if len(missing) == 1 else "/".join(missing[0].key)
            raise MissingError(f"{names} has not been made. Make it: dynvision make {command}")
        return [record for record in records if record is not None]

    def require_one(self, targets: Sequence[Target]) -> tuple[Target, Record]:
        """Return the only one of some targets, with its record.

        Raises:
            ConfigError: If there are several; names the partitions.
            MissingError: If it has not been made.
        """
        if len(targets) != 1:
            names = ", ".join(str(t.partition) for t in targets)
            ways = " and ".join(f"{name}=" for name in self.selectors)
            raise ConfigError(
                f"{'/'.join(targets[0].key)} has the partitions {names}; say which with partition="
                + (f", or with {ways}" if ways else "")
            )
        return targets[0], self.require(targets)[0]
