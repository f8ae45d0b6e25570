"""Responses: what a network does when it is shown images, one partition for each condition."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.config.conditions import (
    all_conditions,
    condition_text,
    describe_parameters,
    parse_condition,
    presentation_of,
)
from dynvision.config.experiments import Subject
from dynvision.config.subjects import choose_standardization
from dynvision.errors import ConfigError, DamagedFileError
from dynvision.experiments.order import OrderedCondition, OrderedImages, OrderedNetwork, OrderedTrials, SweepOrder
from dynvision.experiments.plan import count_states
from dynvision.experiments.readout import LABELS_MATCH, match_labels
from dynvision.experiments.store import RECORD, digest_content, read_note
from dynvision.keys import Condition, GroupSeed, find_levels
from dynvision.records import Record, make_record, read_record
from dynvision.stages.base import ReadBack, Stage
from dynvision.stages.checks import Check
from dynvision.stages.models import ModelsStage
from dynvision.stages.processed import ProcessedStage
from dynvision.stages.recorded.films import (
    TRIALS_SHOWN,
    choose_trials_shown,
    film_records,
    find_film,
    write_films,
)
from dynvision.stages.recorded.records import describe_responses, put_in_place, read_out_again
from dynvision.stages.recorded.results import ResponseResults
from dynvision.stages.recorded.shown_images import open_shown_images
from dynvision.stages.response_checks import responses_are_complete_and_finite
from dynvision.stages.run_settings import RunSettings
from dynvision.stimuli.presentation import Presentation
from dynvision.system.escaping import escape_markdown
from dynvision.system.json_values import same_json
from dynvision.system.progress import say
from dynvision.targets import Target

if TYPE_CHECKING:
    import xarray
    from PIL.Image import Image

    from dynvision.data.stores.base import StoredImages
    from dynvision.films.film import Film

__all__ = ["ResponsesStage"]


class ResponsesStage(Stage):
    """`responses/<experiment>/<subject>`, partitions `<param>=<level>[,<param>=<level>]`."""

    name = folder = "responses"
    code_version = "5"
    computes_networks = True
    key_names = ("experiment", "subject")
    builds_many = True
    shares_inputs = True
    load_options = ("allow_missing",)
    checks = (Check(responses_are_complete_and_finite, is_hard=False, while_building=True),)

    def keys(self) -> list[tuple[str, ...]]:
        experiments = self.config.experiments
        return [(self.name, name, subject) for name in experiments for subject in self.config.subjects_of(name)]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        return [condition_text(c) for c in all_conditions(self.config.experiments[key[1]])]

    def parse(self, key: tuple[str, ...], text: str) -> str:
        return condition_text(parse_condition(self.config.experiments[key[1]], text, "/".join(key)))

    def upstream(self, target: Target) -> list[Target]:
        subject = self.config.subjects[target.key[2]]
        trained_as = str(GroupSeed(subject.network_group, subject.seed))
        images = self.stages.of(ProcessedStage).images(subject.dataset, self.config.shown(target.key[2]))
        return [
            Target((ModelsStage.name, subject.model, subject.network_dataset), trained_as),
            images,
        ]

    def parse_path(self, parts: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
        key, partition = super().parse_path(parts)
        return key, None if partition is None else partition.removesuffix(".zarr")

    def dimensions(self, key: tuple[str, ...]) -> dict[str, list[str]]:
        return self.config.experiments[key[1]].levels()

    def levels(self, target: Target) -> dict[str, str]:
        return dict(self.condition(target))

    def partition_at(self, key: tuple[str, ...], levels: Mapping[str, str]) -> str:
        return str(Condition({name: levels[name] for name in self.config.experiments[key[1]].parameters}))

    def tags(self, key: tuple[str, ...]) -> dict[str, str]:
        subject = self.config.subjects[key[2]]
        return {**super().tags(key), "model": subject.model, "dataset": subject.dataset}

    def describe(self, key: tuple[str, ...]) -> str:
        own = self.description(key)
        return (
            f"Responses of {key[2]} in the experiment {key[1]} ({self.config.experiments[key[1]].data_loader}): every "
            "recorded layer over time as Zarr, dimensions (sample, time, channel[, y, x]), one store per condition, "
            "time in steps."
        ) + (f"\n\n{escape_markdown(own)}" if own else "")

    def selectors_of(self, key: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self.config.experiments[key[1]].parameters)

    def select(self, key: tuple[str, ...], **options: Any) -> list[Target]:
        valid = self.config.experiments[key[1]].levels()
        wanted = {name: find_levels(name, value, valid[name]) for name, value in options.items()}
        return [t for t in super().select(key) if all(self.levels(t)[n] in chosen for n, chosen in wanted.items())]

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
        from dynvision.analysis.figures.condition import draw_condition

        details, strip = record.details, find_film(self.output(target))
        course = draw_condition(
            details["mean_response"],
            details["accuracy_over_time"],
            str(target),
            self.presentation(target),
            details.get("dt"),
        )
        return {**({} if strip is None else {"stimulus": strip}), "time_course": course}

    def settings(self, target: Target) -> dict[str, Any]:
        _, experiment_name, subject_name = target.key
        experiment, subject = self.config.experiments[experiment_name], self.config.subjects[subject_name]
        standardization = choose_standardization(self.config, subject)
        statistics = standardization.statistics if standardization else None
        record = self.config.record(experiment_name, subject_name)
        run = self.config.run(experiment_name, subject_name)
        # The memory budget can change results only if no `batch_size` is set: it sets the batch size then.
        budget = {"memory_budget"} if record.batch_size is None else set()
        presentation: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self.presentation(target))))
        trials = self._trials(target.key)
        images = {"images_of_other_class": list(trials.other_class)} if trials.other_class else {}
        states = {"states_held": count_states(len(all_conditions(experiment)))} if budget else {}
        # What says nothing new is left out, so that existing responses stay up to date.
        by = {"standardized_by": standardization.of} if standardization and standardization.of != "dataset" else {}
        matched = {"match": subject.match} if subject.match is not None else {}
        return {
            **states,
            **images,
            **by,
            **matched,
            "presentation": presentation,
            "condition": dict(self.condition(target)),
            "idle": experiment.idle,
            "status": experiment.status,
            "record": record.model_dump(mode="json"),
            "run": run.model_dump(mode="json", include={"dtype", "mixed_precision"} | budget),
            "statistics": statistics.model_dump(mode="json") if statistics else None,
            "readout": experiment.readout.model_dump(mode="json"),
        }

    def settings_of_numbers(self, target: Target) -> dict[str, Any]:
        """Return the settings that the responses depend on: all but the readout, which is applied to stored scores."""
        return {key: value for key, value in self.settings(target).items() if key != "readout"}

    def condition(self, target: Target) -> Condition:
        """Return the level of each swept parameter."""
        return Condition(parse_condition(self.config.experiments[target.key[1]], str(target.partition), str(target)))

    def presentation(self, target: Target) -> Presentation:
        """Return what is shown when, without the idle steps before it."""
        experiment, subject = self.config.experiments[target.key[1]], self.config.subjects[target.key[2]]
        return presentation_of(experiment, dict(self.condition(target)), subject)

    def _trials(self, key: tuple[str, ...]) -> OrderedTrials:
        """Return the images of a trial; only programs show several."""
        experiment = self.config.experiments[key[1]]
        if "program" not in experiment.data_args:
            return OrderedTrials()
        return OrderedTrials.of(presentation_of(experiment, condition) for condition in all_conditions(experiment))

    def output(self, target: Target) -> Path:
        return self.paths.responses(target.key[1], target.key[2], str(target.partition))

    def read_record(self, target: Target) -> Record | None:
        return read_record(self.output(target) / RECORD, target)

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / RECORD]

    def with_run_settings(
        self, targets: Sequence[Target], run_settings: Mapping[str, Any], *, fresh: bool = False
    ) -> Stage:
        """Return the stage over a configuration with other settings of `record` and `run`.

        If they affect results, the responses count as stale until the config files have the same values.

        Args:
            targets: What the run builds; all of one key.
            run_settings: Any settings of `record` and `run` of config_models.yaml.
            fresh: See `RunSettings`.

        Raises:
            ConfigError: If there is no such setting, or it has an impossible value.
        """
        settings = dict(run_settings)
        config = self.config.with_settings(targets[0].key[1], settings) if settings else self.config
        stage = self.stages.over(config).of(ResponsesStage)
        stage.run = RunSettings(fresh=fresh)
        return stage

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        """Show the stimuli of conditions, read the responses back and put them in place.

        If only the readout changed, the existing scores are read out again, unless the run is a fresh one.

        Raises:
            ConfigError: If the settings do not suit the network, the images or the machine.
            DataError: If a response is not finite.
            DamagedFileError: If an input is damaged, or the responses read back are not those that were written.
        """
        records: dict[Target, Record] = {}
        for target in targets if not self.run.fresh else ():
            record = self._read_out_again(target, inputs)
            if record is not None:
                records[target] = record
        pending = [target for target in targets if target not in records]
        if pending:
            self._record(pending, inputs)
            say(f"{'/'.join(pending[0].key)}: reads back and compares what was recorded")
            records |= {target: put_in_place(self.output(target)) for target in pending}
        return [records[target] for target in targets]

    def order(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> SweepOrder:
        """Say what has to be recorded for conditions of one key.

        Args:
            targets: The conditions.
            inputs: The records of the model and the images.
        """
        _, experiment_name, subject_name = targets[0].key
        experiment, subject = self.config.experiments[experiment_name], self.config.subjects[subject_name]
        model, images = self.upstream(targets[0])
        name = "/".join(targets[0].key)
        labels = match_labels(subject, inputs[model], inputs[images], name)
        if labels.reason:
            say(f"{name}: there is no accuracy, as the labels of '{subject.dataset}' are others ({labels.reason})")
        status = experiment.status.removeprefix("trained-")
        weights = self.paths.model(model.key[1], model.key[2], str(model.partition)) / f"{status}.safetensors"
        return SweepOrder(
            name=name,
            conditions=tuple(
                OrderedCondition(str(t), self.presentation(t), self.settings_of_numbers(t), self.output(t))
                for t in targets
            ),
            network=OrderedNetwork(inputs[model], weights, subject.model_dump(mode="json")),
            images=OrderedImages(
                self._open_images(images, inputs[images], subject),
                self.config.data.data_resolution[subject.dataset],
                self.config.shown(subject_name).parts[0],
            ),
            inputs=self._versions(targets[0], inputs),
            code_version=self.code_version,
            record=self.config.record(experiment_name, subject_name),
            run=self.config.run(experiment_name, subject_name),
            idle=experiment.idle,
            choices=experiment.readout.choices,
            n_conditions=len(all_conditions(experiment)),
            trials=self._trials(targets[0].key),
            fresh=self.run.fresh,
            labels=labels,
        )

    def _open_images(self, target: Target, record: Record, subject: Subject) -> StoredImages:
        """Open the images that a subject is shown, standardized as it says.

        Raises:
            ConfigError: If the statistics are for another number of channels than the images have.
        """
        images = self.stages.of(ProcessedStage).open_images(target, record)
        chosen = choose_standardization(self.config, subject)
        if chosen is None or chosen.of == "dataset":
            return images
        mean, std = chosen.statistics.mean, chosen.statistics.std
        if len(mean) != images.channels:
            whose = f"the model '{subject.model}'" if chosen.of == "network" else f"'{subject.network_dataset}'"
            raise ConfigError(
                f"{target} has images of {images.channels} channel(s), but the statistics of {whose}, by which they "
                f"are standardized, have {len(mean)} means. Give '{subject.dataset}' data_statistics of its own in "
                "config_data.yaml."
            )
        return images.standardized_by((mean, std))

    def _record(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> None:
        """Show the stimuli of all targets and write their responses next to their stores."""
        from dynvision.experiments.recording import SweepRecording

        start = time.perf_counter()
        order = self.order(targets, inputs)
        recording = SweepRecording(order)
        sweep = recording.run()
        seconds = round((time.perf_counter() - start) / len(targets), 3)
        readout = self.config.experiments[targets[0].key[1]].readout
        for target, writer in zip(targets, sweep.writers, strict=True):
            details = describe_responses(writer, sweep, readout, self.presentation(target))
            record = make_record(
                target,
                code_version=self.code_version,
                config=self.settings(target),
                inputs=self._versions(target, inputs),
                content=writer.content,
                details={**details, "seconds": seconds},
            )
            writer.finish(record.to_dict(), order.record.allow_nonfinite)
        write_films(order, recording.images.trials, [writer.folder for writer in sweep.writers])

    def _versions(self, target: Target, inputs: dict[Target, Record]) -> dict[str, str]:
        return {str(upstream): inputs[upstream].data_version for upstream in self.upstream(target)}

    def _read_out_again(self, target: Target, inputs: dict[Target, Record]) -> Record | None:
        """Bring the record up to date if only the readout changed; `None` if the stimuli have to be shown."""
        try:
            record = self.read_record(target)
        except DamagedFileError:
            return None
        settings = self.settings(target)
        if (
            record is None
            or not same_json({**record.config, "readout": None}, {**settings, "readout": None})
            or same_json(record.config.get("readout"), settings["readout"])
            or record.code_version != self.code_version
            or record.inputs != self._versions(target, inputs)
        ):
            return None
        readout = self.config.experiments[target.key[1]].readout
        return read_out_again(self.output(target), record, settings, readout, self.presentation(target))
