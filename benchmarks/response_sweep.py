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
        from dynvision.workspace import Workspace
        from dynvision.workspace.addresses import parse_target

        workspace = Workspace.open(root, config)
        targets = parse_target(workspace, target)
        self.targets = targets[-1:] if last_only else targets
        self.stage: Any = workspace.stages["responses"]
        self.inputs = workspace.inputs(self.targets[0])
        self.recording = self._new_recording()
        self.runner, self.probe = self.recording._open_runner()
        self.sample_ids: npt.NDArray[np.int64] = self.recording.images.ids
        self.output_classes: list[int] = self.recording.output_classes

    def _new_recording(self) -> Any:
        from dynvision.experiments.recording import SweepRecording

        return SweepRecording(self.stage, self.targets, self.inputs, fresh=True)

    def batches(self, batch_size: int, count: int | None = None) -> Iterator[torch.Tensor]:
        """Load the images of the first `count` samples in batches `[B, C, H, W]`; of all samples by default."""
        ids = self.sample_ids[:count].tolist()
        loader = self.recording.source.loader("test", batch_size, indices=ids, is_looked_at_for_long=True)
        return (sequence.images for sequence, _ in loader)

    def open_stores(self) -> Callable[[], None]:
        """Open the network and new stores; return the function that shows the images and records the responses."""
        recording = self._new_recording()
        runner, probe = recording._open_runner()
        layout = recording._plan(runner, probe)
        writers = recording._open_stores(layout, probe, runner.reduce)

        def record() -> None:
            recording._show(runner, layout, writers)

        return record

    def remove_stores(self) -> None:
        """Remove the stores that `open_stores` made."""
        from dynvision.experiments.store import partial_path

        for target in self.targets:
            shutil.rmtree(partial_path(self.stage.output(target)))
