"""A network with its optimizer, and how images are shown to it in training and validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynvision.config.sections.models import TrainingConfig
from dynvision.data.images.normalization import Normalization, standardize
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.errors import ConfigError
from dynvision.models.attributes import preserved
from dynvision.models.calling import (
    evaluating,
    explaining_failures,
    show_sequence,
    step_network,
    time_axis_of,
)
from dynvision.models.seeding import kept_generators

__all__ = ["Learner", "Showing", "classify", "constrain"]

CONSTRAIN_EVERY = 10
"""Updates between two projections of the recurrence; its gain hardly moves in that time."""


@torch.no_grad()
def classify(network: nn.Module, sequence: StimulusSequence) -> Tensor:
    """Return the class scores at every step of a sequence of B trials and T steps: shape `[B, T, n_classes]`."""
    if time_axis_of(network) is not None:
        return show_sequence(network, torch.stack(list(sequence.steps()))).transpose(0, 1)
    state, outputs = None, []
    for frame in sequence.steps():
        output, state = step_network(network, frame, state)
        outputs.append(output)
    return torch.stack(outputs, dim=1)


class Showing:
    """How images are shown in training: augmented, standardized, with a random contrast, and noise at every step."""

    def __init__(
        self,
        settings: TrainingConfig,
        seed: int,
        augment: Callable[[Tensor], Tensor] | None,
        normalize: Normalization | None,
        device: torch.device,
    ) -> None:
        self.settings, self.augment, self.normalize, self.device = settings, augment, normalize, device
        self.generator = torch.Generator().manual_seed(seed)

    def draw_images(self, sequence: StimulusSequence) -> Tensor:
        """Return the images of a batch for training, without sensor noise: shape `[B, C, H, W]`."""
        images = standardize(self._augmented(sequence.images.to(self.device)), self.normalize)
        low, high = self.settings.contrast_range
        contrast = low + (high - low) * torch.rand(len(images), 1, 1, 1, generator=self.generator)
        return images * contrast.to(images)

    def draw_noise(self, images: Tensor) -> Tensor | float:
        """Draw the sensor noise of one step, of the shape of the images."""
        if self.settings.sensor_noise == 0:
            return 0.0
        noise = torch.randn(images.shape, generator=self.generator)
        return self.settings.sensor_noise * noise.to(images)

    def standardized(self, sequence: StimulusSequence) -> StimulusSequence:
        """Return a batch for validation: the presentation as it is, the images standardized."""
        return replace(sequence, images=standardize(sequence.images.to(self.device), self.normalize))

    def _augmented(self, images: Tensor) -> Tensor:
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


class Learner:
    """A network with its optimizer and the schedule of the learning rate."""

    def __init__(self, network: nn.Module, settings: TrainingConfig, updates: int, showing: Showing) -> None:
        self.network, self.settings, self.showing = network, settings, showing
        self.weights = [weight for weight in network.parameters() if weight.requires_grad]
        if not self.weights:
            raise ConfigError(
                f"{type(network).__name__} has no weights to train. Set 'training: null' for this model in "
                "config_models.yaml."
            )
        self.takes_one: bool | None = None
        self.optimizer = torch.optim.AdamW(self.weights, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.learning_rate, total_steps=max(2, updates)
        )

    def train_epoch(self, loader: Any, bar: Any) -> float:
        """Update the weights once for each batch; return the mean loss.

        A batch of one image is left out if the network cannot be trained on it, as with batch normalization. Images
        are mixed anew in each epoch, so that it is another one each time.
        """
        losses = []
        for number, (sequence, labels) in enumerate(loader, start=1):
            if len(sequence.images) == 1 and not self._takes_one(sequence):
                bar.update()
                continue
            loss = self._loss(sequence, labels)
            self.optimizer.zero_grad()
            with explaining_failures(self.network, sequence.images.shape):
                loss.backward()  # type: ignore[no-untyped-call]
            if self.settings.clip is not None:
                nn.utils.clip_grad_norm_(self.weights, self.settings.clip)
            self.optimizer.step()
            self.schedule.step()
            losses.append(float(loss.detach()))
            bar.update()
            if number % CONSTRAIN_EVERY == 0:
                constrain(self.network)
        if not losses:
            raise ConfigError(
                f"{type(self.network).__name__} cannot be trained on one image at a time, as batch normalization needs "
                "two or more, and every batch has one. Set batch_size under training in config_models.yaml, or give "
                "more images."
            )
        return sum(losses) / len(losses)

    def _takes_one(self, sequence: StimulusSequence) -> bool:
        """Whether the network can be trained on a batch of one image; it is left as it was."""
        if self.takes_one is None:
            image = sequence.images.to(self.showing.device)
            try:
                with preserved(self.network), kept_generators(image.device), torch.no_grad():
                    step_network(self.network, image, None)
                self.takes_one = True
            except ConfigError:
                self.takes_one = False
        return self.takes_one

    @torch.no_grad()
    def measure_accuracy(self, loader: Any) -> float:
        """Return the share of images whose class has the highest score at the last step."""
        correct = count = 0
        with evaluating(self.network):
            for sequence, labels in loader:
                scores = classify(self.network, self.showing.standardized(sequence))[:, -1]
                correct += int((scores.argmax(dim=1) == labels[:, 0].to(scores.device)).sum())
                count += len(scores)
        return correct / count

    def _loss(self, sequence: StimulusSequence, labels: Any) -> Tensor:
        images, settings = self.showing.draw_images(sequence), self.settings
        named = labels[:, 0].to(images.device)
        if time_axis_of(self.network) is not None:
            frames = torch.stack([images + self.showing.draw_noise(images) for _ in range(settings.n_timesteps)])
            scored = show_sequence(self.network, frames)[settings.loss_from :]
            return torch.stack([functional.cross_entropy(output, named) for output in scored]).mean()
        state, loss = None, images.new_zeros(())
        for t in range(settings.n_timesteps):
            output, state = step_network(self.network, images + self.showing.draw_noise(images), state)
            if t >= settings.loss_from:
                loss = loss + functional.cross_entropy(output, named)
        return loss / (settings.n_timesteps - settings.loss_from)


def constrain(network: nn.Module) -> None:
    """Bring a network within its constraint, if it has one."""
    method = getattr(network, "constrain", None)
    if callable(method):
        with explaining_failures(network, ()):
            method()
