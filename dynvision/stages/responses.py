"""Responses: what a network does when it is shown images, one partition for each condition."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dynvision.config.sections.experiments import Subject
from dynvision.config.subjects import choose_standardization
from dynvision.errors import ConfigError, DamagedFileError
from dynvision.experiments.order import OrderedCondition, OrderedImages, OrderedNetwork, SweepOrder
from dynvision.experiments.readout import match_labels
from dynvision.records import Record, make_record
from dynvision.stages.base import Stage
from dynvision.stages.base.checks import Check
from dynvision.stages.base.run_settings import RunSettings
from dynvision.stages.processed import ProcessedStage
from dynvision.stages.recorded.checks import responses_are_complete_and_finite
from dynvision.stages.recorded.films import write_films
from dynvision.stages.recorded.records import describe_responses, put_in_place, read_out_again
from dynvision.stages.response_reading import RecordedResponses
from dynvision.system.json_values import same_json
from dynvision.system.progress import say
from dynvision.targets import Target

if TYPE_CHECKING:
    from dynvision.data.stores.base import StoredImages

__all__ = ["ResponsesStage"]


class ResponsesStage(RecordedResponses):
    """`responses/<experiment>/<subject>`, partitions `<param>=<level>[,<param>=<level>]`."""

    computes_networks = True
    builds_many = True
    shares_inputs = True
    checks = (Check(responses_are_complete_and_finite, is_hard=False, while_building=True),)

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
            n_conditions=experiment.n_conditions,
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
        write_films(order, recording.images.trials, [writer.folder for writer in sweep.writers], sweep.dt)

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
