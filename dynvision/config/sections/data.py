"""Schema of `config_data.yaml`: datasets, groups, splits, sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from dynvision.config.sections.stimulus_sets import ColumnGroup, Group, Resolution, StimulusSet
from dynvision.config.values.limits import MOST_IMAGES, PlainSettings, PlainText, Range, Seed
from dynvision.config.values.names import ImportPath, LongName, Name, Section
from dynvision.config.values.transform_calls import TransformText
from dynvision.keys import SplitGroup

__all__ = [
    "DataConfig",
    "DataSource",
    "GratingsConfig",
    "Statistics",
]

CHECKSUM = r"^[0-9a-f]{32}$"
OWNER = r"^(team:.+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,7})$"


Checksum = Annotated[str, StringConstraints(pattern=CHECKSUM)]


def _cut(value: object) -> object:
    return value[:200] if isinstance(value, str) else value


def _check_pattern(value: object) -> str:
    parts = value.split("/") if isinstance(value, str) and len(value) <= 1000 else [".."]
    strange = any("**" in part and part != "**" for part in parts)
    if not any(parts) or ".." in parts or not parts[0] or set(parts) <= {".", ""} or strange:
        raise ValueError(
            f"{_cut(value)!r} is no path or glob below the folder of the dataset, as in 'images.npz' or '**/*.mat'"
        )
    return str(value)


InputPattern = Annotated[str, BeforeValidator(_check_pattern)]
"""A path or glob below the folder of a dataset."""


def _check_split_args(split_args: Mapping[Any, dict[str, Any]], args: dict[str, Any]) -> None:
    train, test = split_args.get("train"), split_args.get("test")
    if train is None or test is None or train == test:
        raise ValueError(
            "'split_args' gives the arguments of both splits, which differ: {train: {split: train}, test: {split: val}}"
        )
    if twice := sorted({*train, *test} & set(args)):
        raise ValueError(f"'{twice[0]}' is both in 'args' and in 'split_args'; keep it in one of them")


class DataSource(Section):
    """Where the images of a dataset come from, if not from its usual place.

    Either an archive: its address and checksum, which replace those of torchvision, also for the files inside.
    Or a dataset class by import path, with further arguments for it (`args`), the arguments that choose a split if
    `split` or `train` does not (`split_args`), and the files that it reads, as paths or globs below its folder
    (`inputs`; all files of the folder by default); see `dynvision.data.sources.class_path`.
    """

    class_path: ImportPath | None = Field(None, alias="class")
    args: PlainSettings = Field(default_factory=dict)
    split_args: dict[Literal["train", "test"], PlainSettings] | None = None
    inputs: list[InputPattern] | None = None
    url: PlainText | None = None
    md5: Checksum | None = None
    files: dict[PlainText, Checksum] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_checksum(self) -> DataSource:
        if self.class_path is not None and (self.url or self.md5 or self.files):
            raise ValueError("a source is either a 'class' or an archive ('url', 'md5', 'files'), not both")
        if self.args and self.class_path is None:
            raise ValueError("'args' are the arguments of a 'class', and there is none")
        if self.class_path is None and (self.split_args is not None or self.inputs is not None):
            given = "split_args" if self.split_args is not None else "inputs"
            raise ValueError(f"'{given}' is about a 'class', and there is none")
        if self.split_args is not None:
            _check_split_args(self.split_args, self.args)
        if self.url is not None and self.md5 is None and not self.files:
            raise ValueError("a source of your own needs its checksum: add 'md5' (or 'files' if it is several files)")
        return self


class Statistics(Section):
    """Mean and standard deviation of each channel, for images in [0, 1]."""

    mean: list[Annotated[float, Field(ge=-1000, le=1000)]] = Field(min_length=1, max_length=64)
    std: list[Annotated[float, Field(le=1000)]] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _is_usable(self) -> Statistics:
        if len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means but {len(self.std)} standard deviations")
        if len(self.mean) not in (1, 3):
            raise ValueError(f"{len(self.mean)} means; images have 1 channel (grey) or 3 (RGB)")
        if any(s <= 0 for s in self.std):
            raise ValueError("a standard deviation must be positive")
        if any(s < 1e-6 for s in self.std):
            raise ValueError("a standard deviation below 0.000001 would blow every image up beyond float32")
        return self


class GratingsConfig(Section):
    """The embedded dataset of oriented gratings; see `dynvision.data.sources.gratings`."""

    orientations: int = Field(8, ge=2, le=180)
    train_per_class: int = Field(200, ge=2, le=1_000_000)
    test_per_class: int = Field(50, ge=1, le=1_000_000)
    contrast: float = Field(0.8, gt=0, le=1)
    spatial_frequency: Range = (3.0, 6.0)
    noise: float = Field(0.08, ge=0, le=1)
    seed: Seed = 0

    @model_validator(mode="after")
    def _range_is_ordered(self) -> GratingsConfig:
        low, high = self.spatial_frequency
        if not 0 < low <= high <= 4096:
            raise ValueError("spatial_frequency is [lowest, highest] in cycles per image, above 0 and up to 4096")
        return self


class DataConfig(Section):
    """Everything in `config_data.yaml`. A dataset exists when `data_resolution` or `stimulus_sets` names it."""

    use_ffcv: bool = True
    image_store: Name | None = Field(None, description="a module of dynvision.data.stores; by default use_ffcv decides")
    owners: list[Annotated[str, StringConstraints(pattern=OWNER, max_length=200)]] = Field(
        default_factory=list,
        fail_fast=True,
        description="of the assets, shown in the UI: 'team:<name>' or e-mail addresses",
    )
    train_ratio: float = Field(0.9, gt=0, lt=1)
    split_seed: Seed = 0
    write_timeout: float = Field(
        60.0, gt=0, le=1e7, description="seconds without progress after which a writer is stopped"
    )
    write_mode: dict[Name, Literal["raw", "jpg", "smart", "proportion", "bytes"]] = Field(
        default_factory=dict, description="of a dataset's .beton files; by default raw up to 64 pixels, jpg above"
    )
    jpeg_quality: int = Field(95, ge=1, le=100, description="of images stored as JPEG")
    max_bad_images: int = Field(
        0, ge=0, le=MOST_IMAGES, description="unreadable images that may be left out of a partition"
    )
    png_compress_level: int = Field(6, ge=0, le=9, description="of exported images; 0 is fast and large")
    data_resolution: dict[Name, Resolution] = Field(default_factory=dict)
    stimulus_sets: dict[Name, StimulusSet] = Field(default_factory=dict)
    data_statistics: dict[Name, Statistics] = Field(default_factory=dict)
    max_shared_images: dict[Name, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict, description="the share of a split's images that another split may hold; 0.01 by default"
    )
    bit_depth: dict[Name, Annotated[int, Field(ge=8, le=16)]] = Field(
        default_factory=dict, description="of a dataset's images that are kept in more than 8 bits, as 12 of a camera"
    )
    data_groups: dict[Name, dict[Name, Group]] = Field(default_factory=dict)
    data_sources: dict[Name, DataSource] = Field(default_factory=dict)
    mounted_datasets: list[Name] | dict[Name, PlainText] = Field(default_factory=list)
    class_index_files: dict[Name, PlainText] = Field(default_factory=dict)
    transform_presets: dict[LongName, list[TransformText]] = Field(default_factory=dict)
    gratings: GratingsConfig = GratingsConfig()

    @model_validator(mode="after")
    def _sets_are_datasets(self) -> DataConfig:
        """Give the stimulus sets a resolution where datasets have theirs."""
        if not self.data_resolution and not self.stimulus_sets:
            raise ValueError("there are no images: name a dataset under 'data_resolution', or give 'stimulus_sets'")
        if twice := [name for name in self.stimulus_sets if name in self.data_resolution]:
            raise ValueError(
                f"'{twice[0]}' is in 'stimulus_sets' and in 'data_resolution'; leave it out of 'data_resolution'"
            )
        sizes = {name: stimuli.resolution for name, stimuli in self.stimulus_sets.items()}
        self.__dict__["data_resolution"] = {**self.data_resolution, **sizes}
        return self

    def is_stimulus_set(self, dataset: str) -> bool:
        """Whether a dataset is a stimulus set: images without splits and classes."""
        return dataset in self.stimulus_sets

    def groups(self, dataset: str) -> dict[str, list[int] | None]:
        """Return the groups of a dataset by name, each with its classes.

        `all`, which means every class, comes first and is `None`, and so are the groups of a stimulus set, which are
        chosen by `column_group`.
        """
        named = self.data_groups.get(dataset, {})
        return {"all": None, **{name: group if isinstance(group, list) else None for name, group in named.items()}}

    def column_group(self, dataset: str, group: str) -> ColumnGroup | None:
        """Return which images a group of a stimulus set consists of; `None` if all of them."""
        chosen = self.data_groups.get(dataset, {}).get(group)
        return chosen if isinstance(chosen, ColumnGroup) else None

    def parse_partition(self, dataset: str, text: str) -> SplitGroup:
        """Read a partition of interim or processed: `<split>_<group>`, of a stimulus set `<group>`."""
        return SplitGroup("", text) if self.is_stimulus_set(dataset) else SplitGroup.parse(text)

    def shown(self, dataset: str, group: str) -> SplitGroup:
        """Return the images that a subject is shown: those of the split `test`, or of a whole stimulus set."""
        return SplitGroup("" if self.is_stimulus_set(dataset) else "test", group)

    @property
    def store_name(self) -> str:
        """The module of `dynvision.data.stores` that keeps the images."""
        return self.image_store or ("beton_files" if self.use_ffcv else "image_files")

    def mounts(self) -> dict[str, str]:
        """Return the folder of each mounted dataset."""
        mounted = self.mounted_datasets
        return mounted if isinstance(mounted, dict) else {name: f"/{name}" for name in mounted}
