"""Models: trained networks, one partition for each class group and seed."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dynvision.errors import ConfigError
from dynvision.models.weights_header import digest_checkpoint, read_weights_metadata
from dynvision.records import Record, make_record
from dynvision.stages.base import Stage
from dynvision.system.files import make_directory, replace_directory, temporary_sibling
from dynvision.system.source_code import digest_source
from dynvision.targets import Target

__all__ = ["ModelsStage", "model_partition"]


def model_partition(group: str, seed: int) -> str:
    """Name the network that was trained on a group with a seed: `all_s0`."""
    return f"{group}_s{seed}"


class ModelsStage(Stage):
    """`models/<model>/<dataset>`, partitions `<group>_s<seed>`."""

    name = "models"
    code_version = "2"

    def keys(self) -> list[tuple[str, ...]]:
        return [("models", model, dataset) for model in self.config.models for dataset in self.config.datasets]

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        _, model, dataset = key
        seeds = self.config.seeds(model, dataset)
        return [model_partition(group, seed) for group in self.config.data.groups(dataset) for seed in seeds]

    def upstream(self, target: Target) -> list[Target]:
        group, _ = self.group_and_seed(target)
        if self.config.models[target.key[1]].training is None:
            # A network that is not trained needs no images, only to know the classes.
            return [Target(("interim", target.key[2]), f"test_{group}")]
        stage = "processed" if self.config.data.use_ffcv else "interim"
        return [Target((stage, target.key[2]), f"train_{group}")]

    def settings(self, target: Target) -> dict[str, Any]:
        _, name, dataset = target.key
        model, data = self.config.models[name], self.config.data
        _, seed = self.group_and_seed(target)
        training = model.training.for_dataset(dataset) if model.training is not None else None
        statistics = data.data_statistics.get(dataset)
        settings: dict[str, Any] = {
            "class": model.class_path,
            "args": model.args,
            "source": digest_source(model.class_path),
            "training": training.model_dump(mode="json", exclude={"datasets"}) if training is not None else None,
            "statistics": statistics.model_dump(mode="json") if statistics else None,
            "resolution": data.data_resolution[dataset],
            "seed": seed,
        }
        if model.checkpoint is not None:
            settings["checkpoint"] = digest_checkpoint(self._checkpoint(target))
        if training is None:
            return settings
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
        return [
            self._take_ready(t, inputs) if self.config.models[t.key[1]].training is None else self._train(t, inputs)
            for t in targets
        ]

    def _checkpoint(self, target: Target) -> Path:
        _, model, dataset = target.key
        group, seed = self.group_and_seed(target)
        named = str(self.config.models[model].checkpoint).format(dataset=dataset, group=group, seed=seed)
        path = Path(named).expanduser()
        return path if path.is_absolute() else self.paths.root / path

    def _preset(self, dataset: str, name: str) -> str:
        own = f"{name}_{dataset}"
        return own if own in self.config.data.transform_presets else name

    def _make_network(self, target: Target, n_classes: int, channels: int) -> Any:
        """The network with the weights that it begins with."""
        from dynvision.models.checkpoint import load_checkpoint
        from dynvision.models.loading import build_network

        _, name, dataset = target.key
        model = self.config.models[name]
        network = build_network(
            model,
            n_classes=n_classes,
            resolution=self.config.data.data_resolution[dataset],
            channels_in=channels,
            seed=self.group_and_seed(target)[1],
        )
        if model.checkpoint is not None:
            load_checkpoint(self._checkpoint(target), network)
        return network

    def _take_ready(self, target: Target, inputs: dict[Target, Record]) -> Record:
        """A network that is not trained here: its own weights, or those of a checkpoint."""
        from dynvision.models.checking import check_network, count_outputs
        from dynvision.models.checkpoint import match_outputs
        from dynvision.models.loading import match_layers

        start = time.perf_counter()
        (upstream,) = self.upstream(target)
        found = inputs[upstream].details
        size, channels = self.config.data.data_resolution[target.key[2]], int(found["channels"])
        network = self._make_network(target, len(found["classes"]), channels)
        outputs = count_outputs(network, channels, size)
        classes = match_outputs(outputs, found["classes"], self._all_classes(target.key[2]), str(target))
        check_network(network, outputs, channels, size)
        match_layers(network, self.config.models[target.key[1]].record.layers)
        if self.epochs_to_keep(target):
            raise ConfigError(
                f"an experiment asks for an epoch of {target}, which is not trained here: change the experiment's "
                "status in config_experiments.yaml to init or trained"
            )
        weights = {key: value.clone() for key, value in network.state_dict().items()}
        details = {"classes": classes, "channels": channels}
        return self._save(target, inputs, network, {"init": weights, "trained": weights}, details, start)

    def _all_classes(self, dataset: str) -> list[dict[str, Any]]:
        """Every class of a dataset that has an index file or a fixed number of them; empty for others."""
        from dynvision.stages.raw import RawStage

        named = RawStage(self.config, self.paths).class_index(dataset)
        if named is not None:
            return [{"index": index, "name": name, "folder": folder} for index, (folder, name) in sorted(named.items())]
        count = self.config.data.class_count(dataset) or 0
        return [{"index": index, "name": str(index), "folder": str(index)} for index in range(count)]

    def _train(self, target: Target, inputs: dict[Target, Record]) -> Record:
        from dynvision.data.image_source import ImageSource
        from dynvision.data.transforms import get_data_transform
        from dynvision.models.checking import check_network
        from dynvision.models.loading import match_layers
        from dynvision.models.training import train_network

        start = time.perf_counter()
        (upstream,) = self.upstream(target)
        _, name, dataset = target.key
        group, seed = self.group_and_seed(target)
        model = self.config.models[name]
        assert model.training is not None
        training = model.training.for_dataset(dataset)
        source = ImageSource(self.config, self.paths, dataset, f"train_{group}", inputs[upstream])
        network = self._make_network(target, len(source.classes), source.channels)
        check_network(network, len(source.classes), source.channels, self.config.data.data_resolution[dataset])
        match_layers(network, model.record.layers)
        augment: Any = None
        if training.transform is not None:
            augment = get_data_transform(self._preset(dataset, training.transform), config=self.config, tensors=True)
        wanted = self.epochs_to_keep(target)
        if wanted and wanted[-1] > training.epochs:
            raise ConfigError(
                f"an experiment asks for {target} after epoch {wanted[-1]}, but it is trained for {training.epochs}: "
                "change the experiment's status in config_experiments.yaml, or epochs in config_models.yaml"
            )
        kept = {"init": {key: value.clone() for key, value in network.state_dict().items()}}
        size = training.batch_size

        def keep(epoch: int) -> None:
            if epoch in wanted:
                snapshot = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
                kept[f"epoch={epoch}"] = snapshot

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
        kept["trained"] = {key: value.clone() for key, value in network.state_dict().items()}
        details = {
            "classes": source.classes,
            "channels": source.channels,
            "val_accuracy": history.val_accuracy,
            "loss": history.loss,
            "device": history.device,
        }
        return self._save(target, inputs, network, kept, details, start)

    def _save(
        self,
        target: Target,
        inputs: dict[Target, Record],
        network: Any,
        kept: dict[str, dict[str, Any]],
        details: dict[str, Any],
        start: float,
    ) -> Record:
        """Write each set of weights under its name, all with the record of the last one, `trained`."""
        import torch

        from dynvision.models.loading import save_weights

        (upstream,) = self.upstream(target)
        record = make_record(
            target,
            code_version=self.code_version,
            config=self.settings(target),
            inputs={str(upstream): inputs[upstream].data_version},
            content=digest_weights(kept["trained"]),
            details={
                **details,
                "parameters": sum(p.numel() for p in network.parameters()),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "seconds": round(time.perf_counter() - start, 3),
            },
        )
        folder = self.output(target)
        make_directory(folder.parent)
        temporary = temporary_sibling(folder)
        try:
            for name, weights in kept.items():
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
