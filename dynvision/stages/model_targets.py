"""Which networks there are: one for each model, dataset, class group and seed; from what they follow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.config.sections.models import IMAGE_FOLDER, IMAGENET, TrainingConfig
from dynvision.config.transform_checks import choose_preset
from dynvision.config.values.patterns import fill_pattern
from dynvision.keys import GroupSeed, SplitGroup
from dynvision.models.weights_header import digest_checkpoint
from dynvision.records import Record, read_record
from dynvision.stages.base import Stage
from dynvision.stages.interim import InterimStage
from dynvision.stages.processed import ProcessedStage
from dynvision.stages.trained.training import (
    explain_training,
    settings_with_threads,
    training_settings,
)
from dynvision.system.escaping import code_span
from dynvision.system.json_values import whole_key_paths
from dynvision.system.source_code import digest_source
from dynvision.targets import Target

__all__ = ["ModelTargets"]


class ModelTargets(Stage):
    """The networks, as the configuration has them."""

    name = folder = "models"
    code_version = "2"
    key_names = ("model", "dataset")
    selectors = ("group", "seed")

    def keys(self) -> list[tuple[str, ...]]:
        return [
            (self.name, name, dataset)
            for name, model in self.config.models.items()
            for dataset in self.config.datasets
            if model.training is None or not self.config.data.is_stimulus_set(dataset)
        ]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        _, model, dataset = key
        seeds = self.config.seeds(model, dataset)
        groups = ["all"] if self.config.data.is_stimulus_set(dataset) else list(self.config.data.groups(dataset))
        return [str(GroupSeed(group, seed)) for group in groups for seed in seeds]

    def upstream(self, target: Target) -> list[Target]:
        group = GroupSeed.parse(str(target.partition)).group
        if self.config.models[target.key[1]].training is None:
            # A network that is not trained needs no images, only to know the classes.
            return [Target((InterimStage.name, target.key[2]), str(self.config.data.shown(target.key[2], group)))]
        return [self.stages.of(ProcessedStage).images(target.key[2], SplitGroup("train", group))]

    def settings(self, target: Target) -> dict[str, Any]:
        _, name, dataset = target.key
        model, data = self.config.models[name], self.config.data
        seed = GroupSeed.parse(str(target.partition)).seed
        training = self._training(target)
        statistics = data.data_statistics.get(dataset)
        settings: dict[str, Any] = {
            "class": model.class_path,
            "args": model.args,
            "source": digest_source(model.class_path, model.args),
            "training": training_settings(training),
            "statistics": statistics.model_dump(mode="json") if statistics else None,
            "resolution": data.data_resolution[dataset],
            "seed": seed,
        }
        if paths := whole_key_paths(model.args):
            settings["whole_keys"] = paths
        if model.time_axis is not None:
            settings["time_axis"] = model.time_axis
        if model.checkpoint is not None:
            settings["checkpoint"] = digest_checkpoint(self._checkpoint(target))
        if model.checkpoint_key is not None:
            settings["checkpoint_key"] = model.checkpoint_key
        if model.classes is not None:
            settings["classes"] = self._describe_classes(name)
        if model.class_order is not None:
            settings["class_order"] = self._describe_order(model.class_order)
        if training is None:
            return settings
        if training.transform is not None:
            settings["transforms"] = data.transform_presets[
                choose_preset(data.transform_presets, training.transform, dataset)
            ]
        if not self.stages.of(ProcessedStage).is_used:  # The images are split when they are opened.
            settings |= {"train_ratio": data.train_ratio, "split_seed": data.split_seed}
        return settings

    def recorded_settings(self, target: Target, record: Record) -> dict[str, Any]:
        return settings_with_threads(record, self._training(target))

    def explain_change(self, target: Target, changed: Sequence[str]) -> str:
        record, now = self.read_record(target), training_settings(self._training(target))
        before = None if record is None else self.recorded_settings(target, record)["training"]
        if list(changed) == ["training"] and before is not None and now is not None:
            return explain_training(before, now)
        return super().explain_change(target, changed)

    def describe(self, key: tuple[str, ...]) -> str:
        size, model = self.config.data.data_resolution[key[2]], self.config.models[key[1]]
        origin = f"trained on {key[2]}" if model.training is not None else f"as it is, for images of {key[2]}"
        first = {None: "batch", 0: "steps, batch", 1: "batch, steps"}[model.time_axis]
        takes = "a frame" if model.time_axis is None else "a sequence"
        return (
            f"The network {code_span(model.class_path)} {origin}: "
            f"`init.safetensors` and `trained.safetensors`, with the configuration in their headers. Takes {takes} "
            f"`[{first}, channels, {size}, {size}]`{' a step' if model.time_axis is None else ''} and gives scores "
            f"`[{first}, classes]`."
        )

    def read_record(self, target: Target) -> Record | None:
        record = read_record(self.output(target) / "record.json", target)
        kept = (f"epoch={n}.safetensors" for n in self.epochs_to_keep(target))
        return record if record is not None and all(name in record.files for name in kept) else None

    def epochs_to_keep(self, target: Target) -> list[int]:
        """Return the epochs whose weights an experiment asks for with `status: trained-epoch=N`."""
        _, model, dataset = target.key
        epochs: set[int] = set()
        for name, experiment in self.config.experiments.items():
            for subject in (self.config.subjects[s] for s in self.config.subjects_of(name)):
                trained = str(GroupSeed(subject.network_group, subject.seed))
                if (subject.model, subject.network_dataset, trained) == (model, dataset, target.partition):
                    epochs |= {int(n) for n in re.findall(r"(?<=epoch=)\d+", experiment.status)}
        return sorted(epochs)

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / "record.json"]

    def _training(self, target: Target) -> TrainingConfig | None:
        _, model, dataset = target.key
        training = self.config.models[model].training
        return None if training is None else training.for_dataset(dataset)

    def _describe_classes(self, model: str) -> Any:
        """Return a network's own classes as settings: a file with the digest of its content."""
        classes = self.config.models[model].classes
        if not isinstance(classes, str) or classes == IMAGENET:
            return classes
        path = self.paths.root / Path(classes).expanduser()  # An absolute path stays as it is.
        return {"file": classes, "digest": digest_checkpoint(path)}

    def _checkpoint(self, target: Target) -> Path:
        _, model, dataset = target.key
        trained_as = GroupSeed.parse(str(target.partition))
        group, seed = trained_as.group, trained_as.seed
        pattern = str(self.config.models[model].checkpoint)
        path = fill_pattern(pattern, {"dataset": dataset, "group": group, "seed": seed})
        return self.paths.root / Path(path).expanduser()  # An absolute path stays as it is.

    def _describe_order(self, order: str | list[int | str]) -> str | list[int | str]:
        """Return what an order of classes is known by: itself, or the digest of its file."""
        if isinstance(order, str) and order != IMAGE_FOLDER:
            return digest_checkpoint(self.paths.root / Path(order).expanduser())
        return order

    def select(self, key: tuple[str, ...], group: str = "all", seed: int = 0, **options: Any) -> list[Target]:
        return [Target(key, self.parse(key, str(GroupSeed(group, seed))))]
