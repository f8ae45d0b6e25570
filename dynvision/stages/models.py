"""Models: trained networks, one partition for each class group and seed."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.errors import ConfigError
from dynvision.files import make_directory, replace_directory, temporary_sibling
from dynvision.models.source_code import digest_source
from dynvision.models.weights_header import read_weights_metadata
from dynvision.records import Record, make_record
from dynvision.stages.base import Stage
from dynvision.targets import Target

__all__ = ["ModelsStage", "model_partition"]


def model_partition(group: str, seed: int) -> str:
    """Name the network that was trained on a group with a seed: `all_s0`."""
    return f"{group}_s{seed}"


class ModelsStage(Stage):
    """`models/<model>/<dataset>`, partitions `<group>_s<seed>`."""

    name = "models"
    code_version = "1"

    def keys(self) -> list[tuple[str, ...]]:
        return [("models", model, dataset) for model in self.config.models for dataset in self.config.datasets]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        _, model, dataset = key
        seeds = self.config.seeds(model, dataset)
        return [model_partition(group, seed) for group in self.config.data.groups(dataset) for seed in seeds]

    def upstream(self, target: Target) -> list[Target]:
        group, _ = self.group_and_seed(target)
        stage = "processed" if self.config.data.use_ffcv else "interim"
        return [Target((stage, target.key[2]), f"train_{group}")]

    def settings(self, target: Target) -> dict[str, Any]:
        _, name, dataset = target.key
        model, data = self.config.models[name], self.config.data
        _, seed = self.group_and_seed(target)
        training = model.training.for_dataset(dataset)
        statistics = data.data_statistics.get(dataset)
        settings: dict[str, Any] = {
            "class": model.class_path,
            "args": model.args,
            "source": digest_source(model.class_path),
            "training": training.model_dump(mode="json", exclude={"datasets"}),
            "statistics": statistics.model_dump(mode="json") if statistics else None,
            "resolution": data.data_resolution[dataset],
            "seed": seed,
        }
        if training.transform is not None:
            settings["transforms"] = data.transform_presets[self._preset(dataset, training.transform)]
        if not data.use_ffcv:
            settings |= {"train_ratio": data.train_ratio, "split_seed": data.split_seed}
        return settings

    def group_and_seed(self, target: Target) -> tuple[str, int]:
        """Take `<group>_s<seed>` apart."""
        group, _, seed = str(target.partition).rpartition("_s")
        return group, int(seed)

    def output(self, target: Target) -> Path:
        _, model, dataset = target.key
        return self.paths.model(model, dataset, str(target.partition))

    def read_record(self, target: Target) -> Record | None:
        path = self.output(target) / "trained.safetensors"
        metadata = read_weights_metadata(path)
        if metadata is None:
            return None
        record = Record.from_dict(metadata, path)
        for name in ["init", *(f"epoch={n}" for n in self.epochs_to_keep(target))]:
            other = read_weights_metadata(self.output(target) / f"{name}.safetensors")
            if other is None or other.get("data_version") != record.data_version:
                return None
        return record

    def epochs_to_keep(self, target: Target) -> list[int]:
        """The epochs whose weights an experiment asks for with `status: trained-epoch=N`."""
        _, model, dataset = target.key
        asked = set()
        for name, experiment in self.config.experiments.items():
            for subject in (self.config.subjects[s] for s in self.config.subjects_of(name)):
                trained = model_partition(subject.trained_on, subject.seed)
                if (subject.model, subject.dataset, trained) == (model, dataset, target.partition):
                    asked |= {int(n) for n in re.findall(r"(?<=epoch=)\d+", experiment.status)}
        return sorted(asked)

    def record_files(self, target: Target) -> list[Path]:
        return [self.output(target) / "trained.safetensors"]

    def build(self, targets: Sequence[Target], inputs: dict[Target, Record], force: bool = False) -> list[Record]:
        return [self._build(target, inputs) for target in targets]

    def _preset(self, dataset: str, name: str) -> str:
        own = f"{name}_{dataset}"
        return own if own in self.config.data.transform_presets else name

    def _build(self, target: Target, inputs: dict[Target, Record]) -> Record:
        import torch

        from dynvision.data.image_source import ImageSource
        from dynvision.data.transforms import get_data_transform
        from dynvision.models.loading import build_network, check_network, match_layers, save_weights
        from dynvision.training import train_network

        start = time.perf_counter()
        (upstream,) = self.upstream(target)
        _, name, dataset = target.key
        group, seed = self.group_and_seed(target)
        training = self.config.models[name].training.for_dataset(dataset)
        source = ImageSource(self.config, self.paths, dataset, f"train_{group}", inputs[upstream])
        network = build_network(
            self.config.models[name],
            n_classes=len(source.classes),
            resolution=self.config.data.data_resolution[dataset],
            channels_in=source.channels,
            seed=seed,
        )
        check_network(network, len(source.classes), source.channels, self.config.data.data_resolution[dataset])
        match_layers(network, self.config.models[name].record.layers)
        augment: Any = None
        if training.transform is not None:
            augment = get_data_transform(self._preset(dataset, training.transform), config=self.config, tensors=True)
        folder, wanted = self.output(target), self.epochs_to_keep(target)
        if wanted and wanted[-1] > training.epochs:
            raise ConfigError(
                f"an experiment asks for {target} after epoch {wanted[-1]}, but it is trained for {training.epochs}: "
                "change the experiment's status in config_experiments.yaml, or epochs in config_models.yaml"
            )
        initial = {key: value.clone() for key, value in network.state_dict().items()}
        size = training.batch_size
        snapshots: dict[int, dict[str, Any]] = {}

        def keep(epoch: int) -> None:
            if epoch in wanted:
                snapshots[epoch] = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}

        history = train_network(
            network,
            source.loader("train", size, training.n_timesteps, order="random", seed=seed, normalized=False),
            source.loader("val", size, training.n_timesteps, normalized=False),
            training,
            seed,
            augment,
            source.normalize,
            str(target),
            keep,
            self.run.device,
        )
        trained = {key: value.clone() for key, value in network.state_dict().items()}
        digest = digest_weights(trained)
        record = make_record(
            target,
            code_version=self.code_version,
            config=self.settings(target),
            inputs={str(upstream): inputs[upstream].data_version},
            content=digest,
            details={
                "classes": source.classes,
                "channels": source.channels,
                "parameters": sum(p.numel() for p in network.parameters()),
                "val_accuracy": history.val_accuracy,
                "loss": history.loss,
                "device": history.device,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "seconds": round(time.perf_counter() - start, 3),
            },
        )
        named = {"init": initial, **{f"epoch={n}": weights for n, weights in snapshots.items()}, "trained": trained}
        make_directory(folder.parent)
        temporary = temporary_sibling(folder)
        try:
            for name, weights in named.items():
                network.load_state_dict(weights)
                save_weights(temporary / f"{name}.safetensors", network, record.to_dict())
            replace_directory(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return record


def digest_weights(weights: dict[str, Any]) -> str:
    """A digest of names and values of weights."""
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
