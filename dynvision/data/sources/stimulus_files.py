"""Stimulus sets whose images are written from other files: an archive of images, an array, or videos."""

from __future__ import annotations

import shutil
import zipfile
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from dynvision.config import Config
from dynvision.config.sections.stimulus_sets import ZARR, StimulusSet, find_sort
from dynvision.data.images.image_table import Rows
from dynvision.data.sources.exporting import export_images
from dynvision.data.sources.folders.class_folders import Export
from dynvision.data.sources.stimulus_folder import StimulusFolder
from dynvision.data.sources.stimulus_sets.arrays import ArrayImages
from dynvision.data.sources.stimulus_sets.listing import list_tree
from dynvision.data.sources.stimulus_sets.movies import VIDEO_SUFFIXES, Movie, list_videos
from dynvision.data.sources.unpacking import Limits, unpack_archive
from dynvision.data.sources.watched_files import WatchedFiles
from dynvision.errors import DataError, MissingError
from dynvision.paths import Paths
from dynvision.system.escaping import show_text
from dynvision.system.files import (
    digest_json,
    make_directory,
    read_json,
    remove_leftovers,
    replace_directory,
    temporary_sibling,
    write_json,
)
from dynvision.system.progress import say

__all__ = ["StimulusArchive", "StimulusArray", "StimulusFile", "StimulusMovies", "find_stimuli"]

_LIMITS = Limits(n_bytes=1 << 38, n_members=10_000_000)
"""What an archive of stimuli may hold: 256 GiB."""


class StimulusFile(StimulusFolder):
    """Images that come in one file and are written to `data/raw/<name>/images` when the raw stage is made.

    The file is watched: another content makes the set stale.
    """

    def __init__(self, dataset: str, config: Config, paths: Paths) -> None:
        super().__init__(dataset, config, paths)
        self.path = paths.root / Path(str(self.given.images)).expanduser()

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write all images to an empty folder.

        Raises:
            DataError: If the file is not what it should be; the message begins with its path.
        """

    def settings(self, split: str) -> dict[str, Any]:
        """Return those of a folder, and the digest of the file."""
        return {**super().settings(split), "images": self.digest()}

    def explain_change(self, split: str, changed: Sequence[str]) -> str | None:
        """Say whether the file changed that the images are written from."""
        if "images" in changed:
            return f"the images changed: {self.given.images or self.given.folder}"
        return super().explain_change(split, changed)

    def scan(self, split: str) -> Export:
        """See `FoundSource.scan`; another content of the file gives another stamp."""
        export = super().scan(split)
        return replace(export, stamp=digest_json([export.stamp, self.digest()]))

    def folder(self, split: str) -> Path:
        """Return `data/raw/<name>/images`."""
        return self.paths.raw(self.dataset) / "images"

    def read(self, split: str, known: Rows) -> Export:
        """Write the images, and read them."""
        folder = self.folder(split)
        digest, note = self.digest(), self._read_note()
        self._refuse_foreign(folder, note)
        if self.path.exists():
            remove_leftovers(folder)
            self._put_in_place(folder, digest)
        else:
            say(f"{self.path} is gone; the images that were written from it are used")
        return super().read(split, known)

    def digest(self) -> str:
        """Return the digest of the file, or the one that was noted if the file is gone.

        Raises:
            MissingError: If the file does not exist, and its images were never written.
        """
        if not self.path.exists():
            noted = self._read_note().get("digest")
            if noted is None or not self.folder("all").is_dir():
                key = f"stimulus_sets.{self.dataset}.{'images' if self.given.folder is None else 'folder'}"
                where = self.config.folder / "config_data.yaml"
                raise MissingError(f"{self.path} does not exist. It holds the images of {where}: {key}.")
            return str(noted)
        cache, top = self.paths.raw(self.dataset) / ".images.files.json", self._top()
        folder, files = (top, self._watched()) if top.is_dir() else (top.parent, [top.name])
        return str(WatchedFiles(folder, files, (), cache).digest())

    def _top(self) -> Path:
        """The file, store or folder that is watched."""
        return self.path

    def _watched(self) -> list[str] | None:
        """Return the files that count if there is a folder of them; `None` for all."""
        return None

    def _note(self) -> Path:
        return self.paths.raw(self.dataset) / ".images.json"

    def _read_note(self) -> dict[str, Any]:
        return read_json(self._note()) or {}

    def _refuse_foreign(self, folder: Path, note: dict[str, Any]) -> None:
        """Raise if something in the folder was not written from the file: it would be deleted."""
        if not folder.exists() and not folder.is_symlink():
            return
        if not folder.is_dir() or folder.is_symlink():
            foreign = ["."]
        else:
            tree = list_tree(folder)
            foreign = sorted({*tree.paths, *tree.others} - set(note.get("files", ())))
        if foreign:
            what = "it" if foreign[0] == "." else f"'{show_text(foreign[0])}' in it"
            raise DataError(
                f"{folder} is in the way: {what} was not written from {self.path}. Move it elsewhere; nothing of yours "
                "is deleted."
            )

    def _put_in_place(self, folder: Path, digest: str) -> None:
        make_directory(folder.parent)
        temporary = temporary_sibling(folder)
        temporary.mkdir()
        try:
            self.write(temporary)
            tree = list_tree(temporary)
            write_json(self._note(), {"digest": digest, "files": [*tree.paths, *tree.others]}, indent=None)
            replace_directory(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


class StimulusArchive(StimulusFile):
    """A zip or tar of images, such as BrainIO's."""

    def write(self, folder: Path) -> None:
        """Unpack the archive."""
        try:
            unpack_archive(self.path, folder, _LIMITS)
        except (DataError, zipfile.BadZipFile, EOFError, ValueError) as error:
            raise DataError(f"{self.path} cannot be unpacked: {show_text(error, 200)}") from error


class StimulusArray(StimulusFile):
    """An array of all images: `[N, H, W]`, `[N, H, W, C]` or `[N, C, H, W]`."""

    is_in_order: ClassVar[bool] = True

    def write(self, folder: Path) -> None:
        """Write each image as PNG, with its place in the array as its name."""
        images = ArrayImages.open(self.path, self.bit_depth)
        level = self.config.data.png_compress_level
        export_images(images, [""], folder, len(images), f"raw/{self.dataset}:all", compress_level=level)
        _take_out(folder)

    def _top(self) -> Path:
        """The whole store, if the array is in a Zarr store."""
        inside = (self.path, *self.path.parents)
        return next((path for path in reversed(inside) if path.suffix.lower() == ZARR), self.path)


class StimulusMovies(StimulusFile):
    """A folder of video files: the frames of each are a stimulus."""

    def __init__(self, dataset: str, config: Config, paths: Paths) -> None:
        super().__init__(dataset, config, paths)
        self.path = paths.root / Path(str(self.given.folder)).expanduser()

    def write(self, folder: Path) -> None:
        """Write the frames of each video as PNG files to a folder of its name."""
        videos = list_videos(self.path)
        if not videos:
            raise DataError(
                f"{self.path} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}), nor does a folder in it"
            )
        for video in videos:
            self._export(Movie(self.path / video), folder / video, video)

    def _export(self, movie: Movie, folder: Path, name: str) -> None:
        level = self.config.data.png_compress_level
        folder.mkdir(parents=True)
        export_images(movie, [""], folder, len(movie), f"raw/{self.dataset}:all, {name}", compress_level=level)
        _take_out(folder)

    def _watched(self) -> list[str] | None:
        """Return the video files."""
        return list_videos(self.path)


def _take_out(folder: Path) -> None:
    """Move the images of the only class folder up into the folder that it is in."""
    (only,) = (path for path in folder.iterdir() if path.is_dir())
    for image in only.iterdir():
        image.rename(folder / image.name)
    only.rmdir()


def find_stimuli(given: StimulusSet) -> type[StimulusFolder]:
    """Return the source of a stimulus set."""
    if given.frames == "movies":
        return StimulusMovies
    if given.images is None:
        return StimulusFolder
    return StimulusArchive if find_sort(given.images) == "archive" else StimulusArray
