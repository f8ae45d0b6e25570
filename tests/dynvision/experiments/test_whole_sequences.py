"""Networks that take a whole sequence of frames at once, as snnTorch's and spikingjelly's do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dynvision.config.sections.models import ModelConfig
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.errors import ConfigError
from dynvision.experiments.probing import probe_network
from dynvision.experiments.reducing import Reduction
from dynvision.experiments.showing import SweepRunner
from dynvision.experiments.stepping import NetworkStepper
from dynvision.models.calling import set_time_axis
from dynvision.models.checking import check_layers, check_network, check_training, count_outputs
from dynvision.models.loading import build_network
from dynvision.models.making.learning import classify
from dynvision.stimuli.presentation import Presentation
from tests.helpers.batches import show_batch

SHOWN = [Presentation.duration(7, stim, 1) for stim in (1, 2, 4)]
LAYERS = ["conv", "area", "head"]
IMAGES = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Area(nn.Module):
    """Leaky integration; returns activity and potential."""

    def forward(self, drive, potential):
        potential = drive if potential is None else 0.5 * potential + drive
        return potential.relu(), potential


class Stepping(nn.Module):
    """The same network, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.area, self.head = nn.Conv2d(3, 4, 3), Area(), nn.Linear(4, 2)

    def step(self, x, state):
        active, state = self.area(self.conv(x), state)
        return self.head(active.mean((2, 3))), state


class Looping(Stepping):
    """Takes `[T, B, C, H, W]`, and goes through the steps itself, as with snnTorch."""

    step = None

    def forward(self, x):
        state, scores = None, []
        for frame in x:
            active, state = self.area(self.conv(frame), state)
            scores.append(self.head(active.mean((2, 3))))
        return torch.stack(scores), state


class Folded(Stepping):
    """Folds steps and images into one axis, as spikingjelly does; each layer is called once."""

    step = None

    def __init__(self) -> None:
        super().__init__()
        self.area = AreaOverTime()

    def forward(self, x):
        drive = self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return {"spikes": drive, "logits": self.head(self.area(drive).mean((3, 4)))}


class AreaOverTime(Area):
    def forward(self, drive):
        potential, active = None, []
        for each in drive:
            now, potential = super().forward(each, potential)
            active.append(now)
        return torch.stack(active)


class BatchFirst(Folded):
    """Takes `[B, T, C, H, W]`."""

    def forward(self, x):
        drive = self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return self.head(self.area(drive.transpose(0, 1)).mean((3, 4))).transpose(0, 1)


def make(network: type[nn.Module], axis: int | None = None) -> nn.Module:
    made = network().eval()
    generator = torch.Generator().manual_seed(0)
    for weight in made.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    return set_time_axis(made, axis)


def show(network: nn.Module, shown=SHOWN, layers=LAYERS, idle: int = 2, **blocks):
    stepper = NetworkStepper(network, layers, Reduction("unit"))
    probe_network(stepper, shown, IMAGES.shape[1:], 1, "float32")
    return show_batch(SweepRunner(stepper, shown, idle, **blocks), IMAGES, np.arange(len(IMAGES)))


@pytest.mark.parametrize(("network", "axis"), [(Looping, 0), (Folded, 0), (BatchFirst, 1)])
def test_a_whole_sequence_gives_what_the_steps_give(network, axis):
    stepped, whole = show(make(Stepping)), show(make(network, axis), block_steps=2)
    np.testing.assert_allclose(whole.scores, stepped.scores, rtol=1e-4, atol=1e-5)
    for layer in LAYERS:
        expected = stepped.layers[layer]["response"]
        np.testing.assert_allclose(whole.layers[layer]["response"], expected, rtol=1e-4, atol=1e-5)
    alone = show(make(network, axis), SHOWN[1:2])
    np.testing.assert_array_equal(alone.scores[0], whole.scores[1])


def test_it_is_checked_trained_and_read_out_as_any_other():
    network = make(Folded, 0)
    assert count_outputs(network, 3, 8) == 2
    assert check_network(network, 2, 3, 8).draws_random is False
    check_training(network, 2, 3, 8)
    assert check_layers(make(Looping, 0), ["area.1", "*"], 3, 8) == ["conv", "area.1", "area", "head"]
    sequence = StimulusSequence(IMAGES, SHOWN[2])
    torch.testing.assert_close(classify(network, sequence), classify(make(Stepping), sequence))


def test_a_part_of_a_layer_over_time():
    potential = show(make(Looping, 0), layers=["area.1"]).layers["area.1"]["response"]
    assert potential.shape == (3, 5, 5, 4, 6, 6)
    assert (potential < 0).any()


class Summing(Folded):
    def forward(self, x):
        return super().forward(x)["logits"].sum(0)


class Remembering(Folded):
    """Keeps its state between sequences, as spikingjelly does without `reset_net`."""

    v = 0.0

    def forward(self, x):
        scores = super().forward(x)["logits"] + self.v
        self.v = scores[-1]
        return scores


class Dropping(Folded):
    def forward(self, x):
        return nn.functional.dropout(super().forward(x)["logits"], 0.5, training=True)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            Summing,
            r"output of shape \[2, 2\] for a sequence of shape \[3, 2, 3, 8, 8\]\. With time_axis: 0, \[",
        ),
        (Remembering, "it keeps a state of its own"),
        (Stepping, "Stepping cannot be shown frames of 3 channels and 8 pixels"),
    ],
)
def test_what_is_no_sequence_of_scores_is_one_sentence(network, message):
    with pytest.raises(ConfigError, match=message):
        check_network(make(network, 0), 2, 3, 8)


def test_random_draws_do_not_depend_on_the_batch():
    network = make(Dropping, 0)
    stepper = NetworkStepper(network, ["head"], Reduction("unit"))
    runner = SweepRunner(stepper, SHOWN)
    whole = show_batch(runner, IMAGES, np.arange(5))
    assert stepper.draws_random
    part = show_batch(runner, IMAGES[3:], np.array([3, 4]))
    np.testing.assert_array_equal(part.scores, whole.scores[:, 3:])


def test_a_model_says_where_its_steps_are():
    model = ModelConfig(**{"class": f"{__name__}:Folded", "time_axis": 0, "training": None})
    network = build_network(model, n_classes=2, resolution=8, channels_in=3, seed=0)
    assert count_outputs(network, 3, 8) == 2
    with pytest.raises(ValueError, match="time_axis"):
        ModelConfig(**{"class": f"{__name__}:Folded", "time_axis": 2})
