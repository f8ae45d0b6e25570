"""Models: trained networks, one partition for each class group and seed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.config.sections.models import THREADS
from dynvision.config.transform_checks import choose_preset
from dynvision.errors import DynvisionError
from dynvision.keys import GroupSeed
from dynvision.models.classes import read_own_classes
from dynvision.models.making.notes import checkpoint_folder, read_note, remove_checkpoints
from dynvision.records import Record, make_record
from dynvision.stages.base import ReadBack
from dynvision.stages.base.checks import Check
from dynvision.stages.model_targets import ModelTargets
from dynvision.stages.processed import ProcessedStage
from dynvision.stages.raw import RawStage
from dynvision.stages.trained.checks import validation_is_above_chance, weights_are_finite
from dynvision.stages.trained.files import digest_weights, read_first_kernels, save_model
from dynvision.stages.trained.training import open_checkpoints
from dynvision.targets import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dynvision.models.making.orders import MadeNetwork, NetworkOrder

__all__ = ["ModelsStage"]


class ModelsStage(ModelTargets):
    """`models/<model>/<dataset>`, partitions `<group>_s<seed>`."""

    computes_networks = True
    checks = (Check(weights_are_finite, is_hard=True), Check(validation_is_above_chance, is_hard=False))

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record]) -> list[Record]:
        return [self._build(target, inputs) for target in targets]

    def describe_unfinished(self, target: Target) -> str:
        try:
            note = read_note(checkpoint_folder(self.output(target)))
        except (DynvisionError, OSError):  # The next build says so, and begins anew.
            return ""
        return "" if note is None else f"its training came to the end of epoch {note.epoch}"

    def discard_unfinished(self, target: Target) -> None:
        with contextlib.suppress(OSError):  # It is in nobody's way; the next build removes it.
            remove_checkpoints(checkpoint_folder(self.output(target)))

    def load(self, targets: Sequence[Target], **options: Any) -> Any:
        from dynvision.models.loading import rebuild_network

        target, record = self.require_one(targets)
        self.check_files(target, record)
        return rebuild_network(record, self.output(target) / "trained.safetensors")

    def read_back(self, target: Target, record: Record) -> ReadBack:
        from safetensors.torch import load_file

        weights = load_file(self.output(target) / "trained.safetensors")
        return ReadBack(digest_weights(weights), f"{sum(value.numel() for value in weights.values())} weights")

    def draw(self, target: Target, record: Record) -> dict[str, Figure | Path]:
        from dynvision.analysis.figures.targets import draw_kernels, draw_training

        details = record.details
        if "loss" in details:
            return {"training": draw_training(details["loss"], details["val_accuracy"], str(target))}
        kernels = read_first_kernels(record.check_files(self.output(target)).check("trained.safetensors"))
        return {"first_layer": draw_kernels(kernels, str(target))}

    def count_bytes(self, target: Target, record: Record) -> int | None:
        return self._sum_files(target, record)

    def _order(self, target: Target, record: Record) -> NetworkOrder:
        """Say which network is wanted, given the record of the images or classes that it is made for."""
        from dynvision.models.class_order import read_class_order
        from dynvision.models.making.orders import NetworkOrder

        model = self.config.models[target.key[1]]
        return NetworkOrder(
            name=str(target),
            model=model,
            classes=record.details["classes"],
            channels=int(record.details["channels"]),
            resolution=self.config.data.data_resolution[target.key[2]],
            seed=GroupSeed.parse(str(target.partition)).seed,
            checkpoint=None if model.checkpoint is None else self._checkpoint(target),
            epochs=self.epochs_to_keep(target),
            own_classes=None if model.classes is None else read_own_classes(model.classes, self.paths.root),
            keeps_its_outputs=model.keeps_its_outputs or self.config.data.is_stimulus_set(target.key[2]),
            class_order=None if model.class_order is None else read_class_order(model.class_order, self.paths.root),
        )

    def _build(self, target: Target, inputs: dict[Target, Record]) -> Record:
        from dynvision.models.making.orders import take_network, train_order

        start = time.perf_counter()
        (upstream,) = self.upstream(target)
        _, name, dataset = target.key
        order = self._order(target, inputs[upstream])
        model = self.config.models[name]
        if model.training is None:
            made = take_network(order, self._all_classes(dataset))
        else:
            training = model.training.for_dataset(dataset)
            images = self.stages.of(ProcessedStage).open_images(upstream, inputs[upstream])
            augment = self._augmentation(dataset, training.transform)
            versions = {str(upstream): inputs[upstream].data_version}
            identity = {**self.settings(target), **versions, "code_version": self.code_version}
            checkpoints = open_checkpoints(self.output(target), str(target), identity, self.run, order.epochs)
            made = train_order(order, training, images, augment, self.run.device, checkpoints)
        seconds = round(time.perf_counter() - start, 3)
        return self._save(target, inputs[upstream], made, seconds)

    def _all_classes(self, dataset: str) -> list[dict[str, Any]]:
        """Return every class of a dataset, if an index file or a fixed number says which; otherwise nothing."""
        named = self.stages.of(RawStage).class_index(dataset)
        if named is not None:
            return [{"index": index, "name": name, "folder": folder} for index, (folder, name) in sorted(named.items())]
        count = self.config.class_count(dataset) or 0
        return [{"index": index, "name": str(index), "folder": str(index)} for index in range(count)]

    def _augmentation(self, dataset: str, preset: str | None) -> Any:
        """Return the transform of training images; `None` without a preset."""
        from dynvision.data.transforms import get_data_transform

        if preset is None:
            return None
        chosen = choose_preset(self.config.data.transform_presets, preset, dataset)
        return get_data_transform(chosen, config=self.config, tensors=True)

    def _save(self, target: Target, source: Record, made: MadeNetwork, seconds: float) -> Record:
        import torch

        (upstream,) = self.upstream(target)
        record = make_record(
            target,
            code_version=self.code_version,
            config=self.settings(target),
            inputs={str(upstream): source.data_version},
            content=digest_weights(made.weights["trained"]),
            details={
                "threads": THREADS,  # unless the training says otherwise
                **made.details,
                "parameters": sum(p.numel() for p in made.network.parameters()),
                "torch": torch.__version__,
                "seconds": seconds,
            },
        )
        return save_model(self.output(target), made, record)
