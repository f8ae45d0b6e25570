"""Recording a sweep: opens network and images once, shows every condition, streams to the stores."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dynvision.errors import ConfigError, DynvisionError
from dynvision.experiments.budget import plan_memory
from dynvision.experiments.describing import describe_layers
from dynvision.experiments.images import choose_images, open_images
from dynvision.experiments.opening import find_threads, open_stores
from dynvision.experiments.order import RecordedSweep, SweepOrder
from dynvision.experiments.probing import Probe, probe_network
from dynvision.experiments.readout import class_mask
from dynvision.experiments.reducing import Reduction, check_columns, check_layer_names
from dynvision.experiments.references import plan_references
from dynvision.experiments.showing import SweepRunner, count_trials
from dynvision.experiments.stepping import Emit, NetworkStepper
from dynvision.experiments.stores.layout import StoreLayout
from dynvision.experiments.stores.writer import StoreWriter
from dynvision.experiments.writing import RANK, SweepWriter
from dynvision.models.checking import check_layers, check_network
from dynvision.models.loading import rebuild_network
from dynvision.models.reproducible import torch_threads
from dynvision.models.states import Examination
from dynvision.stimuli.contrast import rms_contrast
from dynvision.system.files import check_free_space
from dynvision.system.machine import choose_device, lease_device
from dynvision.system.progress import announce, progress_bar, say

__all__ = ["SweepRecording"]


class SweepRecording:
    """One run over a selection of conditions of one experiment and subject.

    Args:
        order: What to record.

    Attributes:
        images: The images of the trials.

    Raises:
        ConfigError: If the readout may choose none of the network's outputs, this machine lacks the device, or there
            are too few images, or classes, for a trial.
    """

    def __init__(self, order: SweepOrder) -> None:
        self.order = order
        # Fail now, not after the sweep, if the readout may choose none of the network's outputs.
        if order.labels.is_known:
            class_mask(order.network.output_classes, order.shown_classes, order.choices)
        self.images = choose_images(order)
        self.presentations = [c.presentation.preceded_by(order.idle) for c in order.conditions]
        self.references = plan_references([c.presentation for c in order.conditions])
        # What is named is recorded. Which of several GPUs computes is chosen when one is free.
        self.device = self._computes_on = choose_device(order.run.device)
        self.threads = order.run.threads or torch.get_num_threads()
        self.remarks: dict[str, str] = {}

    def run(self) -> RecordedSweep:
        """Show every image under every condition; write everything, but put nothing in place.

        Raises:
            ConfigError: If the settings do not suit the network, or do not fit into the memory.
            DataError: If a response is not finite.
            DynvisionError: If responses cannot be written, or the device runs out of memory.
        """
        with contextlib.ExitStack() as stack:
            self._computes_on = stack.enter_context(lease_device(self.order.run.device))
            stack.enter_context(torch_threads(self.threads))
            stepper = self.open_stepper()
            probe = self.probe(stepper)
            self.remarks = stepper.remarks()
            for remark in self.remarks.values():
                say(f"{self.order.name}: {type(stepper.network).__name__} {remark}")
            layout = self.plan(probe)
            self._go_on_with_threads(layout)
            stack.enter_context(torch_threads(self.threads))
            runner = self.open_runner(stepper, layout)
            writers = self.open_stores(layout, probe, stepper.reduction)
            self.show(runner, layout, writers)
        order = self.order
        return RecordedSweep(tuple(writers), self._making(layout), runner.steps_naive, order.dt, order.labels.by)

    def _go_on_with_threads(self, layout: StoreLayout) -> None:
        """Take as many threads as an interrupted run had, so that what it left can be resumed to the same bits."""
        threads = find_threads(self.order, self._making(layout))
        if threads != self.threads:
            announce(f"{self.order.name}: goes on with {threads} threads, as it was begun, not with {self.threads}")
        self.threads = threads

    def open_stepper(self) -> NetworkStepper:
        """Load the network and find the layers that are recorded."""
        order, record, run = self.order, self.order.record, self.order.run
        network = rebuild_network(order.network.record, order.network.weights)
        channels, size = order.images.source.channels, order.images.resolution
        found = self._check_frames(network, channels, size)
        layers = check_layers(network, record.layers, channels, size)
        check_layer_names(layers, order.conditions[0].settings["condition"])
        check_columns(self.images.columns, order.conditions[0].settings["condition"], layers, order.name)
        stepper = NetworkStepper(
            network,
            layers,
            Reduction(record.resolution, record.units, record.unit_seed),
            frames=getattr(torch, run.dtype),
            device=self._computes_on,
            mixed_precision=run.mixed_precision,
            stored=getattr(torch, record.dtype),
        )
        stepper.draws_random, stepper.mixes_images = found.draws_random, found.mixes_images
        return stepper

    def _check_frames(self, network: torch.nn.Module, channels: int, size: int) -> Examination:
        """Raise if the network does not take the images; say for which images it was made if that is why."""
        made_for, steps = self.order.network.record, self.presentations[0].n_timesteps
        own_channels, own_size = made_for.details["channels"], made_for.config["resolution"]
        try:
            return check_network(network, len(self.order.network.output_classes), channels, size, steps)
        except ConfigError as error:
            if (own_channels, own_size) == (channels, size):
                raise
            raise ConfigError(
                f"{self.order.name}: {error} It was made for images of {own_channels} channels and {own_size} pixels "
                f"({made_for.target}): give the images that are shown this data_resolution, or show them to another."
            ) from error

    def probe(self, stepper: NetworkStepper) -> Probe:
        """Find out what a step of the network gives."""
        size = self.order.images.resolution
        shape = (self.order.images.source.channels, size, size)
        return probe_network(stepper, self.presentations, shape, self.images.trials.shape[1], self.order.record.dtype)

    def plan(self, probe: Probe) -> StoreLayout:
        """Choose the sizes of batches and blocks."""
        n_samples, n_recorded = len(self.images.ids), self.order.conditions[0].presentation.n_timesteps
        plan = plan_memory(
            probe.footprint,
            budget=self.order.run.memory_budget,
            batch_size=self.order.record.batch_size,
            n_conditions=self.order.n_conditions,
            n_timesteps=n_recorded,
        )
        arrays = {name: spec for name, spec in probe.arrays.items() if self.order.labels.is_known or name != RANK}
        return StoreLayout(arrays, n_samples, n_recorded, min(plan.batch_size, n_samples), plan.block_steps)

    def open_runner(self, stepper: NetworkStepper, layout: StoreLayout) -> SweepRunner:
        """Make the runner that shows the sweep."""
        return SweepRunner(
            stepper,
            self.presentations,
            self.order.idle,
            [reference.preceded_by(self.order.idle) for reference in self.references.presentations],
            block_steps=layout.block_steps,
            dtype=self.order.record.dtype,
            keep_on_device=not self.order.run.store_responses_on_cpu,
        )

    def open_stores(self, layout: StoreLayout, probe: Probe, reduction: Reduction) -> list[StoreWriter]:
        """Open the store of each condition: a new one, or what an interrupted run left."""
        return open_stores(self.order, self.images, layout, describe_layers(probe, reduction), self._making(layout))

    def show(self, runner: SweepRunner, layout: StoreLayout, writers: Sequence[StoreWriter]) -> None:
        """Show all images, batch after batch, to the conditions that do not have their responses yet."""
        order = self.order
        done = [writer.batches_done for writer in writers]
        self._announce(runner, layout, done)
        names = [condition.name for condition in order.conditions]
        sweep = SweepWriter(
            writers, names, order.network.output_classes, order.record.allow_nonfinite, self.references.used
        )
        classes = order.labels.classes_of(self.images.labels()) if order.labels.is_known else None
        shown = sum(min(count * layout.batch_size, layout.n_samples) for count in done)
        with progress_bar(layout.n_samples * len(writers), order.name, "trial", initial=shown) as bar:
            for batch, images in enumerate(open_images(order, self.images, layout.batch_size)):
                rows = slice(batch * layout.batch_size, batch * layout.batch_size + len(images))
                waiting = [number for number, count in enumerate(done) if batch >= count]
                if waiting:
                    ids = self.images.ids[rows]
                    contrasts = self._image_contrasts(images.numpy(), waiting)
                    sweep.begin_batch(batch, ids, None if classes is None else classes[rows], waiting, contrasts)
                    chosen = None if len(waiting) == len(writers) else self._with_references(waiting)
                    take = count_trials(sweep.take, bar.update, len(images), layout.n_timesteps, len(writers))
                    sweep.end_batch(self._stream(runner, images, ids, take, chosen))
            sweep.flush()

    def _image_contrasts(
        self, images: npt.NDArray[np.float32], conditions: Sequence[int]
    ) -> dict[int, npt.NDArray[np.float64]]:
        """Return the RMS contrast of a batch's images, around the grey of each condition: `[B]` or `[B, K]`."""
        greys = {number: self.order.conditions[number].presentation.contrast_reference for number in conditions}
        by_grey = {grey: rms_contrast(images, grey) for grey in set(greys.values())}
        return {number: by_grey[grey] for number, grey in greys.items()}

    def _with_references(self, conditions: Sequence[int]) -> list[int]:
        """Return the numbers of conditions and of the runs that they are compared with."""
        used = {position for condition in conditions for position in self.references.used[condition].values()}
        return [*conditions, *(len(self.presentations) + position for position in sorted(used))]

    def _making(self, layout: StoreLayout) -> dict[str, Any]:
        """What the numbers follow from besides the settings."""
        return {
            "threads": self.threads,
            "torch": torch.__version__,
            "device": str(self.device),
            "batch_size": layout.batch_size,
            "block_steps": layout.block_steps,
            **self.remarks,
        }

    def _stream(
        self,
        runner: SweepRunner,
        images: torch.Tensor,
        ids: npt.NDArray[np.int64],
        take: Emit,
        chosen: Sequence[int] | None,
    ) -> int:
        try:
            return runner.stream(images, ids, take, chosen)
        except torch.OutOfMemoryError as error:
            raise DynvisionError(
                f"{self.order.name}: batches of {len(images)} images do not fit into the memory of {self.device}. Set "
                "a smaller batch_size under 'record' in config_models.yaml, or 'device: cpu' under 'run'."
            ) from error

    def _announce(self, runner: SweepRunner, layout: StoreLayout, done: Sequence[int]) -> None:
        name = self.order.name
        left = sum(layout.n_samples - min(count * layout.batch_size, layout.n_samples) for count in done)
        needed = left * layout.n_timesteps * layout.bytes_per_step
        say(
            f"{name}: {len(done)} condition{'' if len(done) == 1 else 's'} × {layout.n_samples} images × "
            f"{layout.n_timesteps} steps, up to {needed / 1e6:,.1f} MB before compression; batches of "
            f"{layout.batch_size} on {self.device}"
        )
        if runner.steps_computed < runner.steps_naive:
            say(
                f"{name}: what conditions have in common is computed once, so an image takes {runner.steps_computed} "
                f"steps of the network instead of {runner.steps_naive} (with idle steps and the trial at rest)"
            )
        if any(done):
            say(f"{name}: resumes after {min(done)} to {max(done)} of {layout.n_batches} batches")
        # This is the least size after compression. If the disk fills up all the same, the run stops and can be resumed.
        least = left * layout.n_timesteps * layout.least_bytes_per_step
        check_free_space(self.order.conditions[0].store.parent, least, name)
