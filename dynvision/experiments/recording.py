"""Recording a sweep: opens network and images once, shows every condition, streams to the stores."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dynvision.config.conditions import all_conditions
from dynvision.data.image_source import ImageSource
from dynvision.data.images.splits import spread_over_classes
from dynvision.data.loading.trials import choose_trials
from dynvision.errors import DynvisionError
from dynvision.experiments.budget import plan_memory
from dynvision.experiments.describing import ShownImages, describe_layers, describe_making, describe_trials
from dynvision.experiments.probing import Probe, probe_network
from dynvision.experiments.reading import open_root
from dynvision.experiments.readout import class_mask
from dynvision.experiments.reducing import Reduction
from dynvision.experiments.showing import SweepRunner
from dynvision.experiments.store import StoreWriter, write_skeleton
from dynvision.experiments.store_layout import StoreLayout
from dynvision.experiments.writing import SweepWriter
from dynvision.models.checking import check_network
from dynvision.models.loading import match_layers, rebuild_network
from dynvision.records import Record
from dynvision.system.files import check_free_space
from dynvision.system.machine import choose_device
from dynvision.system.progress import progress_bar, say
from dynvision.targets import Target

if TYPE_CHECKING:
    from dynvision.stages.responses import ResponsesStage

__all__ = ["SweepRecording"]


class SweepRecording:
    """One run over a selection of conditions of one experiment and subject.

    Args:
        stage: The responses stage.
        targets: The conditions; all of one key.
        inputs: The records of the model and the images.
        fresh: Begin anew instead of going on with what an interrupted run left.
    """

    def __init__(
        self, stage: ResponsesStage, targets: Sequence[Target], inputs: dict[Target, Record], fresh: bool = False
    ) -> None:
        self.stage, self.targets, self.fresh = stage, list(targets), fresh
        _, self.experiment_name, self.subject_name = targets[0].key
        self.name = "/".join(targets[0].key)
        config = stage.config
        self.experiment = config.experiments[self.experiment_name]
        self.subject = config.subjects[self.subject_name]
        self.record = config.record(self.experiment_name, self.subject_name)
        self.run_settings = config.run(self.experiment_name, self.subject_name)
        model, images = stage.upstream(targets[0])
        self.model_record = inputs[model]
        self.model_folder = stage.paths.model(model.key[1], model.key[2], str(model.partition))
        self.source = ImageSource(config, stage.paths, self.subject.dataset, str(images.partition), inputs[images])
        self.versions = {str(t): inputs[t].data_version for t in (model, images)}
        self.presentations = [stage.presentation(t) for t in targets]
        self.images = self._choose_images()
        self.output_classes = [entry["index"] for entry in self.model_record.details["classes"]]
        self.group_classes = [entry["index"] for entry in self.source.classes]
        # A readout that has no answer to choose from is an error before anything is shown.
        class_mask(self.output_classes, self.group_classes, self.experiment.readout.choices)
        self.device = choose_device(self.run_settings.device)
        self.threads = self.run_settings.threads or torch.get_num_threads()
        self.steps_naive = 0

    def run(self) -> list[StoreWriter]:
        """Show every image under every condition.

        Returns:
            The writer of each condition; everything is written, but nothing is in place yet.
        """
        with _torch_threads(self.threads):
            runner, probe = self._open_runner()
            layout = self._plan(runner, probe)
            writers = self._open_stores(layout, probe, runner.reduce)
            self._show(runner, layout, writers)
        return writers

    def details(self, target: Target, writer: StoreWriter) -> dict[str, Any]:
        """Facts for people about one condition."""
        from dynvision.analysis.measures import score_responses

        number = self.targets.index(target)
        presentation, readout = self.presentations[number], self.experiment.readout
        over_time, numbers = score_responses(open_root(writer.folder), readout, presentation)
        return {
            "samples": len(self.images.ids),
            "n_timesteps": presentation.n_timesteps,
            "accuracy": numbers["accuracy"],
            "accuracy_over_time": over_time.tolist(),
            "chance": numbers["chance"],
            "readout": readout.model_dump(mode="json"),
            "mean_response": {layer: mean.tolist() for layer, mean in writer.averages.items()},
            "peak_response": {layer: float(mean.max()) for layer, mean in writer.averages.items()},
            "conditions_together": len(self.targets),
            **self._making(writer.layout),
            "steps_computed": writer.steps_computed,
            "steps_naive": self.steps_naive,
            "resting_response": writer.rest,
        }

    def _making(self, layout: StoreLayout) -> dict[str, Any]:
        """What the numbers follow from beside the settings."""
        return {
            "threads": self.threads,
            "torch": torch.__version__,
            "device": str(self.device),
            "batch_size": layout.batch_size,
            "block_steps": layout.block_steps,
        }

    def _choose_images(self) -> ShownImages:
        table = self.source.samples("test")
        indices = np.asarray(spread_over_classes(table["label"], self.record.samples))
        trials = choose_trials(len(indices), max(p.n_images for p in self.presentations))
        return ShownImages(table, indices[trials])

    def _open_runner(self) -> tuple[SweepRunner, Probe]:
        run, record = self.run_settings, self.record
        network = self._open_network()
        runner = SweepRunner(
            network,
            [p.preceded_by(self.experiment.idle) for p in self.presentations],
            match_layers(network, record.layers),
            Reduction(record.resolution, record.units, record.unit_seed),
            self.experiment.idle,
            dtype=record.dtype,
            frames=getattr(torch, run.dtype),
            device=self.device,
            mixed_precision=run.mixed_precision,
            keep_on_device=not run.store_responses_on_cpu,
        )
        size = self.stage.config.data.data_resolution[self.subject.dataset]
        shape = (self.source.channels, size, size)
        return runner, probe_network(runner, shape, self.images.trials.shape[1], record.dtype)

    def _open_network(self) -> torch.nn.Module:
        status = self.experiment.status.removeprefix("trained-")
        network = rebuild_network(self.model_record, self.model_folder / f"{status}.safetensors")
        size = self.stage.config.data.data_resolution[self.subject.dataset]
        check_network(network, len(self.output_classes), self.source.channels, size)
        return network

    def _plan(self, runner: SweepRunner, probe: Probe) -> StoreLayout:
        plan = plan_memory(
            probe.footprint,
            budget=self.run_settings.memory_budget,
            batch_size=self.record.batch_size,
            n_conditions=len(all_conditions(self.experiment)),
            n_timesteps=runner.n_recorded,
        )
        runner.block_steps = plan.block_steps
        batch = min(plan.batch_size, len(self.images.ids))
        return StoreLayout(probe.arrays, len(self.images.ids), runner.n_recorded, batch, plan.block_steps)

    def _open_stores(self, layout: StoreLayout, probe: Probe, reduction: Reduction) -> list[StoreWriter]:
        making = self._making(layout)
        dt = self.presentations[0].dt or self.model_record.config["args"].get("dt")
        writers = []
        with tempfile.TemporaryDirectory() as skeleton:
            write_skeleton(Path(skeleton), layout, describe_layers(probe, reduction))
            for target, presentation in zip(self.targets, self.presentations, strict=True):
                settings = self.stage.settings_of_numbers(target)
                attributes = describe_making(
                    settings,
                    target=str(target),
                    layers=layout.layers,
                    group_classes=self.group_classes,
                    inputs=self.versions,
                    subject=self.subject.model_dump(mode="json"),
                    model=self.model_record.config,
                    images=self.source.record.config,
                    **making,
                )
                header = {"settings": settings, "inputs": self.versions, "making": making}
                writers.append(
                    StoreWriter(
                        self.stage.output(target),
                        layout,
                        coordinates=describe_trials(self.images, presentation, self.output_classes, dt),
                        skeleton=Path(skeleton),
                        attributes=attributes,
                        header={"code_version": self.stage.code_version, **header},
                        fresh=self.fresh,
                    )
                )
        return writers

    def _show(self, runner: SweepRunner, layout: StoreLayout, writers: Sequence[StoreWriter]) -> None:
        done = [writer.batches_done for writer in writers]
        self._announce(runner, layout, done)
        names = [str(target) for target in self.targets]
        sweep = SweepWriter(writers, names, self.output_classes, self.record.allow_nonfinite)
        loader = self.source.loader(
            "test",
            layout.batch_size,
            indices=self.images.ids.tolist(),
            images_per_trial=self.images.trials.shape[1],
            workers=self.run_settings.workers,
            is_looked_at_for_long=True,
        )
        with progress_bar(layout.n_samples, self.name) as bar:
            for batch, (sequence, _) in enumerate(loader):
                rows = slice(batch * layout.batch_size, batch * layout.batch_size + len(sequence.images))
                waiting = [number for number, count in enumerate(done) if batch >= count]
                if waiting:
                    ids = self.images.ids[rows]
                    sweep.begin_batch(batch, ids, self.images.labels()[rows])
                    chosen = None if len(waiting) == len(writers) else waiting
                    sweep.end_batch(self._stream(runner, sequence.images, ids, sweep, chosen))
                bar.update(len(sequence.images))
            sweep.flush()
        self.steps_naive = runner.steps_naive

    def _stream(
        self, runner: SweepRunner, images: torch.Tensor, ids: Any, sweep: SweepWriter, chosen: Sequence[int] | None
    ) -> int:
        try:
            return runner.stream(images, ids, sweep.take, chosen, sweep.take_rest)
        except torch.OutOfMemoryError as error:
            raise DynvisionError(
                f"{self.name}: batches of {len(images)} images do not fit into the memory of {self.device}. Set a "
                "smaller batch_size under 'record' in config_models.yaml, or 'device: cpu' under 'run'."
            ) from error

    def _announce(self, runner: SweepRunner, layout: StoreLayout, done: Sequence[int]) -> None:
        left = sum(layout.n_samples - min(count * layout.batch_size, layout.n_samples) for count in done)
        needed = left * layout.n_timesteps * layout.bytes_per_step
        say(
            f"{self.name}: {len(self.targets)} conditions × {layout.n_samples} images × {layout.n_timesteps} steps, up "
            f"to {needed / 1e6:,.1f} MB before compression; {runner.steps_computed} of {runner.steps_naive} steps a "
            f"trial are distinct; batches of {layout.batch_size} on {self.device}"
        )
        if any(done):
            say(f"{self.name}: goes on after {min(done)} to {max(done)} of {layout.n_batches} batches")
        # A disk that turns out too small all the same stops the run unharmed.
        least = left * layout.n_timesteps * layout.least_bytes_per_step
        check_free_space(self.stage.output(self.targets[0]).parent, least, self.name)


@contextlib.contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
