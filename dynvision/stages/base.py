"""What every stage answers: what it builds, from what, whether it is up to date, and how it is read, checked and drawn.

Nobody outside this room asks which stage a target belongs to: they ask the stage.
"""

from __future__ import annotations

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from dynvision.config import Config
from dynvision.errors import ConfigError, MissingError, unknown_name
from dynvision.paths import Paths
from dynvision.records import Record
from dynvision.stages.checks import Check, Inspection
from dynvision.stages.run_settings import RunSettings
from dynvision.targets import Target

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from dynvision.films.film import Film

__all__ = ["UNCHECKED", "ReadBack", "Stage", "Stages"]

UNCHECKED = "its checks have not passed: they failed, or the run ended before them"
"""The reason why a target that was built does not count as up to date."""

Key = tuple[str, ...]
StageType = TypeVar("StageType", bound="Stage")


@dataclass(frozen=True)
class ReadBack:
    """What was read when a finished target was read again.

    Attributes:
        content: The digest of the content, as it enters the data version.
        sentence: What was compared, for people.
    """

    content: str
    sentence: str


class Stage(ABC):
    """A stage of the graph over one configuration and one root.

    Args:
        config: The validated configuration.
        paths: The paths of the root.
        stages: All stages over the same configuration and root; a stage finds the others here.

    Attributes:
        name: The word for the stage: the first part of its keys.
        folder: The folder under `data/` that holds its outputs.
        code_version: To be changed when new code gives another result from the same inputs; existing outputs are
            stale then.
        key_names: What the parts of a key after the stage's name are.
        builds_many: Whether several partitions of a key are built in one go.
        computes_networks: Whether building runs a network, which is faster on a GPU.
        shares_inputs: Whether all partitions of a key are made from the same inputs.
        is_partitioned: Whether its assets have partitions.
        observes_config: Whether the slice of the configuration that a partition depends on is shown in Dagster, as
            an observation of `config/<dataset>`.
        watches_files: Whether some of its targets are files that may change without this project.
        selectors: The keywords of `load` and `path` that choose a partition, the same for all keys.
        load_options: The other keywords of `load`.
        has_pages: Whether each of its targets has a page to look at.
        checks: The checks of a finished target.
        run: How the present run computes.
    """

    name: ClassVar[str]
    folder: ClassVar[str]
    code_version: ClassVar[str]
    key_names: ClassVar[tuple[str, ...]] = ("dataset",)
    builds_many: ClassVar[bool] = False
    computes_networks: ClassVar[bool] = False
    shares_inputs: ClassVar[bool] = False
    is_partitioned: ClassVar[bool] = True
    observes_config: ClassVar[bool] = False
    watches_files: ClassVar[bool] = False
    selectors: ClassVar[tuple[str, ...]] = ()
    load_options: ClassVar[tuple[str, ...]] = ()
    has_pages: ClassVar[bool] = False
    checks: ClassVar[tuple[Check, ...]] = ()
    run: RunSettings = RunSettings()

    def __init__(self, config: Config, paths: Paths, stages: Stages) -> None:
        self.config, self.paths, self.stages = config, paths, stages

    # What there is, and from what it is made.

    @abstractmethod
    def keys(self) -> list[Key]:
        """Return the keys of the stage's assets."""

    @abstractmethod
    def partitions(self, key: Key) -> list[str | None]:
        """Return the partitions of an asset; `[None]` if it has none."""

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

    # How users and Dagster name it.

    def parse(self, key: Key, text: str) -> str:
        """Read a partition as a user writes it.

        Raises:
            UnknownNameError: If there is no such partition.
        """
        valid = [p for p in self.partitions(key) if p is not None]
        if text not in valid:
            raise unknown_name("partition", text, valid, "/".join(key))
        return text

    def parse_path(self, parts: Sequence[str]) -> tuple[Key, str | None]:
        """Read the parts of a path below the stage's folder.

        Returns:
            The key, and the text of a partition; `None` if the path names the whole asset.
        """
        depth = len(self.key_names)
        return (self.name, *parts[:depth]), parts[depth] if len(parts) > depth else None

    def dimensions(self, key: Key) -> dict[str, list[str]]:
        """Return the dimensions of an asset's partitions, each with its levels in order; one, unnamed, by default."""
        names = [name for name in self.partitions(key) if name is not None]
        return {"": names} if names else {}

    def levels(self, target: Target) -> dict[str, str]:
        """Return the level of a target in each of `dimensions`."""
        return {} if target.partition is None else {"": target.partition}

    def partition_at(self, key: Key, levels: Mapping[str, str]) -> str:
        """Return the partition at these levels; the inverse of `levels`."""
        return levels[""]

    def tags(self, key: Key) -> dict[str, str]:
        """Return what an asset is about, by which it is found and filtered: dataset, model, experiment, subject."""
        return dict(zip(self.key_names, key[1:], strict=False))

    def describe(self, key: Key) -> str:
        """Say in Markdown what an asset holds, with shapes and units."""
        return f"`data/{self.folder}/{'/'.join(key[1:])}`"

    def description(self, key: Key) -> str | None:
        """Return what the configuration says in its own words about an asset; `None` if it says nothing."""
        experiment = self.config.experiments.get(key[1]) if "experiment" in self.key_names else None
        return None if experiment is None else experiment.description

    # Its files, and building them.

    def unchecked_mark(self, target: Target) -> Path:
        """Return the file that exists from before a target is built until its hard checks have passed."""
        output = self.written(target)[0]
        return output.with_name(f".{output.name}.unchecked")

    def output(self, target: Target) -> Path:
        """Return the file or folder that a target is."""
        return self.paths.output(self.folder, *target.key[1:], target.partition)

    def describe_unfinished(self, target: Target) -> str:
        """Say what an interrupted build of a target left from which the next one goes on; empty if there is nothing."""
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

    def with_run_settings(
        self, targets: Sequence[Target], run_settings: Mapping[str, Any], *, fresh: bool = False
    ) -> Stage:
        """Return the stage as one run uses it.

        Args:
            targets: What the run builds; all of one key.
            run_settings: What is set for the run, as `RunSettings` has it.
            fresh: See `RunSettings`.
        """
        stage = copy.copy(self)
        stage.run = dataclasses.replace(RunSettings.from_dict(run_settings), fresh=fresh)
        return stage

    @abstractmethod
    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        """Build targets of one key and return their records, in order.

        Args:
            targets: What to build; more than one only if `builds_many`.
            inputs: The record of everything upstream.
        """

    # Reading what was built.

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

    def selectors_of(self, key: Key) -> tuple[str, ...]:
        """Return the keywords of `load` and `path` that choose partitions of a key."""
        return self.selectors

    def select(self, key: Key, **options: Any) -> list[Target]:
        """Return the targets of a key that match the given keywords (see `selectors_of`); all if there are none.

        Raises:
            UnknownNameError: If there is no such partition or level; the message names the nearest.
        """
        return [Target(key, partition) for partition in self.partitions(key)]

    @abstractmethod
    def load(self, targets: Sequence[Target], **options: Any) -> Any:
        """Load what targets hold, as `dynvision_assets.load` gives it.

        Args:
            targets: The targets; more than one only if the stage can put them together.
            options: Some of `load_options`.

        Raises:
            ConfigError: If there are more targets than can be loaded together.
            MissingError: If one has not been made; names the command.
            DamagedFileError: If a file is not the one that was written.
        """

    def shown_images(self, target: Target, responses: xarray.Dataset) -> xarray.DataArray:
        """Open the images that were shown to record responses; see `open_shown_images`.

        Args:
            target: What the responses are.
            responses: The root of the responses, or a selection of its samples.

        Raises:
            ConfigError: If nothing was shown to make such a target.
            MissingError: If the images are not there any more; names the command.
            DamagedFileError: If they are not the ones that were shown.
        """
        raise ConfigError(f"no images were shown to make {target}; only responses have images")

    def export(
        self,
        targets: Sequence[Target],
        form: str,
        path: Path,
        *,
        layers: Sequence[str] = (),
        overwrite: bool = False,
        allow_missing: bool = False,
    ) -> Path:
        """Write what targets hold to one file for other programs.

        Args:
            targets: The targets, of one key.
            form: The format, one of `dynvision.exports.formats.SUFFIXES`.
            path: The file.
            layers: The layers; without any, all of them.
            overwrite: Replace also a file that is no export of these targets.
            allow_missing: Export the targets that exist.

        Raises:
            ConfigError: If the stage has nothing to export, or another file is in the way.
            MissingError: If a target has not been made; names the command.
            MachineError: If the file cannot be written.
        """
        raise ConfigError(f"{'/'.join(targets[0].key)} is not exported: only responses are. `load` gives it in Python.")

    @abstractmethod
    def read_back(self, target: Target, record: Record) -> ReadBack:
        """Read a finished target again, byte for byte.

        Raises:
            DamagedFileError: If a file is not the one that was written.
        """

    def inspect(self, target: Target, record: Record) -> Inspection:
        """Return what the checks of a finished target look at."""
        return Inspection(self, target, record)

    def film(self, target: Target, images: int | Sequence[int] = 3) -> Film:
        """Return the film of what was shown to make a target.

        Args:
            target: The target.
            images: How many trials, or which samples.

        Raises:
            ConfigError: If nothing was shown to make such a target, or a sample was not shown.
            MissingError: If it has not been made, or the images are not there any more; names the command.
            DamagedFileError: If the images are not the ones that were shown.
        """
        raise ConfigError(f"nothing was shown to make {target}; only responses have a film of what was shown")

    @abstractmethod
    def draw(self, target: Target, record: Record) -> Mapping[str, Figure | Image | Path]:
        """Draw what a target holds: figures, pictures, or PNG files that exist already, by title."""

    def write_page(self, target: Target, notice: str = "") -> Path:
        """Write the page of a finished target again, from its files, and return its path. Nothing is computed.

        Args:
            target: The target.
            notice: Why it is not up to date, in a sentence; empty if it is.

        Raises:
            ConfigError: If such a target has no page, or a file is in the way that this project did not write.
            MissingError: If it has not been made; names the command.
            DamagedFileError: If a file is not the one that was written.
        """
        raise ConfigError(f"{target} has no page; only summaries have. List them: dynvision list summary")

    def count_bytes(self, target: Target, record: Record) -> int | None:
        """Return the size of a target on disk; `None` if that takes reading many files."""
        return int(record.details["bytes"]) if "bytes" in record.details else None

    def describe_files(self, target: Target, with_samples: bool = False) -> dict[str, dict[str, Any]]:
        """Return what the files of a target say of themselves, by file name; nothing by default.

        Args:
            target: The target.
            with_samples: Include the table of samples, under `samples`.
        """
        return {}

    def _sum_files(self, target: Target, record: Record) -> int:
        """Return the size by the record or, if it does not say, that of the files directly in the target's folder."""
        if "bytes" in record.details:
            return int(record.details["bytes"])
        return sum(file.stat().st_size for file in self.output(target).iterdir() if file.is_file())


class Stages(Mapping[str, Stage]):
    """The stages over one configuration and one root, by name, in the order in which they build on each other.

    Args:
        types: The classes of the stages.
        config: The validated configuration.
        paths: The paths of the root.
    """

    def __init__(self, types: Sequence[type[Stage]], config: Config, paths: Paths) -> None:
        self.types, self.paths = tuple(types), paths
        self._stages = {cls.name: cls(config, paths, self) for cls in types}

    def __getitem__(self, name: str) -> Stage:
        return self._stages[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stages)

    def __len__(self) -> int:
        return len(self._stages)

    def of(self, cls: type[StageType]) -> StageType:
        """Return the stage of a class."""
        stage = self._stages[cls.name]
        assert isinstance(stage, cls)
        return stage

    def over(self, config: Config) -> Stages:
        """Return the same stages over another configuration."""
        return Stages(self.types, config, self.paths)

    def order(self, target: Target) -> int:
        """Return the position of a target's stage."""
        return list(self._stages).index(target.stage)
