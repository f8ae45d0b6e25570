"""Reading recorded responses: opened, exported, and with the images that were shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.config.conditions import describe_parameters
from dynvision.errors import DamagedFileError
from dynvision.experiments.readout import LABELS_MATCH
from dynvision.experiments.stores.store import digest_content, read_note
from dynvision.records import Record
from dynvision.stages.base import ReadBack
from dynvision.stages.processed import ProcessedStage
from dynvision.stages.recorded.films import (
    TRIALS_SHOWN,
    choose_trials_shown,
    draw_course,
    film_records,
    find_film,
    has_course_drawn,
)
from dynvision.stages.recorded.results import ResponseResults
from dynvision.stages.recorded.shown_images import open_shown_images
from dynvision.stages.response_targets import ResponseTargets
from dynvision.targets import Target

if TYPE_CHECKING:
    import xarray
    from PIL.Image import Image

    from dynvision.data.stores.base import StoredImages
    from dynvision.films.film import Film

__all__ = ["RecordedResponses"]


class RecordedResponses(ResponseTargets):
    """The responses that were recorded."""

    load_options = ("allow_missing",)
    has_films = True

    def load(self, targets: Sequence[Target], allow_missing: bool = False, **options: Any) -> Any:
        return self.results(targets, allow_missing).open()

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
        return self.results(targets, allow_missing).export(form, path, layers=layers, overwrite=overwrite)

    def shown_images(self, target: Target, responses: xarray.Dataset) -> xarray.DataArray:
        _, images = self.upstream(target)
        source = self._open_recorded(target, json.loads(responses.attrs["inputs"]))
        part = self.config.shown(target.key[2]).parts[0]
        size = self.config.data.data_resolution[images.key[1]]
        return open_shown_images(source, part, size, responses, str(images))

    def film(self, target: Target, images: int | Sequence[int] = TRIALS_SHOWN) -> Film:
        return self.films([target], images)[0]

    def films(self, targets: Sequence[Target], images: int | Sequence[int] = TRIALS_SHOWN) -> list[Film]:
        """Return the film of each of some conditions of one key, of the same trials; see `film`."""
        from dynvision.experiments.reading import open_store

        records = self.require(targets)
        source = self._open_recorded(targets[0], records[0].inputs)
        root = open_store(self.output(targets[0])).to_dataset()
        rows = choose_trials_shown(root["sample"].values.tolist(), images, str(targets[0]))
        return film_records(records, root, source, self.config.shown(targets[0].key[2]).parts[0], rows)

    def _open_recorded(self, target: Target, inputs: Mapping[str, str]) -> StoredImages:
        """Open the images that were shown to record responses, given the data versions of their inputs."""
        _, images = self.upstream(target)
        stage = self.stages[images.stage]
        (record,) = stage.require([images])
        if inputs.get(str(images)) != record.data_version:
            raise DamagedFileError(
                f"{images} was made again since the responses were recorded, or they were recorded with other images. "
                f"Make them again: dynvision make {'/'.join(target.key)}"
            )
        stage.check_files(images, record)
        return self.stages.of(ProcessedStage).open_images(images, record)

    def results(self, targets: Sequence[Target], allow_missing: bool = False) -> ResponseResults:
        """Return the responses of conditions, to be opened or exported.

        Args:
            targets: Conditions of one key.
            allow_missing: Take those that exist; otherwise a missing one is an error.

        Raises:
            MissingError: If one has not been made, or none has.
        """
        existing = [t for t in targets if self.read_record(t) is not None] if allow_missing else list(targets)
        records = self.require(existing or targets[:1])
        experiment, key = self.config.experiments[targets[0].key[1]], targets[0].key
        conditions = {t: experiment.level_values(self.levels(t)) for t in targets}
        levels = {name: list(dict.fromkeys(c[name] for c in conditions.values())) for name in experiment.parameters}
        is_whole = len(targets) == len(self.partitions(key))
        return ResponseResults(
            "/".join(key) if is_whole else ", ".join(map(str, targets)),
            [(conditions[t], self.output(t)) for t in existing],
            records,
            levels,
            self._class_names(existing[0], records[0]),
            describe_parameters(experiment),
            self.paths.root,
        )

    def _class_names(self, target: Target, record: Record) -> dict[int, str]:
        """Return the names of the classes that responses were made from, for stores that do not have them yet."""
        names: dict[int, str] = {}
        if LABELS_MATCH in record.details:  # a store that says this has the names that there are
            return names
        for upstream in self.upstream(target):
            try:
                made_from = self.stages[upstream.stage].read_record(upstream)
            except DamagedFileError:
                continue
            if made_from is not None and made_from.data_version == record.inputs.get(str(upstream)):
                names |= {entry["index"]: entry["name"] for entry in made_from.details.get("classes", [])}
        return names

    def read_back(self, target: Target, record: Record) -> ReadBack:
        note = read_note(self.output(target))
        sentence = f"{len(record.files)} files of {record.details['samples']} trials"
        return ReadBack(digest_content(note["digests"]), sentence)

    def draw(self, target: Target, record: Record) -> dict[str, Image | Path]:
        store = self.output(target)
        strip = find_film(store)
        course = {"time_course": draw_course(record)} if has_course_drawn(store, record.details) else {}
        return {**({} if strip is None else {"stimulus": strip}), **course}
