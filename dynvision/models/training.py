"""Training a network on images shown over time."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional

from dynvision.config.models import TrainingConfig
from dynvision.data.images.normalization import Normalization, standardize
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.errors import ConfigError, DynvisionError
from dynvision.models.loading import step_network
from dynvision.system.progress import progress_bar

__all__ = ["History", "classify", "train_network"]

CONSTRAIN_EVERY = 10
"""Updates between two projections of the recurrence; its gain hardly moves in that time."""


@dataclass
class History:
    """What happened in training, one entry an epoch.

    Attributes:
        loss: Mean training loss (cross-entropy, nats).
        val_accuracy: Share of validation images named right at the last step.
        device: Where it was computed: `cpu`, `cuda`, `mps`.
    """

    loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    device: str = "cpu"


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
) -> History:
    """Train a network in place, with AdamW and one cycle of the learning rate.

    The one-cycle schedule is that of Smith & Topin (Super-convergence, 2019). Each image is shown
    for `n_timesteps` steps with the contrast and sensor noise of the settings; the loss is the
    cross-entropy of the outputs from step `loss_from` on. A network that has a `constrain` method
    is kept within its constraint.

    Args:
        network: Maps frames to class scores, step by step.
        train_loader: Yields (`StimulusSequence`, labels `[B, T]`).
        val_loader: The same, in a fixed order.
        settings: Epochs, steps, learning rate, noise.
        seed: Seeds contrast, noise and augmentation; the global generator is left as it was.
        augment: Maps an image `[C, H, W]` as the loaders give it to one of the same shape.
        normalize: Mean and standard deviation of each channel, applied after `augment`.
        description: What the progress bar says.
        on_epoch: Called after each epoch with its number, counted from 1; the network is within its constraint.
        device: `auto` takes a GPU where there is one; else `cpu`, `cuda` or `mps`.

    Raises:
        ConfigError: There is no such device here.
    """
    _require_device(device)
    learner = _Learner(network, settings, len(train_loader), seed, augment, normalize)
    steps = settings.epochs * len(train_loader)
    with torch.random.fork_rng(devices=[]), _quiet(), progress_bar(steps, description, "update") as bar:
        torch.manual_seed(seed)
        learner.bar, learner.on_epoch = bar, on_epoch
        trainer = lightning.Trainer(
            max_epochs=settings.epochs,
            accelerator=device,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        with _interruptible(trainer):
            trainer.fit(learner, train_loader, val_loader)
    learner.history.device = trainer.strategy.root_device.type
    network.to("cpu")
    _constrain(network)
    return learner.history


@torch.no_grad()
def classify(network: nn.Module, sequence: StimulusSequence) -> Tensor:
    """Class scores at every step: shape `[B, T, n_classes]`."""
    state, outputs = None, []
    for frame in sequence.steps():
        output, state = step_network(network, frame, state)
        outputs.append(output)
    return torch.stack(outputs, dim=1)


class _Learner(lightning.LightningModule):
    def __init__(
        self,
        network: nn.Module,
        settings: TrainingConfig,
        batches: int,
        seed: int,
        augment: Callable[[Tensor], Tensor] | None,
        normalize: Normalization | None,
    ) -> None:
        super().__init__()
        self.network, self.settings, self.batches, self.augment = network, settings, batches, augment
        self.normalize = normalize
        self.generator = torch.Generator().manual_seed(seed)
        self.history = History()
        self.bar: Any = None
        self.on_epoch: Callable[[int], None] | None = None
        self._losses: list[float] = []
        self._right = self._seen = 0

    def training_step(self, batch: tuple[StimulusSequence, Tensor], batch_idx: int) -> Tensor:
        sequence, labels = batch
        images = standardize(self._augment(sequence.images), self.normalize)
        images = images * self._draw_contrast(len(images)).to(images)
        state, loss = None, images.new_zeros(())
        for t in range(self.settings.n_timesteps):
            output, state = step_network(self.network, images + self._draw_noise(images), state)
            if t >= self.settings.loss_from:
                loss = loss + functional.cross_entropy(output, labels[:, 0])
        loss = loss / (self.settings.n_timesteps - self.settings.loss_from)
        self._losses.append(float(loss.detach()))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.bar.update()
        if (batch_idx + 1) % CONSTRAIN_EVERY == 0:
            _constrain(self.network)

    def validation_step(self, batch: tuple[StimulusSequence, Tensor], batch_idx: int) -> None:
        sequence, labels = batch
        shown = replace(sequence, images=standardize(sequence.images, self.normalize))
        scores = classify(self.network, shown)[:, -1]
        self._right += int((scores.argmax(dim=1) == labels[:, 0]).sum())
        self._seen += len(scores)

    def on_validation_epoch_end(self) -> None:
        self.history.val_accuracy.append(self._right / self._seen)
        self._right = self._seen = 0

    def on_train_epoch_end(self) -> None:
        loss = sum(self._losses) / len(self._losses)
        self._losses.clear()
        if not torch.isfinite(torch.tensor(loss)):
            raise DynvisionError(
                f"the training loss is {loss} in epoch {self.current_epoch + 1}: lower learning_rate under training in "
                "config_models.yaml"
            )
        self.history.loss.append(loss)
        epoch = f"{self.current_epoch + 1}/{self.settings.epochs}"
        self.bar.set_postfix(epoch=epoch, loss=f"{loss:.3f}", val=f"{self.history.val_accuracy[-1]:.1%}")
        _constrain(self.network)
        if self.on_epoch is not None:
            self.on_epoch(self.current_epoch + 1)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        sequence, labels = batch
        return sequence.to(device), labels.to(device)

    def configure_optimizers(self) -> Any:
        settings = self.settings
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=max(2, settings.epochs * self.batches)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _augment(self, images: Tensor) -> Tensor:
        if self.augment is None:
            return images
        changed = [self.augment(image) for image in images]
        if changed[0].shape != images[0].shape:
            raise ConfigError(
                f"the training transform turns images of {list(images[0].shape)} into {list(changed[0].shape)}; the "
                "network needs their size. Change transform_presets in config_data.yaml, or give the dataset its own "
                "preset (train_<dataset>)."
            )
        return torch.stack(changed)

    def _draw_contrast(self, count: int) -> Tensor:
        low, high = self.settings.contrast_range
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=self.generator)

    def _draw_noise(self, images: Tensor) -> Tensor | float:
        if self.settings.sensor_noise == 0:
            return 0.0
        noise = torch.randn(images.shape, generator=self.generator)
        return self.settings.sensor_noise * noise.to(images)


@contextmanager
def _interruptible(trainer: lightning.Trainer) -> Iterator[None]:
    """Let an interruption through as one; Lightning turns Ctrl-C into an exit and ignores the next."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as exit_:
        if trainer.interrupted:
            raise KeyboardInterrupt from exit_
        raise
    finally:
        if in_main_thread:
            signal.signal(signal.SIGINT, handler)


def _constrain(network: nn.Module) -> None:
    constrain = getattr(network, "constrain", None)
    if constrain is not None:
        constrain()


def _require_device(device: str) -> None:
    there: dict[str, Callable[[], bool]] = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device in there and not there[device]():
        raise ConfigError(f"the device is to be '{device}', and torch finds none here. Choose auto or cpu.")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's notes about hardware and workers out of the user's way."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning.*")
            yield
    finally:
        logger.setLevel(level)
