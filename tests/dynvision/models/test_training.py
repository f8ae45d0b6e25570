from __future__ import annotations

import random
import signal

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from dynvision.config.sections.models import TrainingConfig
from dynvision.data.dataloader import get_data_loader
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.errors import ConfigError, DynvisionError
from dynvision.models import RCNN
from dynvision.models.making.learning import classify
from dynvision.models.making.training import train_network
from dynvision.models.stability import convolution_gain
from dynvision.stimuli.presentation import Presentation

pytestmark = pytest.mark.slow

SETTINGS = TrainingConfig(
    epochs=3, n_timesteps=3, loss_from=1, batch_size=8, learning_rate=0.02, sensor_noise=0.2, contrast_range=(0.5, 1.0)
)


def make_network() -> RCNN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RCNN(2, 8, channels=[4, 4, 4, 4])


def make_loader(count: int, shuffle: bool):
    """Dark and bright images."""
    labels = torch.arange(count) % 2
    images = (labels * 2.0 - 1).view(-1, 1, 1, 1).expand(-1, 3, 8, 8).contiguous()
    generator = torch.Generator().manual_seed(0)
    dataset = TensorDataset(images, labels)
    return get_data_loader(dataset, batch_size=8, n_timesteps=3, lazy=True, shuffle=shuffle, generator=generator)


def train(seed: int = 0, settings: TrainingConfig = SETTINGS, **options):
    network = make_network()
    history = train_network(network, make_loader(32, True), make_loader(8, False), settings, seed, **options)
    return network, history


@pytest.fixture(scope="module")
def trained():
    return train()


def test_network_learns_what_is_easy(trained):
    _, history = trained
    assert len(history.loss) == len(history.val_accuracy) == 3
    assert history.loss[-1] < history.loss[0]
    assert history.val_accuracy[-1] == 1.0


def test_same_seed_gives_the_same_weights_to_the_bit(trained):
    again, history = train()
    assert all(map(torch.equal, trained[0].state_dict().values(), again.state_dict().values()))
    assert history == trained[1]


def test_another_seed_gives_other_weights(trained):
    other, _ = train(seed=1)
    assert not torch.equal(other.classifier.weight, trained[0].classifier.weight)


def test_training_leaves_the_global_generators_as_they_were():
    torch.manual_seed(5)
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy())
    train()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])


def test_recurrence_ends_within_its_limit(trained):
    network, _ = trained
    for name in network.areas:
        area = network.get_submodule(name)
        assert float(convolution_gain(area.lateral.weight, area.size)) <= network.max_gain * (1 + 1e-5)


def test_loss_that_is_not_finite_stops_and_says_what_to_change():
    with pytest.raises(DynvisionError, match=r"the training loss is (nan|inf) in epoch \d: lower learning_rate"):
        train(settings=SETTINGS.model_copy(update={"learning_rate": 1e30}))


@pytest.mark.parametrize("device", ["cuda:7", "mps"])
def test_a_device_that_this_machine_lacks_is_refused_as_for_recording(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"there is no device '{device}' on this machine. Set 'device' to cpu, or to"):
        train(device=device)


def test_ctrl_c_ends_training_as_a_keyboard_interrupt():
    handler, before, epochs = signal.getsignal(signal.SIGINT), torch.get_rng_state(), []

    def interrupt(epoch: int) -> None:
        epochs.append(epoch)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(on_epoch=interrupt)
    assert epochs == [1]
    assert signal.getsignal(signal.SIGINT) is handler
    assert torch.equal(torch.get_rng_state(), before)


def test_validation_leaves_each_part_of_the_network_in_its_mode():
    modes = []

    class Watched(RCNN):
        def step(self, x_t, state=None):
            modes.append((self.training, self.V1.training))
            return super().step(x_t, state)

    network = Watched(2, 8, channels=[4, 4, 4, 4])
    network.V1.eval()
    settings = SETTINGS.model_copy(update={"epochs": 2})
    train_network(network, make_loader(8, True), make_loader(8, False), settings, 0)
    assert modes == 2 * ([(True, False)] * 3 + [(False, False)] * 3)


def test_scores_are_those_of_the_network_step_by_step(trained):
    network, _ = trained
    sequence = StimulusSequence(torch.rand(2, 3, 8, 8), Presentation.duration(4, 2, 1))
    with torch.no_grad():
        torch.testing.assert_close(classify(network, sequence), network(sequence.dense()))


def test_a_gradient_that_is_too_long_is_scaled_and_a_short_one_left(trained):
    unclipped, _ = trained
    long, _ = train(settings=SETTINGS.model_copy(update={"clip": 1e6}))
    assert torch.equal(long.classifier.weight, unclipped.classifier.weight)
    lengths = []

    class Watched(torch.optim.AdamW):
        def step(self, closure=None):
            grads = [p.grad for group in self.param_groups for p in group["params"]]
            lengths.append(float(torch.nn.utils.get_total_norm(grads)))
            return super().step(closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", Watched)
        train(settings=SETTINGS.model_copy(update={"clip": 0.1}))
    assert max(lengths) <= 0.1 * (1 + 1e-4)


class Normed(torch.nn.Module):
    """A network that needs two images in training, and of which one part is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 2)
        self.head.bias.requires_grad_(False)

    def forward(self, x):
        return self.head(self.norm(x.mean((2, 3))))


def train_normed(count: int, network: torch.nn.Module | None = None):
    network = Normed() if network is None else network
    history = train_network(network, make_loader(count, True), make_loader(8, False), SETTINGS, 0)
    return network, history


def test_a_last_batch_of_one_image_is_left_out_if_the_network_cannot_take_it():
    network, history = train_normed(17)
    assert len(history.loss) == 3
    assert int(network.norm.num_batches_tracked) == 2 * SETTINGS.epochs * SETTINGS.n_timesteps


def test_a_last_batch_of_one_image_counts_if_the_network_can_take_it():
    seen = []
    network = Normed()
    network.norm = torch.nn.Identity()
    network.norm.register_forward_hook(lambda *arguments: seen.append((network.training, len(arguments[1][0]))))
    train_normed(17, network)
    assert seen.count((True, 1)) == SETTINGS.epochs * SETTINGS.n_timesteps + 1  # once to see whether it can


def test_batches_of_one_image_alone_say_what_to_change():
    with pytest.raises(ConfigError, match="Normed cannot be trained on one image at a time, as batch normalization"):
        train_normed(1)


def test_weights_that_are_frozen_stay_as_they_are():
    network = Normed()
    before = network.head.bias.clone()
    train_normed(16, network)
    assert torch.equal(network.head.bias, before)
    with pytest.raises(ConfigError, match="Normed has no weights to train"):
        train_normed(16, Normed().requires_grad_(False))


def test_a_constraint_that_fails_is_one_sentence():
    network = Normed()
    network.constrain = lambda: 1 / 0
    with pytest.raises(ConfigError, match=r"the method constrain of Normed fails \(ZeroDivisionError"):
        train_normed(16, network)
