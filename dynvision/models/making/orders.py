"""Making a network: building it, and training it or taking it as it is."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dynvision.config.sections.models import THREADS, ModelConfig, TrainingConfig
from dynvision.data.stores.base import StoredImages
from dynvision.errors import ConfigError
from dynvision.models.checking import check_layers, check_network, check_training, count_outputs
from dynvision.models.checkpoint import load_checkpoint
from dynvision.models.class_order import order_classes
from dynvision.models.classes import name_outputs
from dynvision.models.loading import build_network
from dynvision.models.making.checkpoints import Checkpoints
from dynvision.models.making.training import train_network
from dynvision.models.reproducible import torch_threads

__all__ = ["MadeNetwork", "NetworkOrder", "take_network", "train_order"]

Weights = dict[str, Tensor]
ClassEntry = Mapping[str, Any]


@dataclass(frozen=True)
class NetworkOrder:
    """What network is wanted.

    Attributes:
        name: Its target as text, for messages.
        model: Its entry in config_models.yaml.
        classes: The classes of the group it belongs to (`index`, `name`, `folder`, …), in order.
        channels: Channels of the images.
        resolution: Width and height of the images in pixels.
        seed: Seeds the initial weights and the training.
        checkpoint: The weights to begin with; `None` keeps the initial ones.
        epochs: The epochs after which the weights are kept, in ascending order.
        own_classes: The network's own classes and where they come from, if the configuration names them.
        keeps_its_outputs: Do not tell the network the number of classes; its own number of outputs stays.
        class_order: The order of the classes in the outputs of a network that is not trained here; see `order_classes`.
    """

    name: str
    model: ModelConfig
    classes: Sequence[ClassEntry]
    channels: int
    resolution: int
    seed: int
    checkpoint: Path | None
    epochs: Sequence[int]
    own_classes: tuple[str, Sequence[str]] | None = None
    keeps_its_outputs: bool = False
    class_order: str | Sequence[int | str] | None = None


@dataclass(frozen=True)
class MadeNetwork:
    """A network that was made.

    Attributes:
        network: The network, on the CPU.
        weights: Its weights by name: `init`, `trained`, and `epoch=N` of each epoch that is kept.
        details: Facts for its record: the class of each output, and what happened in training.
    """

    network: nn.Module
    weights: dict[str, Weights]
    details: dict[str, Any]


def train_order(
    order: NetworkOrder,
    training: TrainingConfig,
    images: StoredImages,
    augment: Callable[[Tensor], Tensor] | None,
    device: str,
    checkpoints: Checkpoints | None = None,
) -> MadeNetwork:
    """Build a network and train it, all with the number of threads that the settings say.

    Args:
        order: What network is wanted.
        training: How it is trained.
        images: The images of the training split.
        augment: The transform of training images `[C, H, W]`.
        device: Where it is trained; see `lease_device`.
        checkpoints: Where the training is kept while it is under way, and from where it goes on.

    Raises:
        ConfigError: If the network does not fit the images or has no weights, or an epoch is wanted that is not
            trained.
        DynvisionError: If the loss is not finite.
    """
    if order.epochs and order.epochs[-1] > training.epochs:
        raise ConfigError(
            f"an experiment asks for {order.name} after epoch {order.epochs[-1]}, but it is trained for "
            f"{training.epochs}: change the experiment's status in config_experiments.yaml, or epochs in "
            "config_models.yaml"
        )
    with torch_threads(training.threads):
        network = _build_trainable(order, training)
        weights = {"init": _copy_weights(network)}
        kept = {} if checkpoints is None else checkpoints.kept

        def keep(epoch: int) -> None:
            if epoch in order.epochs:
                kept[epoch] = _copy_weights(network)

        size, steps = training.batch_size, training.n_timesteps
        history = train_network(
            network,
            images.loader("train", size, steps, order="random", seed=order.seed, normalized=False),
            images.loader("val", size, steps, normalized=False),
            training,
            order.seed,
            augment,
            images.normalize,
            order.name,
            keep,
            device,
            checkpoints,
        )
    weights |= {f"epoch={epoch}": kept[epoch] for epoch in order.epochs}
    weights["trained"] = _copy_weights(network)
    details = {
        "classes": list(order.classes),
        "channels": order.channels,
        "val_accuracy": history.val_accuracy,
        "loss": history.loss,
        "device": history.device,
        "threads": training.threads,
    }
    if checkpoints is not None and checkpoints.resumed_after:
        details["resumed_after"] = checkpoints.resumed_after
    return MadeNetwork(network, weights, details)


def _build_trainable(order: NetworkOrder, training: TrainingConfig) -> nn.Module:
    """Build a network that is to be trained, and check that it can be.

    Raises:
        ConfigError: If it has no weights to train, or does not fit the images.
    """
    network = _build(order, len(order.classes))
    if not any(weight.requires_grad for weight in network.parameters()):
        raise ConfigError(
            f"{order.name}: {order.model.class_path} has no weights to train. Set 'training: null' for this model in "
            "config_models.yaml."
        )
    check_network(network, len(order.classes), order.channels, order.resolution, training.n_timesteps)
    check_training(network, len(order.classes), order.channels, order.resolution)
    check_layers(network, order.model.record.layers, order.channels, order.resolution)
    return network


def take_network(order: NetworkOrder, all_classes: Sequence[ClassEntry]) -> MadeNetwork:
    """Build a network that is not trained here: it keeps its own weights, or those of a checkpoint.

    Args:
        order: What network is wanted.
        all_classes: Every class of the dataset; the outputs may stand for these instead of those of the group.

    Raises:
        ConfigError: If the network does not fit the images or its own classes, or an epoch is wanted.
    """
    with torch_threads(THREADS):
        network, n_classes = _build_ready(order)
    outputs = count_outputs(network, order.channels, order.resolution)
    classes = name_outputs(outputs, order.own_classes, order.classes, all_classes, order.name)
    if order.class_order is not None:
        if classes.source is not None:
            raise ConfigError(
                f"{order.name}: 'class_order' orders the classes of a dataset, but the {outputs} outputs stand for "
                "none of its groups. Leave it out of config_models.yaml, and name the outputs with 'classes'."
            )
        ordered = order_classes(classes.entries, order.class_order, order.name)
        classes = dataclasses.replace(classes, entries=ordered)
    check_network(network, outputs, order.channels, order.resolution)
    check_layers(network, order.model.record.layers, order.channels, order.resolution)
    if order.epochs:
        raise ConfigError(
            f"an experiment asks for an epoch of {order.name}, which is not trained here: change the experiment's "
            "status in config_experiments.yaml to init or trained"
        )
    details = {**classes.to_details(), "channels": order.channels}
    if n_classes != len(classes.entries):
        details["n_classes"] = n_classes
    weights = _copy_weights(network)
    return MadeNetwork(network, {"init": weights, "trained": weights}, details)


def _build_ready(order: NetworkOrder) -> tuple[nn.Module, int | None]:
    """Build a network that is not trained here; also return the number of classes that it was told.

    If a checkpoint does not fit a network of the dataset's classes, it may fit one that keeps its own outputs.
    """
    if order.own_classes is not None:
        n_classes = len(order.own_classes[1])
    elif order.keeps_its_outputs:
        return _build(order, None), None
    else:
        n_classes = len(order.classes)
    try:
        return _build(order, n_classes), n_classes
    except ConfigError:
        if order.checkpoint is None and order.own_classes is None:
            raise
        with contextlib.suppress(ConfigError):
            return _build(order, None), None
        raise


def _build(order: NetworkOrder, n_classes: int | None) -> nn.Module:
    network = build_network(
        order.model,
        n_classes=n_classes,
        resolution=order.resolution,
        channels_in=order.channels,
        seed=order.seed,
        fetch=order.checkpoint is None,
    )
    if order.checkpoint is not None:
        load_checkpoint(order.checkpoint, network, order.model.checkpoint_key)
    return network


def _copy_weights(network: nn.Module) -> Weights:
    """Copy the weights of a network to the memory of the CPU."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
