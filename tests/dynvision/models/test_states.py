"""A state that a network keeps by itself is found, and what only looks like one is not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from dynvision.errors import ConfigError
from dynvision.models import RCNN, NormalizingNetwork
from dynvision.models.attributes import disturb
from dynvision.models.checking import check_network
from dynvision.models.seeding import seeded
from dynvision.models.states import DISTURBANCES


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.calls = 0

    def look(self, x):
        return self.layer(x.mean((2, 3)))


class ThreeSteps(Base):
    """Averages over the last three frames."""

    def __init__(self) -> None:
        super().__init__()
        self.past = deque(maxlen=3)

    def forward(self, x):
        self.past.append(x)
        return self.look(sum(self.past))


class Ring(Base):
    """Returns what it saw three calls ago, in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("past", torch.zeros(3, 2, 2))

    def forward(self, x):
        now = self.past[self.calls % 3].clone()
        seen = self.look(x)
        self.past[self.calls % 3, : len(seen)] = seen.detach()
        self.calls += 1
        return now[: len(x)] + 0 * seen


class Late(Base):
    """Gives the same for six calls."""

    after = 6

    def forward(self, x):
        self.calls += 1
        return self.look(x) + (self.calls > self.after)


class VeryLate(Late):
    after = 1000


class LateSteps(VeryLate):
    """The same, with a state that is not all."""

    def step(self, x, state):
        return self.forward(x), state


class Membrane(Base):
    """Like a spiking layer in single-step mode."""

    def __init__(self) -> None:
        super().__init__()
        self.v = 0.0

    def forward(self, x):
        self.v = 0.5 * self.v + self.look(x)
        return (self.v > 0.1).float() + 0 * self.look(x)


class Running(Base):
    """Normalizes by the largest value that it ever saw."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("largest", torch.ones(()))

    def forward(self, x):
        self.largest = torch.maximum(self.largest, x.abs().max())
        return self.look(x / self.largest)


class Global(Base):
    """Keeps its state outside of itself."""

    past = []  # noqa: RUF012

    def forward(self, x):
        self.past.append(x)
        return self.look(x) + 0.1 * len(self.past)


class LateAndElsewhere(Global):
    past = []  # noqa: RUF012

    def forward(self, x):
        self.past.append(x)
        return self.look(x) + len(self.past) // 40


class OwnGenerator(Base):
    def __init__(self) -> None:
        super().__init__()
        self.noise = np.random.default_rng(0)

    def forward(self, x):
        return self.look(x) + torch.from_numpy(self.noise.standard_normal(2)).float()


class HidesPart(Base):
    """Steps with a state, and a delay of three steps that it hides."""

    def __init__(self) -> None:
        super().__init__()
        self.past = []

    def step(self, x, state):
        self.past = [*self.past[-2:], self.look(x).detach()]
        state = x if state is None else state + x
        return self.look(state) + self.past[0], state


def make(network: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """Make a network whose weights follow from a seed."""
    with seeded(seed):
        return network()


@pytest.mark.parametrize(
    "network", [ThreeSteps, Ring, Late, VeryLate, LateSteps, Membrane, Running, Global, OwnGenerator, HidesPart]
)
def test_a_state_of_its_own_is_refused(network):
    network = make(network).eval()
    with pytest.raises(ConfigError, match="it keeps a state of its own"):
        check_network(network, 2, 3, 6)


ALWAYS_ABOVE = (6, 30, 38, 61, 67, 76, 84)
"""Seeds with which a membrane is above its threshold whatever is shown, so that only a lower value shows its state."""


@pytest.mark.parametrize("seed", [*range(18), *ALWAYS_ABOVE[1:]])
def test_the_state_of_a_membrane_is_refused_whatever_its_weights(seed):
    with pytest.raises(ConfigError, match="it keeps a state of its own"):
        check_network(make(Membrane, seed).eval(), 2, 3, 6)


def test_a_state_that_appears_within_the_trial_is_refused():
    check_network(make(LateAndElsewhere), 2, 3, 6)
    LateAndElsewhere.past.clear()
    with pytest.raises(ConfigError, match="it keeps a state of its own"):
        check_network(make(LateAndElsewhere), 2, 3, 6, n_timesteps=60)


class Attentive(Base):
    """Keeps its last map to look at, and counts its calls: neither changes an output."""

    def forward(self, x):
        self.calls += 1
        self.map = x.softmax(-1)
        return self.look(self.map)


class Cached(Base):
    """Keeps a table that depends on the size of the frame alone."""

    def __init__(self) -> None:
        super().__init__()
        self.table = None

    def forward(self, x):
        if self.table is None or self.table.shape != x.shape:
            self.table = torch.linspace(0, 1, x.numel()).view(x.shape)
        return self.look(x + self.table)


class InPlace(Base):
    """Changes its frame and its state in place."""

    def step(self, x, state):
        x.mul_(2)
        state = torch.zeros(len(x), 2) if state is None else state
        state.mul_(0.5).add_(self.look(x))
        return state.clone(), state


class Dropping(Base):
    def forward(self, x):
        return nn.functional.dropout(self.look(x), 0.5, training=True)


class NumpyNoise(Base):
    def forward(self, x):
        return self.look(x) + torch.from_numpy(np.random.standard_normal(2)).float()


@pytest.mark.parametrize("network", [Attentive, Cached, InPlace, Dropping, NumpyNoise])
@pytest.mark.parametrize("seed", range(4))
def test_what_only_looks_like_a_state_is_not_refused_and_is_left_as_it_was(network, seed):
    network = make(network, seed).train()
    network.calls = 5
    found = check_network(network, 2, 3, 6)
    assert found.draws_random == (type(network) in (Dropping, NumpyNoise))
    assert (network.training, network.calls) == (True, 5)


@pytest.mark.parametrize("network", [RCNN, NormalizingNetwork])
def test_networks_of_the_project_keep_nothing_and_draw_nothing(network):
    assert check_network(make(lambda: network(2, 8)), 2, 3, 8, n_timesteps=40).draws_random is False


def test_the_message_names_what_changes():
    with pytest.raises(ConfigError, match=r"it changes its past, calls.*Give it a method step\(x, state\)"):
        check_network(make(Ring).eval(), 2, 3, 6)


class OfTheBatch(Base):
    """Normalizes by the statistics of the batch, also in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, x):
        return self.look(self.norm(x) ** 2 * x)


def test_a_network_that_mixes_images_is_noticed():
    assert check_network(make(OfTheBatch), 2, 3, 6).mixes_images
    assert not check_network(make(InPlace), 2, 3, 6).mixes_images
    assert not check_network(make(Dropping), 2, 3, 6).mixes_images


@pytest.mark.parametrize(
    "value",
    [
        *(True, 3, 0.5, torch.zeros(2), torch.full((2,), torch.inf), torch.zeros(2, dtype=torch.half)),
        *(torch.zeros(2, dtype=torch.uint8), torch.zeros(2, dtype=torch.int8), torch.tensor([True, False])),
        *(np.zeros(2), np.zeros(2, np.float16), np.zeros((), np.float32), np.zeros(2, np.uint8), np.zeros(2, np.int16)),
        *(np.array([True]), [1, "a"], (0.5,), {"a": torch.zeros(1)}, deque([1, 2], 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("factor", DISTURBANCES)
def test_a_disturbed_value_is_another_one_of_the_same_kind(value, factor):
    other = disturb(value, factor)
    assert type(other) is type(value)
    if isinstance(value, torch.Tensor | np.ndarray):
        assert (other.dtype, other.shape) == (value.dtype, value.shape)
        assert bool((other != value).all()) or bool(torch.as_tensor(value).isinf().all())
    else:
        assert other != value
