"""Schema of `stimulus_sets` in `config_data.yaml`: images without classes, with or without a table about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from dynvision.config.values.limits import MOST_IMAGES, PlainText
from dynvision.config.values.names import Section, repeats
from dynvision.system.escaping import show_text

__all__ = [
    "ZARR",
    "ClassIndices",
    "ColumnGroup",
    "ColumnName",
    "Group",
    "LabelColumn",
    "Resolution",
    "StimulusSet",
    "column_name",
    "find_sort",
]

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""The endings of archives of image files."""

ARRAY, ZARR = ".npy", ".zarr"
"""The ending of a NumPy array, and that of a Zarr store, in which the array may have a path of its own."""


def find_sort(images: str) -> Literal["archive", "array"] | None:
    """Return what a file of images is, by its name; `None` if it is neither an archive nor an array."""
    name = images.lower().rstrip("/")
    if name.endswith(ARCHIVES):
        return "archive"
    return "array" if name.endswith(ARRAY) or any(part.endswith(ZARR) for part in name.split("/")) else None


Resolution = Annotated[int, Field(ge=4, le=4096)]
"""Width and height of an image in pixels."""

ClassIndices = Annotated[list[Annotated[int, Field(ge=0, le=MOST_IMAGES)]], Field(fail_fast=True)]


def column_name(text: str) -> str:
    """Return the name that a column of a table has in results: with `_` for blanks, which coordinates cannot have."""
    return "_".join(text.split())


def _as_values(value: object) -> object:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ValueError("the list is empty, so no image would be chosen; list values of the column")
    for each in values:
        if not isinstance(each, (str, int, float, bool)):
            raise ValueError(f"a value of a column is a text, a number, true or false, not a {type(each).__name__}")
    if twice := repeats([(type(each), each) for each in values]):
        raise ValueError(f"the value {twice[0][1]} is listed twice")
    return values


ColumnName = Annotated[PlainText, AfterValidator(column_name)]
"""The name of a column, as a table or as results write it."""

Values = Annotated[list[Any], BeforeValidator(_as_values)]
"""One value, or a list of them."""


class ColumnGroup(Section):
    """A group of a stimulus set: the images whose row has one of the values, in every column that is named."""

    where: dict[ColumnName, Values] = Field(min_length=1)


def _sort_of_group(value: object) -> str:
    return "dict[where]" if isinstance(value, (dict, ColumnGroup)) else "list[index]"


Group = Annotated[
    Annotated[ClassIndices, Tag("list[index]")] | Annotated[ColumnGroup, Tag("dict[where]")],
    Discriminator(_sort_of_group),
]
"""A group of a dataset (a list of class indices), or of a stimulus set."""


class LabelColumn(Section):
    """The column that says what an image shows: by the name of its class, or by the network's own output index."""

    column: ColumnName
    by: Literal["name", "index"] = "name"


class StimulusSet(Section):
    """Images that are shown and never trained on; see the guide's page on stimulus sets.

    A relative path starts at the root. Without `folder` and `images`, the images lie in `data/raw/<name>`. `images` is
    a zip or tar of image files, or an array of all images (`.npy` or Zarr), from which `data/raw/<name>/images` is
    written.

    With `frames` a stimulus has several images, which a program shows one after the other (`which: next`): those of a
    folder, or of a video file, whose frames are written to `data/raw/<name>/images`. The table has a row a stimulus.
    """

    resolution: Resolution
    folder: PlainText | None = Field(None, description="the images, also in folders below it")
    images: PlainText | None = Field(None, description="instead of a folder: an archive, or an array of images")
    table: PlainText | None = Field(None, description="CSV or Parquet, a row an image, with a column 'filename'")
    label: LabelColumn | None = None
    frames: Literal["folders", "movies"] | None = Field(
        None, description="a stimulus is a folder of frames in natural order, or a video file, and not one image"
    )

    @model_validator(mode="after")
    def _label_has_a_table(self) -> StimulusSet:
        if self.label is not None and self.table is None:
            raise ValueError("'label' names a column of the 'table', and there is none")
        return self

    @field_validator("images")
    @classmethod
    def _images_are_readable(cls, images: str | None) -> str | None:
        if images is not None and find_sort(images) is None:
            raise ValueError(
                f"'{show_text(images, 80)}' is neither an archive ({', '.join(ARCHIVES)}) nor an array ({ARRAY}, "
                f"{ZARR}); name a folder of images as 'folder'"
            )
        return images

    @model_validator(mode="after")
    def _images_lie_in_one_place(self) -> StimulusSet:
        if self.folder is not None and self.images is not None:
            raise ValueError("the images are in a 'folder' or in one file ('images'), not both")
        if self.frames == "movies" and self.folder is None:
            raise ValueError("'frames: movies' needs the 'folder' of the video files")
        if self.frames is not None and self.images is not None and find_sort(self.images) == "array":
            raise ValueError("an array has no folders of frames; leave 'frames' out, or give the frames as files")
        return self
