"""A sweep in the parts that are measured one by one: only this file knows how the responses stage records."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch


class Sweep:
    """Conditions of an experiment for one subject, opened as the responses stage opens them.

    Args:
        root: The root.
        config: The folder of the configuration.
        target: The conditions, as text.
        last_only: Take only the last of the conditions.
    """

    def __init__(self, root: str, config: str, target: str, last_only: bool = False) -> None:
        from dynvision.experiments.recording import SweepRecording
        from dynvision.workspace import Workspace
        from dynvision.workspace.addresses import parse_target

        workspace = Workspace.open(root, config)
        targets = parse_target(workspace, target)
        targets = targets[-1:] if last_only else targets
        stage: Any = workspace.stage(targets[0]).with_run_settings(targets, {}, fresh=True)
        self.order = stage.order(targets, workspace.inputs(targets[0]))
        self.recording = SweepRecording(self.order)
        stepper = self.recording.open_stepper()
        self.probe = self.recording.probe(stepper)
        self.runner = self.recording.open_runner(stepper, self.recording.plan(self.probe))
        self.sample_ids: npt.NDArray[np.int64] = self.recording.images.ids
        self.output_classes: list[int] = self.order.network.output_classes

    def batches(self, batch_size: int, count: int | None = None) -> Iterator[torch.Tensor]:
        """Load the images of the first `count` samples in batches `[B, C, H, W]`; of all samples by default."""
        ids = self.sample_ids[:count].tolist()
        loader = self.order.images.source.loader("test", batch_size, indices=ids, is_looked_at_for_long=True)
        return (sequence.images for sequence, _ in loader)

    def open_stores(self) -> Callable[[], None]:
        """Open the network and new stores; return the function that shows the images and records the responses."""
        from dynvision.experiments.recording import SweepRecording

        recording = SweepRecording(self.order)
        stepper = recording.open_stepper()
        probe = recording.probe(stepper)
        layout = recording.plan(probe)
        writers = recording.open_stores(layout, probe, stepper.reduction)

        def record() -> None:
            recording.show(recording.open_runner(stepper, layout), layout, writers)

        return record

    def remove_stores(self) -> None:
        """Remove the stores that `open_stores` made."""
        from dynvision.experiments.stores.store import partial_path

        for condition in self.order.conditions:
            shutil.rmtree(partial_path(condition.store))
