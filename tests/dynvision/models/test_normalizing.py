from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from dynvision.config.networks import known_layers, step_length
from dynvision.models import NormalizingNetwork
from dynvision.models.checking import check_network
from dynvision.models.loading import record_layers

SIZE = 12


def make_network(**settings) -> NormalizingNetwork:
    torch.manual_seed(0)
    return NormalizingNetwork(5, **{"resolution": SIZE, "channels": [4, 6], "kernel": 5, **settings}).eval()


def draw_frames(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def run(network: NormalizingNetwork, frames: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    """The rates of each area and the scores at each step."""
    state, recorded = None, []
    with record_layers(network, [*network.areas, "classifier"]) as outputs:
        for frame in frames:
            _, state = network.step(frame, state)
            recorded.append({**outputs, "state": state})
    return recorded


def count_units(network: NormalizingNetwork, name: str) -> int:
    area = network.get_submodule(name)
    return area.feedforward.out_channels * area.size**2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("exponent", [1.0, 2.0, 4.0])
def test_activity_is_within_its_bound_for_3000_steps_of_strong_input_with_random_weights(exponent, seed):
    network = make_network(exponent=exponent, channels=[4, 6, 4], strides=[2, 1, 2])
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(30 * torch.randn(parameter.shape, generator=generator))
        for name in network.areas:
            network.get_submodule(name).log_sigma.fill_(-5.0)
    image = 1e4 * torch.randn(2, 3, SIZE, SIZE, generator=generator)
    bounds = {n: (count_units(network, n) ** 0.5 / network.instantaneous) ** exponent for n in network.areas}
    for number, step in enumerate(run(network, [image if t % 70 < 50 else -image for t in range(3000)])):
        for name, bound in bounds.items():
            assert 0 <= float(step[name].min()) <= float(step[name].max()) <= 1.001 * bound, (name, number)
            resource = step["state"][f"{name}.resource"]
            assert 0 < float(resource.min()) <= float(resource.max()) <= 1
        assert torch.isfinite(step["classifier"]).all()
        assert all(torch.isfinite(value).all() for value in step["state"].values())


def test_one_step_is_that_of_the_equations():
    network = make_network(exponent=2.0, depression=0.01, tau=8.0, tau_pool=40.0, dt=4.0)
    area, image = network.V1, draw_frames(2, 3, SIZE, SIZE)
    state = network.initial_state(2)
    state["V1.membrane"].normal_(generator=torch.Generator().manual_seed(2))
    state["V1.resource"].uniform_(0.2, 1.0, generator=torch.Generator().manual_seed(3))
    state["V1.pool"].fill_(0.3)
    state["feedback"].fill_(0.5)
    (step,) = run_from(network, image, state)
    with torch.no_grad():
        drive = functional.conv2d(image, area.feedforward.weight, area.feedforward.bias, stride=2, padding=2)
        gain = 1 + 0.5 * torch.tanh(network.gain(state["feedback"]))[:, :, None, None]
        membrane = state["V1.membrane"] + 0.5 * (state["V1.resource"] * gain * drive - state["V1.membrane"])
        pool = membrane.clamp(min=0).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        delayed = 0.3 + 0.1 * (pool - 0.3)
        rate = membrane.clamp(min=0) ** 2 / (area.log_sigma.exp() ** 2 + (0.75 * pool + 0.25 * delayed) ** 2)
        resource = (state["V1.resource"] + 4 / 150) / (1 + 4 / 150 + 4 * 0.01 * rate)
    torch.testing.assert_close(step["V1"], rate)
    torch.testing.assert_close(step["state"]["V1.membrane"], membrane)
    torch.testing.assert_close(step["state"]["V1.pool"], delayed)
    torch.testing.assert_close(step["state"]["V1.resource"], resource)
    torch.testing.assert_close(step["state"]["feedback"], torch.log1p(step["V2"].mean(dim=(2, 3))))


@torch.no_grad()
def run_from(network: NormalizingNetwork, image: torch.Tensor, state: dict[str, torch.Tensor]):
    with record_layers(network, network.areas) as outputs:
        _, new = network.step(image, state)
    return [{**outputs, "state": new}]


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
    before = copy.deepcopy(state)
    network.step(draw_frames(2, 3, SIZE, SIZE), state)
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_trials_of_a_batch_do_not_mix():
    network, frames = make_network(), [draw_frames(3, 3, SIZE, SIZE)] * 5
    together, alone = run(network, frames)[-1], run(network, [frame[1:2] for frame in frames])[-1]
    torch.testing.assert_close(together["V1"][1:2], alone["V1"])
    torch.testing.assert_close(together["classifier"][1:2], alone["classifier"])


def test_gradient_reaches_every_weight():
    network = make_network(channels=[4, 6, 4], strides=[1, 2, 1])
    network(draw_frames(4, 5, 3, SIZE, SIZE)).square().sum().backward()
    lengths = {name: float(parameter.grad.norm()) for name, parameter in network.named_parameters()}
    assert all(0 < length < float("inf") for length in lengths.values()), lengths


def test_gradient_of_silence_is_finite():
    network = make_network()
    with torch.no_grad():
        for name in network.areas:
            network.get_submodule(name).feedforward.bias.fill_(-1.0)
    network(torch.zeros(2, 4, 3, SIZE, SIZE)).square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_response_peaks_at_the_onset_and_then_adapts():
    network = make_network(depression=0.02)
    mean = torch.stack([step["V1"].mean() for step in run(network, [3 * draw_frames(4, 3, SIZE, SIZE)] * 60)])
    assert int(mean.argmax()) < 5
    assert float(mean[-1]) < 0.7 * float(mean.max())


def test_response_saturates_with_contrast():
    network = make_network()
    image = draw_frames(4, 3, SIZE, SIZE)
    low, middle, high = (max(float(s["V1"].mean()) for s in run(network, [c * image] * 5)) for c in (0.1, 10, 100))
    assert low < 0.1 * middle
    assert high < 1.5 * middle


def test_layers_are_modules_that_are_used_once_a_step():
    network = make_network(channels=[4, 5, 6, 7], strides=[2, 1, 1, 1])
    assert network.areas == ("V1", "V2", "V4", "IT")
    calls = []
    for name in (*network.areas, "classifier"):
        network.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.append(name))
    network.step(draw_frames(2, 3, SIZE, SIZE))
    assert calls == ["V1", "V2", "V4", "IT", "classifier"]


def test_the_network_keeps_no_state_of_its_own():
    check_network(make_network(), 5, 3, SIZE)


def test_images_of_any_size_and_channels_fit():
    for resolution, channels_in in ((28, 1), (33, 3), (5, 3)):
        network = make_network(resolution=resolution, channels_in=channels_in)
        assert network(draw_frames(1, 2, channels_in, resolution, resolution)).shape == (1, 2, 5)


def test_frame_of_another_size_is_an_error_that_says_which():
    with pytest.raises(ValueError, match=r"takes frames of shape \[B, 3, 12, 12\], not \[2, 3, 16, 16\]: make it with"):
        make_network()(draw_frames(2, 4, 3, 16, 16))


def test_the_configuration_knows_its_step_and_layers():
    for path in ("dynvision.models:NormalizingNetwork", "dynvision.models.normalizing:NormalizingNetwork"):
        assert step_length(path, {}) == 5.0
        assert {"V1", "V2", "classifier"} <= set(known_layers(path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dt": 20.0}, r"dt must be above 0 and at most tau \(10\.0\), not 20\.0: it would overshoot"),
        ({"dt": 8.0, "tau_pool": 5.0}, r"dt must be above 0 and at most tau_pool \(5\.0\)"),
        ({"dt": 0.0}, r"dt must be above 0"),
        ({"dt": 1e-5}, r"dt must be at least 0.00015"),
        ({"instantaneous": 0.0}, r"instantaneous must be a number from 0.01 to 1, not 0"),
        ({"feedback": 1.0}, r"feedback must be below 1: it could switch V1 off"),
        ({"exponent": 0.5}, r"exponent must be a number from 1 to 4"),
        ({"sigma": 0.0}, r"sigma must be a number from 1e-06"),
        ({"depression": -1.0}, r"depression must be a number from 0"),
        ({"kernel": 4}, r"kernel must be odd, not 4"),
        ({"channels": [4]}, r"channels and strides have two to four entries"),
        ({"channels": [4, 4, 4]}, r"channels and strides have two to four entries, as many as each other"),
        ({"channels": [4, 0]}, r"channels of V2 must be a whole number from 1 to 4096, not 0"),
        ({"channels": "ab"}, r"channels and strides are lists"),
        ({"tau_depression": float("nan")}, r"tau_depression must be a number"),
    ],
)
def test_impossible_setting_is_an_error(settings, message):
    with pytest.raises(ValueError, match=message):
        make_network(**settings)
