"""The responses of several conditions as one: read together, and exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.exports.formats import choose_layers, write_export
from dynvision.records import Record

if TYPE_CHECKING:
    import xarray

__all__ = ["ResponseResults"]


@dataclass(frozen=True)
class ResponseResults:
    """The responses of a subject in some conditions of an experiment.

    Attributes:
        name: The target that they are, as text.
        stores: For each condition that exists the level of each parameter, and the store.
        records: The record of each of them.
        levels: The levels of each parameter, in order.
        class_names: The name of each class, for stores that do not have them.
        parameters: The attributes of each parameter: `long_name` and `units`.
        root: The folder that contains `data/`.
    """

    name: str
    stores: Sequence[tuple[Mapping[str, Any], Path]]
    records: Sequence[Record]
    levels: Mapping[str, list[Any]]
    class_names: Mapping[int, str]
    parameters: Mapping[str, Mapping[str, str]]
    root: Path

    def open(self) -> xarray.DataTree:
        """Open them as one lazy tree; see `combine_conditions`.

        The attribute `target` says what they are; the encoding says in which root they lie.
        """
        from dynvision.experiments.reading import combine_conditions

        tree = combine_conditions(self.stores, self.levels, class_names=self.class_names, parameters=self.parameters)
        tree.attrs["target"] = self.name
        tree.encoding["root"] = str(self.root)
        return tree

    def export(self, form: str, path: Path, *, layers: Sequence[str] = (), overwrite: bool = False) -> Path:
        """Write them to a file; see `write_export`.

        Args:
            form: The format.
            path: The file.
            layers: The layers; without any, all of them.
            overwrite: Replace also a file that is something else.
        """
        versions = {record.target: record.data_version for record in self.records}
        return write_export(
            choose_layers(self.open(), layers),
            path,
            form,
            self.name,
            conditions=[condition for condition, _ in self.stores],
            attributes={"data_versions": versions},
            overwrite=overwrite,
        )
