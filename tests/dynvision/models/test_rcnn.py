from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from dynvision.models import RCNN
from dynvision.models.stability import convolution_gain

SIZE = 12


def make_network(**settings) -> RCNN:
    torch.manual_seed(0)
    return RCNN(5, **{"resolution": SIZE, "channels": [4, 5, 6, 7], "strides": [2, 2, 1, 1], **settings}).eval()


def draw_frames(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def push_recurrence(network: RCNN, factor: float) -> None:
    """Make every lateral connection strong and positive, so that activity excites itself."""
    for name in network.areas:
        network.get_submodule(name).lateral.weight.abs_().mul_(factor)


@torch.no_grad()
def run(network: RCNN, frames: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    state, states = None, []
    for frame in frames:
        _, state = network.step(frame, state)
        states.append(state)
    return states


@pytest.mark.slow
def test_activity_stays_bounded_for_500_steps_with_the_recurrence_at_its_limit():
    network = make_network(max_gain=0.9)
    push_recurrence(network, 100.0)
    network.constrain()
    image = draw_frames(2, 3, SIZE, SIZE)
    states = run(network, [image] * 500)
    below = [image] * 500
    for name in network.areas:
        area = network.get_submodule(name)
        gain = float(convolution_gain(area.lateral.weight, area.size))
        assert gain == pytest.approx(0.9, rel=1e-5)
        with torch.no_grad():
            drive = max(
                float(area.feedforward(x).flatten(1).norm(dim=1).max()) for x in (below[0], below[-1], below[250])
            )
        norms = torch.stack([s[name].flatten(1).norm(dim=1).max() for s in states])
        assert float(norms.max()) <= 1.001 * drive / (1 - gain)
        assert float(norms.min()) >= 0
        # A contraction: the rates have settled long before the end.
        torch.testing.assert_close(states[-1][name], states[-100][name], rtol=1e-3, atol=1e-4)
        below = [s[name] for s in states]


def test_without_the_constraint_the_same_network_grows_without_bound():
    network = make_network()
    push_recurrence(network, 100.0)
    states = run(network, [draw_frames(2, 3, SIZE, SIZE)] * 60)
    grown = float(states[-1]["V1"].norm())
    assert not grown < 1e6


@pytest.mark.slow
def test_network_forgets_where_it_started():
    network = make_network(max_gain=0.9)
    push_recurrence(network, 100.0)
    network.constrain()
    image = draw_frames(2, 3, SIZE, SIZE)
    silent, loud = network.initial_state(2), {k: v + 50 for k, v in network.initial_state(2).items()}
    with torch.no_grad():
        for _ in range(400):
            _, silent = network.step(image, silent)
            _, loud = network.step(image, loud)
    for name in network.areas:
        torch.testing.assert_close(silent[name], loud[name], rtol=1e-3, atol=1e-3)


def test_initial_weights_obey_the_constraint():
    network = make_network(max_gain=0.1)
    for name in network.areas:
        area = network.get_submodule(name)
        assert float(convolution_gain(area.lateral.weight, area.size)) <= 0.1 + 1e-6


def test_one_step_is_forward_euler_of_the_leaky_integration():
    network = make_network(tau=8.0, dt=2.0)
    area = network.V1
    image, rate = draw_frames(2, 3, SIZE, SIZE), torch.rand(2, 4, area.size, area.size)
    with torch.no_grad():
        below = functional.conv2d(image, area.feedforward.weight, area.feedforward.bias, stride=2, padding=2)
        lateral = functional.conv2d(rate, area.lateral.weight, padding=1)
        expected = rate + 2.0 / 8.0 * (torch.relu(below + lateral) - rate)
        torch.testing.assert_close(area(image, rate, network.alpha), expected)


def test_rates_never_fall_below_zero():
    states = run(make_network(dt=10.0), [draw_frames(2, 3, SIZE, SIZE) * 10 for _ in range(20)])
    assert min(float(rate.min()) for state in states for rate in state.values()) >= 0


@torch.no_grad()
def test_sequence_of_frames_gives_what_the_steps_give():
    network = make_network()
    frames = draw_frames(2, 6, 3, SIZE, SIZE)
    outputs = network(frames)
    assert outputs.shape == (2, 6, 5)
    state = None
    for t in range(6):
        output, state = network.step(frames[:, t], state)
        assert torch.equal(outputs[:, t], output)
    assert torch.equal(network(frames[:, 0]), outputs[:, 0])


@torch.no_grad()
def test_step_leaves_the_state_that_it_was_given():
    network = make_network()
    _, state = network.step(draw_frames(2, 3, SIZE, SIZE))
    before = {name: rate.clone() for name, rate in state.items()}
    network.step(draw_frames(2, 3, SIZE, SIZE), state)
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_images_of_any_size_and_channels_fit():
    for resolution, channels_in in ((28, 1), (33, 3), (5, 3)):
        network = make_network(resolution=resolution, channels_in=channels_in, strides=[2, 2, 2, 1])
        assert network(draw_frames(1, 2, channels_in, resolution, resolution)).shape == (1, 2, 5)


def test_frame_of_another_size_is_an_error_that_says_which():
    with pytest.raises(ValueError, match=r"takes frames of shape \[B, 3, 12, 12\], not \[2, 3, 16, 16\]: make it with"):
        make_network()(draw_frames(2, 4, 3, 16, 16))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dt": 20.0}, r"dt must be above 0 and at most tau \(10\.0\), not 20\.0: the integration would overshoot"),
        ({"dt": 0.0}, r"dt must be above 0"),
        ({"max_gain": 1.0}, r"max_gain must be at least 0 and below 1, not 1\.0: activity could grow for ever"),
        ({"max_gain": -0.1}, r"max_gain must be at least 0 and below 1"),
        ({"channels": [4, 4]}, r"channels and strides have one entry for each of V1, V2, V4, IT"),
    ],
)
def test_impossible_setting_is_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        make_network(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": [0, 4, 4, 4]}, "channels of V1 must be a whole number from 1 to 4096, not 0"),
        ({"channels": [4, 4.5, 4, 4]}, "channels of V2 must be a whole number"),
        ({"channels": [10**12] * 4}, "channels of V1 must be a whole number"),
        ({"channels": "abcd"}, "channels and strides have one entry for each"),
        ({"channels": None}, "channels and strides have one entry for each"),
        ({"strides": [0, 1, 1, 1]}, "strides of V1 must be a whole number from 1 to 64, not 0"),
        ({"tau": float("inf")}, "tau must be a number"),
        ({"dt": float("nan")}, "dt must be a number"),
        ({"dt": "5"}, "dt must be a number"),
        ({"resolution": 0}, "resolution must be a whole number"),
    ],
)
def test_argument_that_makes_no_network_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        make_network(**settings)
