"""Everything that the rest of a training follows from: taken after an epoch, and put back in another process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dynvision.models.attributes import changed_values, read_values, write_values
from dynvision.models.making.history import History
from dynvision.models.making.learning import Learner
from dynvision.models.making.packing import pack, unpack
from dynvision.models.seeding import read_generators, write_generators

__all__ = ["TrainingState"]


class TrainingState:
    """The state of a training between two epochs.

    Besides weights, optimizer, schedule and generators it has what the network changed in its buffers and plain
    attributes since the training began. What a network keeps in objects of classes of its own is not followed.

    Args:
        learner: The network with its optimizer, before its first update.
        loaders: Those of training and validation; each says how its next epoch is drawn.
        history: The course so far.
    """

    def __init__(self, learner: Learner, loaders: Sequence[Any], history: History) -> None:
        self.learner, self.loaders, self.history = learner, loaders, history
        self._at_first = read_values(learner.network)

    def take(self) -> dict[str, Any]:
        """Return the state as nested lists and mappings of tensors, numbers and texts.

        Raises:
            UnpackableError: If the network keeps something that cannot be written down.
        """
        learner = self.learner
        network = learner.network
        values = read_values(network)
        return {
            "weights": {name: weight.detach() for name, weight in network.named_parameters()},
            "values": [[*key, pack(values[key])] for key in changed_values(self._at_first, network)],
            "modes": {name: module.training for name, module in network.named_modules()},
            "trained": {name: weight.requires_grad for name, weight in network.named_parameters()},
            "optimizer": learner.optimizer.state_dict(),
            "schedule": learner.schedule.state_dict(),
            "showing": learner.showing.generator.get_state(),
            "loaders": [loader.epoch_state() for loader in self.loaders],
            "generators": pack(read_generators(learner.showing.device)),
            "loss": list(self.history.loss),
            "val_accuracy": list(self.history.val_accuracy),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `take` returned, perhaps in another process; its tensors are on the CPU."""
        learner, device = self.learner, self.learner.showing.device
        network, modules = learner.network, dict(learner.network.named_modules())
        with torch.no_grad():
            for name, weight in network.named_parameters():
                weight.copy_(state["weights"][name])
                weight.requires_grad_(state["trained"][name])
        own = read_values(network)
        write_values(network, {(n, a): unpack(value, device, own.get((n, a))) for n, a, value in state["values"]})
        for name, mode in state["modes"].items():
            modules[name].training = mode
        learner.optimizer.load_state_dict(state["optimizer"])
        learner.schedule.load_state_dict(state["schedule"])
        learner.showing.generator.set_state(state["showing"])
        for loader, epoch in zip(self.loaders, state["loaders"], strict=True):
            loader.restore_epoch(epoch)
        write_generators(unpack(state["generators"], device), device)
        self.history.loss[:] = state["loss"]
        self.history.val_accuracy[:] = state["val_accuracy"]
