"""The one place where paths are computed: everything under one root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ALL_SUBJECTS", "PHENOMENA", "Paths", "name_processed", "name_store"]

ALL_SUBJECTS = "_subjects"

PHENOMENA = "phenomena"
"""The place of the tables of phenomena among the reports, so that no experiment may have this name."""
"""The folder of reports that compare subjects. No subject has a name that begins with `_`."""


@dataclass(frozen=True)
class Paths:
    """Where each stage keeps its files.

    Attributes:
        root: The folder that holds `data/` and `.dagster/`.
    """

    root: Path

    @property
    def data(self) -> Path:
        """`data/`, which holds every output."""
        return self.root / "data"

    @property
    def dagster_home(self) -> Path:
        """`.dagster/`, the home of the Dagster instance."""
        return self.root / ".dagster"

    def output(self, folder: str, *names: str | None) -> Path:
        """`data/<folder>/<name>/…`, without the names that are `None`."""
        return self.data.joinpath(folder, *(name for name in names if name is not None))

    def raw(self, dataset: str, split: str | None = None) -> Path:
        """`data/raw/<dataset>[/<split>]`."""
        folder = self.data / "raw" / dataset
        return folder if split is None else folder / split

    def external(self, dataset: str) -> Path:
        """`data/external/<dataset>`, another folder for your own images."""
        return self.data / "external" / dataset

    def interim(self, dataset: str, partition: str) -> Path:
        """`data/interim/<dataset>/<split>_<group>`."""
        return self.data / "interim" / dataset / partition

    def processed(self, dataset: str, partition: str) -> Path:
        """`data/processed/<dataset>/<split>_<group>`."""
        return self.data / "processed" / dataset / partition

    def model(self, model: str, dataset: str, partition: str) -> Path:
        """`data/models/<model>/<dataset>/<group>_s<seed>`."""
        return self.data / "models" / model / dataset / partition

    def responses(self, experiment: str, subject: str, condition: str) -> Path:
        """`data/responses/<experiment>/<subject>/<condition>.zarr`."""
        return self.data / "responses" / experiment / subject / f"{condition}.zarr"

    def report(self, experiment: str, subject: str = ALL_SUBJECTS) -> Path:
        """`data/reports/<experiment>/<subject>`, or `…/_subjects` for all of them."""
        return self.data / "reports" / experiment / subject

    def previews(self, experiment: str, subject: str) -> Path:
        """`data/previews/<experiment>/<subject>`, what will be shown."""
        return self.data / "previews" / experiment / subject

    def relative(self, path: Path) -> str:
        """Write a path relative to the root if it lies inside."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.as_posix()


def name_store(path: Path) -> str | None:
    """Name the target whose responses a path holds; `None` if it is none of `Paths.responses`, as a copy elsewhere."""
    whole = path.absolute()
    experiment, subject, condition = whole.parent.parent.name, whole.parent.name, whole.name.removesuffix(".zarr")
    is_in_place = any(Paths(root).responses(experiment, subject, condition) == whole for root in whole.parents[4:5])
    return f"responses/{experiment}/{subject}:{condition}" if is_in_place else None


def name_processed(path: Path) -> str | None:
    """Name the target that a file belongs to by its place; `None` if it is none of `Paths.processed`."""
    folder = path.absolute().parent
    dataset, partition = folder.parent.name, folder.name
    is_in_place = any(Paths(root).processed(dataset, partition) == folder for root in folder.parents[3:4])
    return f"processed/{dataset}:{partition}" if is_in_place else None
