from __future__ import annotations

import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dynvision.data.loading.sequence import StimulusSequence
from dynvision.errors import ConfigError
from dynvision.experiments.reducing import Reduction
from dynvision.experiments.showing import SweepRunner
from dynvision.experiments.stepping import NetworkStepper
from dynvision.experiments.walking import _seed
from dynvision.models import RCNN, NormalizingNetwork
from dynvision.models.reproducible import torch_threads
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import show_first_only, show_nothing
from tests.helpers.batches import make_runner, show_batch
from tests.helpers.presentations import STEPS, presentations

LAYERS = ["V1", "V1.lateral", "IT", "classifier"]


@pytest.fixture(scope="module")
def network() -> RCNN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RCNN(4, 8, channels=[3, 4, 4, 5]).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@st.composite
def sweeps(draw):
    """A few presentations of one length, some of them noisy."""
    shown = []
    for _ in range(draw(st.integers(2, 5))):
        stim, intro = draw(st.integers(1, 4)), draw(st.integers(0, 2))
        contrast, noise = draw(st.sampled_from([0.5, 1.0])), draw(st.sampled_from([0.0, 0.5, 2.0]))
        shown.append(Presentation.contrast(STEPS, stim, intro, contrast, sensor_noise=noise))
    return shown


def assert_same_bits(one, other, condition: int, alone: int) -> None:
    assert one.scores[condition].tobytes() == other.scores[alone].tobytes()
    for layer, variables in one.layers.items():
        for name, value in variables.items():
            assert value[condition].tobytes() == other.layers[layer][name][alone].tobytes(), (layer, name)


@pytest.mark.slow
@settings(max_examples=10)
@given(sweeps(), st.integers(0, 3), st.sampled_from(["unit", "channel"]))
def test_sweep_gives_the_same_bits_as_showing_each_condition_alone(network, images, shown, idle, resolution):
    ids = np.array([4, 9, 2])
    together = show_batch(make_runner(network, shown, LAYERS, resolution, idle), images, ids)
    for number, presentation in enumerate(shown):
        alone = show_batch(make_runner(network, [presentation], LAYERS, resolution, idle), images, ids)
        assert_same_bits(together, alone, number, 0)


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["unit", "channel", "layer"])
@pytest.mark.parametrize("count", [1, 33])
def test_responses_have_the_same_bits_at_any_number_of_threads(resolution, count):
    shown = [Presentation.contrast(4, 2, 1, contrast, sensor_noise=0.5) for contrast in (0.2, 1.0)]
    large, ids = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0)), np.arange(count)
    layers = {RCNN: ["V1", "V1.lateral", "IT", "classifier"], NormalizingNetwork: ["V1", "V2", "classifier"]}
    for kind, names in layers.items():
        with torch.random.fork_rng(), torch_threads(1):
            torch.manual_seed(0)
            wide = kind(10, 32).eval()
            one = show_batch(make_runner(wide, shown, names, resolution, idle=2), large, ids)
        for threads in (2, 3):
            with torch_threads(threads):
                other = show_batch(make_runner(wide, shown, names, resolution, idle=2), large, ids)
            for number in range(len(shown)):
                assert_same_bits(one, other, number, number)


@torch.no_grad()
def test_responses_are_those_of_stepping_the_network_by_hand(network, images):
    show = Presentation.duration(5, 2, 1, stimulus_contrast=0.5, sensor_noise=1.0, noise_seed=2)
    ids = np.array([4, 9, 2])
    responses = show_batch(make_runner(network, [show], ["V1", "classifier"], "unit", idle=1), images, ids)
    state, scores, rates = None, [], []
    for frame in StimulusSequence(images, show, ids).steps():
        output, state = network.step(frame, state)
        scores.append(output)
        rates.append(state["V1"])
    np.testing.assert_array_equal(responses.scores[0], torch.stack(scores[1:], dim=1))
    np.testing.assert_array_equal(responses.layers["V1"]["response"][0], torch.stack(rates[1:], dim=1))
    np.testing.assert_array_equal(responses.layers["classifier"]["response"][0], torch.stack(scores[1:], dim=1))
    assert responses.scores.dtype == np.float32


def test_channel_resolution_is_mean_and_standard_deviation_over_space(network, images):
    show, ids = [Presentation.constant(3)], np.arange(3)
    units = show_batch(make_runner(network, show, ["V1"], "unit"), images, ids).layers["V1"]["response"]
    channels = show_batch(make_runner(network, show, ["V1"], "channel"), images, ids).layers["V1"]
    assert set(channels) == {"mean", "std"}
    np.testing.assert_allclose(channels["mean"], units.mean(axis=(4, 5)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(channels["std"], units.std(axis=(4, 5)), rtol=1e-4, atol=1e-6)


def test_shared_first_steps_are_computed_once(network):
    runner = make_runner(network, [Presentation.duration(6, stim, 1) for stim in (1, 2, 5)], LAYERS, "channel")
    assert (runner.steps_computed, runner.steps_naive) == (1 + 1 + 2 + 3 + 3 + 3, 18)


@pytest.mark.slow
@settings(max_examples=15)
@given(sweeps(), st.integers(0, 3), st.integers(1, STEPS))
def test_blocks_of_time_put_together_are_the_whole(network, images, shown, idle, block_steps):
    ids = np.array([4, 9, 2])
    whole = show_batch(make_runner(network, shown, LAYERS, "channel", idle), images, ids)
    blocks = show_batch(make_runner(network, shown, LAYERS, "channel", idle, block_steps=block_steps), images, ids)
    for number in range(len(shown)):
        assert_same_bits(whole, blocks, number, number)


@pytest.mark.slow
@given(st.lists(presentations(), min_size=1, max_size=8), st.integers(1, STEPS))
@settings(max_examples=15)
def test_every_step_of_every_condition_is_handed_on_once(network, images, shown, block_steps):
    runner = make_runner(network, shown, ["V1"], "layer", block_steps=block_steps)
    handed: list[tuple[int, int]] = []
    runner.stream(
        images.expand(3, 3, 8, 8)[:, None].repeat(1, 2, 1, 1, 1),
        np.arange(3),
        lambda conditions, start, arrays: handed.extend(
            (c, start + t) for c in conditions for t in range(arrays["scores"].shape[1])
        ),
    )
    assert sorted(handed) == [(c, t) for c in range(len(shown)) for t in range(STEPS)]


def test_a_selection_gives_the_bits_of_the_whole(network, images):
    shown = [Presentation.duration(6, stim, 1, sensor_noise=0.5) for stim in (1, 2, 5)]
    runner = make_runner(network, shown, ["V1"], "channel", block_steps=2)
    whole = show_batch(runner, images, np.arange(3))

    def compare(conditions, start, arrays):
        assert conditions == (1,)
        stop = start + arrays["scores"].shape[1]
        np.testing.assert_array_equal(arrays["scores"], whole.scores[1, :, start:stop])

    runner.stream(images, np.arange(3), compare, [1])


def test_steps_are_counted_as_the_network_makes_them(network, images):
    runner = make_runner(network, [Presentation.duration(6, stim, 1) for stim in (1, 2, 5)], ["V1"], "channel")
    made = []
    handle = network.V1.register_forward_hook(lambda *_: made.append(1))
    try:
        counted = runner.stream(images, np.arange(3), lambda *_: None)
    finally:
        handle.remove()
    assert counted == len(made) == runner.steps_computed == 13


@pytest.mark.slow
def test_memory_of_blocks_does_not_grow_with_time(network, images):
    most_alive = []
    for steps in (1, 4):
        shown = [Presentation.contrast(40 * steps, 30, 1, contrast) for contrast in (0.2, 0.5, 1.0)]
        runner = make_runner(network, shown, ["V1"], "unit", block_steps=4)
        alive: list[weakref.ref[np.ndarray]] = []
        most = [0]

        def note(conditions, start, arrays, alive=alive, most=most):
            alive.append(weakref.ref(arrays["scores"]))
            most[0] = max(most[0], sum(block() is not None for block in alive))

        runner.stream(images, np.arange(3), note, [0, 1, 2])
        most_alive.append(most[0])
    assert most_alive[0] == most_alive[1] <= 3


def test_layer_whose_output_is_changed_in_place_is_recorded_as_it_was(images):
    first = nn.Conv2d(3, 4, 3)
    network = nn.Sequential(first, nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(4)).eval()
    with torch.no_grad():
        network(images)
        expected = first(images).numpy()
    assert (expected < 0).any()
    responses = show_batch(make_runner(network, [Presentation.constant(1)], ["0"], "unit"), images, np.arange(3))
    np.testing.assert_allclose(responses.layers["0"]["response"][0, :, 0], expected, rtol=1e-5, atol=1e-6)


class Dropping(nn.Module):
    """A network with noise of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(192, 4)

    def step(self, x, state):
        seen = nn.functional.dropout(self.layer(x.flatten(1)), 0.5, training=True)
        return seen, seen if state is None else state + seen


def test_noise_of_a_network_is_the_same_again_and_with_other_conditions(images):
    shown = [Presentation.duration(6, stim, 1) for stim in (1, 3, 4)]
    together = make_runner(Dropping(), shown, ["layer"], "unit")
    before = torch.random.get_rng_state()
    first = show_batch(together, images, np.arange(3))
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(first.scores, show_batch(together, images, np.arange(3)).scores)
    alone = show_batch(make_runner(together.stepper.network, shown[1:2], ["layer"], "unit"), images, np.arange(3))
    np.testing.assert_array_equal(alone.scores[0], first.scores[1])


def test_layers_with_the_names_of_a_stores_own_variables_are_renamed(images):
    network = nn.Sequential()
    network.add_module("flat", nn.Flatten())
    network.add_module("a/b", nn.Linear(192, 6))
    network.add_module("output", nn.Linear(6, 4))
    runner = make_runner(network.eval(), [Presentation.constant(2)], ["a/b", "output"], "unit")
    assert list(show_batch(runner, images, np.arange(3)).layers) == ["a_b", "output_"]


def test_of_references_only_the_averages_are_handed_on(network, images):
    shown = [Presentation.interval(9, 2, 1, 2, sensor_noise=1.0).preceded_by(3)]
    references = [show_nothing(shown[0]), show_first_only(shown[0])]
    stepper = NetworkStepper(network, ["V1"], Reduction("unit"))
    runner = SweepRunner(stepper, shown, 3, references, block_steps=4)
    assert (runner.n_conditions, runner.steps_naive) == (1, 36)
    means: dict[int, list[np.ndarray]] = {0: [], 1: [], 2: []}

    def emit(numbers, start, arrays):
        assert (set(arrays) == {"average V1"}) == (min(numbers) > 0)
        for number in numbers:
            means[number].append(arrays["average V1"])

    runner.stream(images, np.arange(3), emit)
    for number, presentation in enumerate([*shown, *references]):
        alone = show_batch(make_runner(network, [presentation], ["V1"], "unit", idle=3), images, np.arange(3))
        expected = alone.layers["V1"]["response"][0].mean(axis=(2, 3, 4))
        np.testing.assert_allclose(np.concatenate(means[number], axis=1), expected, rtol=1e-5)


def test_layer_that_is_not_used_is_an_error(images):
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(192, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.used(x.flatten(1))

    runner = make_runner(Idle().eval(), [Presentation.constant(2)], ["unused"], "unit")
    with pytest.raises(ConfigError, match="the layer 'unused' is not used when Idle makes a step; record another"):
        show_batch(runner, images, np.arange(3))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_is_near_and_is_stored_as_float32(network, images, dtype):
    shown = [Presentation.constant(3)]
    whole = show_batch(make_runner(network, shown, ["V1"], "channel"), images, np.arange(3))
    mixed = make_runner(network, shown, ["V1"], "channel", frames=dtype, mixed_precision=True)
    responses = show_batch(mixed, images, np.arange(3))
    assert responses.layers["V1"]["mean"].dtype == np.float32
    assert not np.array_equal(responses.scores, whole.scores)
    np.testing.assert_allclose(responses.scores, whole.scores, atol=0.05)


def test_conditions_that_differ_in_noise_only_still_differ(network, images):
    shown = [Presentation.constant(3, sensor_noise=noise) for noise in (0.0, 1.0, 2.0)]
    scores = show_batch(make_runner(network, shown, ["V1"], "channel"), images, np.arange(3)).scores
    assert len({scores[number].tobytes() for number in range(3)}) == 3


def test_same_noise_whatever_the_batch(network, images):
    runner = make_runner(network, [Presentation.constant(3, sensor_noise=1.0)], ["V1"], "channel")
    whole = show_batch(runner, images, np.array([5, 6, 7])).scores
    part = show_batch(runner, images[1:], np.array([6, 7])).scores
    np.testing.assert_allclose(whole[:, 1:], part, rtol=1e-4, atol=1e-5)


def test_network_without_time_is_applied_to_each_frame(images):
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval()
    responses = show_batch(
        make_runner(network, [Presentation.duration(3, 1, 1)], ["1"], "channel"), images, np.arange(3)
    )
    with torch.no_grad():
        expected = network(images).numpy()
    np.testing.assert_array_equal(responses.scores[0, :, 1], expected)
    np.testing.assert_array_equal(responses.scores[0, :, 0], responses.scores[0, :, 2])


def test_idle_steps_that_leave_nothing_are_an_error(network, images):
    with pytest.raises(ValueError, match="the idle steps leave nothing to record"):
        show_batch(make_runner(network, [Presentation.constant(3)], ["V1"], "channel", idle=3), images, np.arange(3))


def test_showing_keeps_no_hook_and_no_gradient(network, images):
    show_batch(make_runner(network, [Presentation.constant(2)], ["V1"], "channel"), images, np.arange(3))
    assert not network.V1._forward_hooks
    assert all(p.grad is None for p in network.parameters())


class Counting(torch.nn.Module):
    """A network that changes its state and its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Identity()

    def step(self, x, state):
        x.mul_(2)
        state = torch.zeros(len(x), 1) if state is None else state
        state += x.mean(dim=(1, 2, 3))[:, None]
        return self.layer(state.clone()), state


def test_network_that_works_in_place_gives_the_same_alone_and_in_a_sweep():
    images, ids = torch.ones(2, 1, 4, 4), np.arange(2)
    shows = [Presentation.duration(6, stim, 1) for stim in (1, 3, 4)]
    together = show_batch(make_runner(Counting(), shows, ["layer"], "unit"), images, ids)
    assert (images == 1).all()
    for number, show in enumerate(shows):
        alone = show_batch(make_runner(Counting(), [show], ["layer"], "unit"), images, ids)
        np.testing.assert_array_equal(together.scores[number], alone.scores[0])
        expected = 2 * np.cumsum(show.frames >= 0)
        np.testing.assert_array_equal(alone.scores[0, 0, :, 0], expected)


def test_network_that_works_in_place_does_not_change_noise_that_is_kept():
    class Zeroing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Identity()

        def step(self, x, state):
            seen = self.layer(x.mean(dim=(2, 3)))
            x.zero_()
            return seen, None

    images = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    show = Presentation.noise(4, 4, ssnr=0.5)
    scores = show_batch(make_runner(Zeroing(), [show], ["layer"], "unit"), images, np.arange(2)).scores
    assert (scores[0, :, 0] != 0).all()
    for t in range(1, 4):
        np.testing.assert_array_equal(scores[0, :, t], scores[0, :, 0])


@pytest.mark.parametrize(("device", "seeded"), [("cuda:1", [1]), ("cuda", [0]), ("cpu", [])])
def test_the_generator_of_the_device_that_computes_is_seeded(monkeypatch, device, seeded):
    seeds_set: list[tuple[int, int]] = []
    generators = [SimpleNamespace(manual_seed=lambda n, index=index: seeds_set.append((index, n))) for index in (0, 1)]
    monkeypatch.setattr(torch.cuda, "default_generators", generators)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    with torch.random.fork_rng(devices=[]):
        _seed(7, torch.device(device))
        assert seeds_set == [(index, 7) for index in seeded]
        drawn = torch.rand(1)
        torch.manual_seed(7)
        assert torch.equal(drawn, torch.rand(1))
