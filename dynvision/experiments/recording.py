"""Recording a sweep: opens network and images once, shows every condition, streams to the stores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dynvision.data.image_source import ImageSource
from dynvision.data.splits import spread_over_classes
from dynvision.data.trials import choose_trials
from dynvision.experiments.conditions import all_conditions
from dynvision.experiments.readout import accuracy_over_time, chance_level, class_mask, score_accuracy
from dynvision.experiments.showing import BatchResponses, SweepRunner
from dynvision.experiments.store import ArrayLayout, StoreWriter
from dynvision.files import check_free_space
from dynvision.models.loading import check_network, match_layers, rebuild_network
from dynvision.progress import progress_bar, say
from dynvision.records import Record
from dynvision.targets import Target

if TYPE_CHECKING:
    from dynvision.stages.responses import ResponsesStage

__all__ = ["SweepRecording"]

BUFFER_BYTES = 1 << 29
"""How much one batch's responses, in all conditions of the experiment, may take in memory."""


class SweepRecording:
    """One run over a selection of conditions of one experiment and subject.

    Args:
        stage: The responses stage.
        targets: The conditions; all of one key.
        inputs: The records of the model and the images.
    """

    def __init__(self, stage: ResponsesStage, targets: Sequence[Target], inputs: dict[Target, Record]) -> None:
        self.stage, self.targets = stage, list(targets)
        _, self.experiment_name, self.subject_name = targets[0].key
        config = stage.config
        self.experiment = config.experiments[self.experiment_name]
        self.subject = config.subjects[self.subject_name]
        self.settings = config.record(self.experiment_name, self.subject_name)
        model, images = stage.upstream(targets[0])
        self.model_record = inputs[model]
        self.model_folder = stage.paths.model(model.key[1], model.key[2], str(model.partition))
        self.source = ImageSource(config, stage.paths, self.subject.dataset, str(images.partition), inputs[images])
        self.table = self.source.samples("test")
        self.indices = spread_over_classes(self.table["label"], self.settings.samples)
        self.presentations = [stage.presentation(t) for t in targets]
        self.images_per_trial = max(p.n_images for p in self.presentations)
        trials = choose_trials(len(self.indices), self.images_per_trial)
        self.trials = np.asarray(self.indices)[trials]
        self.labels = np.asarray(self.table["label"])[self.trials[:, self.experiment.readout.image]]
        self.output_classes = [entry["index"] for entry in self.model_record.details["classes"]]
        self.group_classes = [entry["index"] for entry in self.source.classes]
        self.choices = class_mask(self.output_classes, self.group_classes, self.experiment.readout.choices)
        self._tallies: list[_Tally] = []
        self._steps: dict[str, int] = {}

    def run(self) -> list[StoreWriter]:
        """Show everything; the writers hold what is needed to finish each store."""
        network = self._open_network()
        layers = match_layers(network, self.settings.layers)
        shown = [p.preceded_by(self.experiment.idle) for p in self.presentations]
        runner = SweepRunner(network, shown, layers, self.settings.resolution, self.experiment.idle)
        self._steps = {"steps_computed": runner.steps_computed, "steps_naive": runner.steps_naive}
        layout = self._find_layout(runner)
        batch_size = self._batch_size(layout)
        self._announce(layout)
        for target in self.targets:
            self.stage.clear_partial(target)
        writers = [self._open_store(target, layout, batch_size) for target in self.targets]
        readout = self.experiment.readout
        windows = [p.window(readout.window, readout.image) for p in self.presentations]
        loader = self.source.loader("test", batch_size, indices=self.indices, images_per_trial=self.images_per_trial)
        self._tallies = [_Tally() for _ in self.targets]
        done = 0
        with progress_bar(len(self.indices), f"responses/{self.experiment_name}/{self.subject_name}") as bar:
            for sequence, _ in loader:
                count = len(sequence.images)
                ids = np.asarray(self.indices[done : done + count])
                responses = runner.show(sequence.images, ids)
                for number, writer in enumerate(writers):
                    writer.write(done, _flatten(responses, number))
                    self._tally(number, responses, self.labels[done : done + count], windows[number])
                done += count
                bar.update(count)
        return writers

    def details(self, target: Target) -> dict[str, Any]:
        """Facts for people about one condition."""
        number = self.targets.index(target)
        tally = self._tallies[number]
        return {
            "samples": len(self.indices),
            "n_timesteps": self.presentations[number].n_timesteps,
            "accuracy": tally.accuracy,
            "accuracy_over_time": (tally.right / tally.trials).tolist(),
            "chance": chance_level(self.labels, self.output_classes, self.choices),
            "readout": self.experiment.readout.model_dump(mode="json"),
            "mean_response": {layer: (total / tally.trials).tolist() for layer, total in tally.sums.items()},
            "peak_response": {layer: float((total / tally.trials).max()) for layer, total in tally.sums.items()},
            "conditions_together": len(self.targets),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            **self._steps,
        }

    def _open_network(self) -> torch.nn.Module:
        status = self.experiment.status.removeprefix("trained-")
        network = rebuild_network(self.model_record, self.model_folder / f"{status}.safetensors")
        size = self.stage.config.data.data_resolution[self.subject.dataset]
        check_network(network, len(self.output_classes), self.source.channels, size)
        return network

    def _find_layout(self, runner: SweepRunner) -> ArrayLayout:
        size = self.stage.config.data.data_resolution[self.subject.dataset]
        probe = SweepRunner(runner.network, [self.presentations[0]], runner.layers, self.settings.resolution)
        probe.plan = probe.plan[:1]
        blank = torch.zeros(1, self.images_per_trial, self.source.channels, size, size)
        evoked = _flatten(probe.show(blank, np.zeros(1, dtype=np.int64)), 0)
        return {name: value.shape[2:] for name, value in evoked.items()}

    def _bytes_per_image(self, layout: ArrayLayout) -> int:
        units = sum(int(np.prod(shape)) for shape in layout.values())
        return units * self.presentations[0].n_timesteps * np.dtype(self.settings.dtype).itemsize

    def _batch_size(self, layout: ArrayLayout) -> int:
        """From settings alone, so that the numbers do not depend on free memory or on the selection."""
        conditions = len(all_conditions(self.experiment))
        each = conditions * self._bytes_per_image(layout) * (4 // np.dtype(self.settings.dtype).itemsize)
        return max(1, min(self.settings.batch_size, BUFFER_BYTES // each))

    def _announce(self, layout: ArrayLayout) -> None:
        needed = self._bytes_per_image(layout) * len(self.indices) * len(self.targets)
        folder = self.stage.output(self.targets[0]).parent
        what = f"responses/{self.experiment_name}/{self.subject_name}"
        say(
            f"{what}: {len(self.targets)} conditions × {len(self.indices)} images × "
            f"{self.presentations[0].n_timesteps} steps, up to {needed / 1e6:,.1f} MB before compression; "
            f"{self._steps['steps_computed']} of {self._steps['steps_naive']} steps a trial are distinct"
        )
        self.stage.clear_partial(self.targets[0])
        check_free_space(folder, needed, what)

    def _open_store(self, target: Target, layout: ArrayLayout, batch_size: int) -> StoreWriter:
        presentation = self.presentations[self.targets.index(target)]
        steps = presentation.n_timesteps
        picked = [self.table["source"][i] for i in self.indices]
        own_labels = np.asarray(self.table["label"])[self.indices]
        dt = getattr(self.stage.config.models[self.subject.model], "args", {}).get("dt")
        coordinates: dict[str, Any] = {
            "sample": ("sample", np.asarray(self.indices), {"long_name": "place in test.beton or the interim folder"}),
            "time": ("time", np.arange(steps), {"units": "step", "long_name": "time step of the presentation"}),
            "label": ("sample", own_labels, {"long_name": "class index in the dataset's own order"}),
            "group_label": ("sample", np.asarray(self.table["group_label"])[self.indices]),
            "source": ("sample", np.asarray(picked, dtype=object)),
            "shown": ("time", presentation.frames, {"long_name": "image shown, -1 for void"}),
            "contrast_shown": ("time", np.where(presentation.frames < 0, 0.0, presentation.contrasts)),
            "class": ("class", np.asarray(self.output_classes), {"long_name": "class of each output"}),
        }
        if self.images_per_trial > 1:
            images = ("sample", "image")
            coordinates["image_label"] = (images, np.asarray(self.table["label"])[self.trials])
            coordinates["image_source"] = (images, np.asarray(self.table["source"], dtype=object)[self.trials])
        if dt is not None:
            coordinates["time_ms"] = ("time", np.arange(steps) * float(dt), {"units": "ms"})
        attributes = {
            "target": str(target),
            "layers": list(dict.fromkeys(name.rpartition("/")[0] for name in layout if "/" in name)),
            "group_classes": self.group_classes,
            "settings": json.dumps(self.stage.settings(target)),
            "model_version": self.model_record.data_version,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "batch_size": batch_size,
        }
        return StoreWriter(
            self.stage.output(target),
            layout,
            n_samples=len(self.indices),
            n_timesteps=steps,
            batch_size=batch_size,
            dtype=self.settings.dtype,
            coordinates=coordinates,
            attributes=attributes,
        )

    def _tally(self, number: int, responses: BatchResponses, labels: Any, window: slice) -> None:
        """Add a batch to the running accuracy and mean responses of a condition."""
        tally, scores = self._tallies[number], responses.scores[number]
        reduce = self.experiment.readout.reduce
        tally.trials += len(labels)
        tally.scored += score_accuracy(scores, labels, self.output_classes, self.choices, window, reduce).sum()
        tally.right = tally.right + len(labels) * accuracy_over_time(scores, labels, self.output_classes, self.choices)
        for layer, variables in responses.layers.items():
            value = variables.get("mean", variables.get("response"))
            if value is not None:
                shown = value[number]
                over_units = shown.reshape(*shown.shape[:2], -1).mean(axis=2, dtype=np.float64)
                tally.sums[layer] = tally.sums.get(layer, 0) + over_units.sum(axis=0)


@dataclass
class _Tally:
    """What is added up over the batches of a condition."""

    trials: int = 0
    scored: float = 0.0
    right: Any = 0.0
    sums: dict[str, Any] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Mean score of the trials by the experiment's readout."""
        return float(self.scored / self.trials)


def _flatten(responses: BatchResponses, condition: int) -> dict[str, Any]:
    layers = {
        f"{layer}/{variable}": value[condition]
        for layer, variables in responses.layers.items()
        for variable, value in variables.items()
    }
    return {**layers, "scores": responses.scores[condition]}
