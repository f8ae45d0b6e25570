"""What every stage answers: how it is run, and how what it built is read, checked, drawn and exported."""

from __future__ import annotations

import copy
import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from dynvision.config import Config
from dynvision.errors import ConfigError
from dynvision.paths import Paths
from dynvision.records import Record
from dynvision.stages.base.checks import Check, Inspection
from dynvision.stages.base.outputs import StageOutputs
from dynvision.stages.base.run_settings import RunSettings
from dynvision.targets import Target

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure
    from PIL.Image import Image

    from dynvision.films.film import Film

__all__ = ["ReadBack", "Stage", "Stages"]

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


class Stage(StageOutputs):
    """A stage of the graph over one configuration and one root.

    Args:
        config: The validated configuration.
        paths: The paths of the root.
        stages: All stages over the same configuration and root; a stage finds the others here.

    Attributes:
        load_options: The keywords of `load` besides `selectors`.
        has_pages: Whether each of its targets has a page to look at.
        has_films: Whether its targets have a film of what was shown, which is drawn when it is asked for.
        checks: The checks of a finished target.
        run: How the present run computes.
    """

    load_options: ClassVar[tuple[str, ...]] = ()
    has_pages: ClassVar[bool] = False
    has_films: ClassVar[bool] = False
    checks: ClassVar[tuple[Check, ...]] = ()
    run: RunSettings = RunSettings()

    def __init__(self, config: Config, paths: Paths, stages: Stages) -> None:
        super().__init__(config, paths)
        self.stages = stages

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
