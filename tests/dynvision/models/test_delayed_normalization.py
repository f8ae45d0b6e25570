from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynvision.config.networks import check_arguments, check_delayed_normalization, known_layers, step_length
from dynvision.config.sections.models import ModelConfig, TrainingConfig
from dynvision.errors import ConfigError
from dynvision.models import DelayedNormalization
from dynvision.models.checking import check_network
from dynvision.models.loading import build_network, record_layers
from dynvision.models.making.orders import NetworkOrder, train_order
from tests.helpers.delayed_normalization import CELLS, convolve_response

PATH = "dynvision.models:DelayedNormalization"


@torch.no_grad()
def respond(network: DelayedNormalization, drive: np.ndarray) -> np.ndarray:
    """The response to frames whose root mean square is the drive, each of shape `[T]` or `[B, T]`."""
    state, responses = None, []
    signs = torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64).view(1, 1, 2, 2)
    with record_layers(network, ["response"]) as outputs:
        for value in torch.from_numpy(np.atleast_2d(drive).T.copy()):
            _, state = network.step(value.view(-1, 1, 1, 1) * signs, state)
            responses.append(outputs["response"][:, 0].numpy())
    return np.stack(responses, axis=-1).reshape(np.shape(drive))


@pytest.mark.parametrize("w", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("cell", CELLS)
def test_recursion_equals_the_published_convolution(cell, w):
    drive = np.random.default_rng(0).uniform(0, 1, 700) * (np.arange(700) % 300 < 200)
    arguments = {**CELLS[cell], "w": w}
    expected = convolve_response(drive, **arguments, scale=3.0)
    np.testing.assert_allclose(
        respond(DelayedNormalization(**arguments, scale=3.0), drive), expected, rtol=1e-10, atol=1e-10
    )


@settings(max_examples=20)
@given(
    tau1=st.floats(5, 100), w=st.floats(0, 1), tau2=st.floats(5, 200), n=st.floats(0.5, 4), sigma=st.floats(0.01, 2),
    dt=st.sampled_from([0.5, 1.0, 5.0]),
)  # fmt: skip
def test_recursion_equals_the_convolution_for_any_arguments(**arguments):
    drive = np.repeat([0.0, 0.3, 1.0, 0.0, 0.1], 30)
    expected = convolve_response(drive, **arguments)
    np.testing.assert_allclose(respond(DelayedNormalization(**arguments), drive), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_constant_contrast_settles_at_the_naka_rushton_function(cell):
    """After 3 s, with c50 = σ / (1 − w), exponent n and R_max = scale."""
    for w in (0.0, 0.5):
        arguments = {**CELLS[cell], "w": w}
        n, c50 = arguments["n"], arguments["sigma"] / (1 - w)
        contrasts = c50 * np.array([0.3, 1, 3])
        settled = respond(DelayedNormalization(**arguments, scale=2.0), np.repeat(contrasts[:, None], 3000, 1))[:, -1]
        np.testing.assert_allclose(settled, 2 * contrasts**n / (c50**n + contrasts**n), atol=1e-7)


@pytest.mark.parametrize(("cell", "peak"), [("macaque1", 27), ("macaque2", 17), ("macaque3", 29)])
def test_response_to_a_long_step_peaks_when_the_published_cells_do(cell, peak):
    assert respond(DelayedNormalization(**CELLS[cell]), np.ones(200)).argmax() + 1 == peak


def test_drive_is_the_root_mean_square_over_the_reference():
    frames = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network = DelayedNormalization(reference=2.0)
    _, state = network.step(frames)
    drives = state["early"] / network.first
    np.testing.assert_allclose(2 * drives, np.sqrt((frames.double().numpy() ** 2).mean(axis=(1, 2, 3))), rtol=1e-12)


def test_layer_gives_one_unit_and_scores_name_no_class():
    network = DelayedNormalization(n_classes=7)
    with record_layers(network, ["response"]) as outputs:
        scores, _ = network.step(torch.randn(4, 3, 8, 8))
    assert outputs["response"].shape == (4, 1)
    assert scores.shape == (4, 7)
    assert scores.unique().tolist() == [0.0]
    assert network(torch.randn(2, 5, 3, 8, 8)).shape == (2, 5, 7)
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 7)


def test_network_is_built_and_checked_like_any_other():
    model = ModelConfig(**{"class": PATH, "args": {"tau1": 40, "dt": 1}, "training": None})
    network = build_network(model, n_classes=5, resolution=8, channels_in=1, seed=0)
    check_network(network, 5, 1, 8)
    assert not list(network.parameters())


def test_training_it_is_refused_because_it_has_no_weights():
    model = ModelConfig(**{"class": PATH})
    order = NetworkOrder("models/dn/gratings:all_s0", model, [{"index": 0}, {"index": 1}], 1, 8, 0, None, [])
    with pytest.raises(ConfigError, match=r"has no weights to train. Set 'training: null' for this model"):
        train_order(order, TrainingConfig(), None, None, "cpu")


def test_silence_gives_no_response_and_brief_strong_drives_stay_numbers():
    network = DelayedNormalization(**CELLS["macaque3"])
    assert not respond(network, np.zeros(5)).any()
    assert np.isfinite(respond(DelayedNormalization(n=20, sigma=1e-6), np.array([1e6, 0, 0, 1e-6]))).all()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"tau1": 0}, "tau1 must be a number from 1e-06"),
        ({"tau2": -1}, "tau2 must be a number from 1e-06"),
        ({"w": 1.5}, "w must be a number from 0 to 1, not 1.5"),
        ({"n": 0}, "n must be a number from 0.001 to 20, not 0"),
        ({"sigma": 0}, "sigma must be a number from 1e-06"),
        ({"dt": 0}, "dt must be a number from 1e-06"),
        ({"reference": 0}, "reference must be a number from 1e-06"),
        ({"scale": float("nan")}, "scale must be a number"),
        ({"n_classes": 0}, "n_classes must be a whole number from 1"),
    ],
)
def test_arguments_out_of_bounds_are_refused_before_and_when_the_network_is_made(arguments, text):
    for make in (DelayedNormalization, lambda **given: check_arguments(PATH, given)):
        with pytest.raises(ValueError, match=text):
            make(**arguments)


def test_what_is_known_without_torch_is_what_the_network_has():
    def defaults(of):
        return {name: p.default for name, p in inspect.signature(of).parameters.items() if name != "self"}

    assert defaults(check_delayed_normalization) == defaults(DelayedNormalization)
    assert known_layers(PATH) == ("response",)
    assert known_layers("dynvision.models:RCNN") == ("V1", "V2", "V4", "IT", "classifier")
    assert step_length(PATH, {}) == 1.0
    with pytest.raises(ValueError, match=r"has no argument 'tau'. Did you mean 'tau"):
        check_arguments(PATH, {"tau": 50})
