"""Training a network on images shown over time, from the beginning or on from a checkpoint."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dynvision.config.sections.models import TrainingConfig
from dynvision.data.images.normalization import Normalization
from dynvision.errors import DynvisionError
from dynvision.models.making.checkpoints import Checkpoints
from dynvision.models.making.history import History
from dynvision.models.making.learning import Learner, Showing, constrain
from dynvision.models.making.training_state import TrainingState
from dynvision.models.reproducible import reproducible_kernels, torch_threads
from dynvision.models.seeding import kept_generators, seed_everything
from dynvision.system.machine import lease_device
from dynvision.system.progress import progress_bar

__all__ = ["History", "train_network"]


def train_network(
    network: nn.Module,
    train_loader: Any,
    val_loader: Any,
    settings: TrainingConfig,
    seed: int,
    augment: Callable[[Tensor], Tensor] | None = None,
    normalize: Normalization | None = None,
    description: str = "training",
    on_epoch: Callable[[int], None] | None = None,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
) -> History:
    """Train a network in place, with AdamW and one cycle of the learning rate.

    AdamW is that of Loshchilov & Hutter (Decoupled weight decay regularization, ICLR 2019), the one-cycle schedule that
    of Smith & Topin (Super-convergence, 2019). Each image is shown for `n_timesteps` steps with the contrast and the
    sensor noise of the settings; the loss is the mean cross-entropy of the outputs from step `loss_from` on. With
    `clip`, a gradient that is longer is scaled to that length (Pascanu, Mikolov & Bengio, On the difficulty of training
    recurrent neural networks, ICML 2013). If the network has a method `constrain`, it is called every 10 updates and
    after each epoch.

    Args:
        network: Maps frames to class scores, step by step. It ends on the CPU.
        train_loader: Yields (`StimulusSequence`, labels `[B, T]`); its length is the number of batches an epoch.
        val_loader: Yields the same, in a fixed order.
        settings: Epochs, steps, learning rate, noise, threads.
        seed: Seeds contrast, noise and augmentation, and the global generators of torch, NumPy and Python while it is
            trained; they are left as they were.
        augment: Maps an image `[C, H, W]` as the loaders give it to one of the same shape.
        normalize: Mean and standard deviation of each channel, applied after `augment`.
        description: The text of the progress bar.
        on_epoch: Called after each epoch with its number, counted from 1; the network is within its constraint.
        device: The name of a device, see `lease_device`; a GPU is this run's alone meanwhile.
        checkpoints: Where the training is kept after an epoch, and from where it goes on; the loaders are ours then.

    Returns:
        Loss and validation accuracy of each epoch.

    Raises:
        ConfigError: If this machine has no such device, or `augment` changes the shape of an image.
        DynvisionError: If the loss of an epoch is not finite.
    """
    updates = settings.epochs * len(train_loader)
    with contextlib.ExitStack() as stack:
        used = stack.enter_context(lease_device(device))
        history = History(device=used.type)
        stack.enter_context(kept_generators(used))
        stack.enter_context(reproducible_kernels(used))
        stack.enter_context(torch_threads(settings.threads))
        torch.manual_seed(seed)
        seed_everything(seed, used)
        learner = Learner(network.to(used), settings, updates, Showing(settings, seed, augment, normalize, used))
        done = 0
        if checkpoints is not None:
            state = TrainingState(learner, (train_loader, val_loader), history)
            done = checkpoints.resume(state.restore)
        initial = done * len(train_loader)
        bar = stack.enter_context(progress_bar(updates, description, "update", initial=initial))
        for epoch in range(done + 1, settings.epochs + 1):
            _train_epoch(learner, train_loader, val_loader, history, bar)
            if on_epoch is not None:
                on_epoch(epoch)
            if checkpoints is not None:
                checkpoints.keep(epoch, state.take)
    network.to("cpu")
    constrain(network)
    return history


def _train_epoch(learner: Learner, train_loader: Any, val_loader: Any, history: History, bar: Any) -> None:
    """Train for one epoch and validate; the course is added to the history.

    Raises:
        DynvisionError: If the loss is not finite.
    """
    epoch = len(history.loss) + 1
    loss = learner.train_epoch(train_loader, bar)
    if not math.isfinite(loss):
        raise DynvisionError(
            f"the training loss is {loss} in epoch {epoch}: lower learning_rate under training in config_models.yaml"
        )
    history.loss.append(loss)
    history.val_accuracy.append(learner.measure_accuracy(val_loader))
    position = f"{epoch}/{learner.settings.epochs}"
    bar.set_postfix(epoch=position, loss=f"{loss:.3f}", val=f"{history.val_accuracy[-1]:.1%}")
    constrain(learner.network)
