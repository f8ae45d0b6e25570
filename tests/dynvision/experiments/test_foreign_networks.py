"""Networks of somebody else, shown a sweep: what is recorded does not depend on how it is recorded."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from dynvision.errors import ConfigError
from dynvision.experiments.probing import probe_network
from dynvision.experiments.reducing import Reduction, check_layer_names, store_name
from dynvision.experiments.showing import SweepRunner
from dynvision.experiments.stepping import NetworkStepper
from dynvision.models.loading import use_originals
from dynvision.stimuli.presentation import Presentation
from tests.helpers.batches import BatchResponses, make_runner, show_batch

SHOWN = [Presentation.duration(4, stim, 1) for stim in (1, 2)]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def probe_and_show(network: nn.Module, layers: list[str], images: torch.Tensor, resolution: str) -> BatchResponses:
    stepper = NetworkStepper(network.eval(), layers, Reduction(resolution))
    probe_network(stepper, SHOWN, images.shape[1:], 1, "float32")
    return show_batch(SweepRunner(stepper, SHOWN), images, np.arange(len(images)))


class Dropping(nn.Module):
    """Draws random numbers at each step, also in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(192, 4)

    def draw(self, x):
        return nn.functional.dropout(x, 0.5, training=True)

    def step(self, x, state):
        seen = self.draw(self.layer(x.flatten(1)))
        return seen, {"sum": seen if state is None else state["sum"] + seen}


class DroppingNumpy(Dropping):
    def draw(self, x):
        return x + torch.from_numpy(np.random.standard_normal(x.shape)).float()


class DroppingPython(Dropping):
    def draw(self, x):
        return x + random.gauss(0, 1)


class DroppingStill(Dropping):
    step = None

    def forward(self, x):
        return self.draw(self.layer(x.flatten(1)))


class DroppingLate(Dropping):
    """Draws at the second step first."""

    def step(self, x, state):
        seen = self.layer(x.flatten(1))
        return seen if state is None else self.draw(seen), 1


@pytest.mark.parametrize("network", [Dropping, DroppingNumpy, DroppingPython, DroppingStill, DroppingLate])
def test_random_draws_do_not_depend_on_the_batch(network, images):
    ids = np.array([7, 3, 9, 4, 5])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = network().eval()
    stepper = NetworkStepper(made, ["layer"], Reduction("unit"))
    probe_network(stepper, SHOWN, images.shape[1:], 1, "float32")
    assert stepper.draws_random
    runner = SweepRunner(stepper, SHOWN)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tobytes()
    whole = show_batch(runner, images, ids)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before[1:]
    for rows in ([0], [1, 2], [4, 3, 2]):
        part = show_batch(runner, images[rows], ids[rows])
        np.testing.assert_array_equal(part.scores, whole.scores[:, rows])
        np.testing.assert_array_equal(part.layers["layer"]["response"], whole.layers["layer"]["response"][:, rows])
    alone = show_batch(SweepRunner(stepper, SHOWN[1:]), images, ids)
    np.testing.assert_array_equal(alone.scores[0], whole.scores[1])
    assert len({whole.scores[0, 0, t].tobytes() for t in range(1, 4)}) == 3


def test_a_network_that_draws_nothing_is_computed_in_batches(images):
    sizes = []
    network = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(192, 4)).eval()
    network[2].register_forward_hook(lambda module, args, output: sizes.append(len(output)))
    runner = make_runner(network, SHOWN, ["2"], "unit")
    show_batch(runner, images, np.arange(5))
    assert runner.stepper.draws_random is False
    assert set(sizes) == {5}


class Tokens(nn.Module):
    """Layers that put the images on another axis, or return several tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_second = nn.LSTM(3, 6)
        self.batch_first = nn.GRU(3, 6, batch_first=True)
        self.last = Moved()
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        tokens = x[:, :, :2].flatten(2)[:, :, :5]  # [B, 3, 5]: as many tokens as there are images
        second, _ = self.batch_second(tokens.permute(2, 0, 1))
        first, _ = self.batch_first(tokens.transpose(1, 2))
        self.last(first)
        return self.head(self.norm(first + second.transpose(0, 1))[:, -1])


class Moved(nn.Module):
    def forward(self, x):
        return x.permute(1, 2, 0)


@pytest.mark.parametrize("resolution", ["unit", "channel", "layer"])
def test_the_axis_of_the_images_is_found(images, resolution):
    network = Tokens().eval()
    layers = ["batch_second", "batch_second.1.1", "batch_first", "last", "norm"]
    shown = probe_and_show(network, layers, images, resolution)
    for number in range(5):
        alone = probe_and_show(network, layers, images[number : number + 1], resolution)
        for layer in layers:
            for name, values in shown.layers[layer].items():
                np.testing.assert_allclose(alone.layers[layer][name][:, 0], values[:, number], rtol=1e-4, atol=1e-6)
    if resolution == "unit":
        assert shown.layers["batch_second"]["response"].shape == (2, 5, 4, 6, 5)


class Folding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.folded, self.without, self.square = nn.Identity(), nn.Identity(), nn.Identity()
        self.head = nn.Linear(192, 4)

    def forward(self, x):
        flat = x.flatten(1)
        self.folded(x.flatten(0, 1))
        self.without(flat.mean(0))
        self.square(flat @ flat.T)
        return self.head(flat)


@pytest.mark.parametrize("layer", ["folded", "without", "square"])
def test_a_layer_without_an_axis_of_the_images_is_one_sentence(images, layer):
    with pytest.raises(ConfigError, match=rf"the layer '{layer}' gives outputs of shape .* no axis of the images"):
        probe_and_show(Folding(), [layer], images, "unit")


def make_transformer() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        return nn.Sequential(nn.Flatten(2), nn.Linear(64, 8), nn.TransformerEncoder(layer, 2), Mean(), nn.Linear(8, 4))


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(1)


@pytest.mark.parametrize("layers", [["2.layers.0.self_attn"], ["2.layers.1.linear1", "4"], ["2"]])
def test_scores_are_the_same_whichever_layers_are_recorded(images, layers):
    usual = probe_and_show(make_transformer(), ["4"], images, "unit")
    recorded = probe_and_show(make_transformer(), layers, images, "unit")
    np.testing.assert_array_equal(recorded.scores, usual.scores)
    np.testing.assert_array_equal(usual.layers["4"]["response"], usual.scores)
    assert torch.backends.mha.get_fastpath_enabled()


class Compiled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = torch.compile(nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU()))
        self.head = nn.Linear(8, 4)
        self.head.compile()

    def forward(self, x):
        return self.head(self.body(x))


@pytest.mark.slow
def test_layers_of_compiled_modules_are_recorded_by_their_own_names(images):
    network = use_originals(torch.compile(Compiled()))
    assert [name for name, _ in network.named_modules() if name] == ["body", "body.0", "body.1", "body.2", "head"]
    shown = probe_and_show(network, ["body.1", "head"], images, "unit")
    assert (shown.layers["body.1"]["response"] < 0).any()
    np.testing.assert_array_equal(shown.layers["head"]["response"], shown.scores)


@pytest.mark.slow
def test_layers_of_scripted_modules_are_one_sentence(images):
    network = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)).eval())
    with pytest.raises(ConfigError, match="the layer '1' is scripted, so that what it returns cannot be seen"):
        probe_and_show(network, ["1"], images, "unit")


def test_a_module_that_is_used_twice_names_its_calls(images):
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    network = nn.Sequential(network[0], network[1], relu := nn.ReLU(), nn.Linear(4, 4), relu).eval()
    with pytest.raises(ConfigError, match=r"'2' is used more than once .*record '2#1' … '2#2' in its place"):
        probe_and_show(network, ["2"], images, "unit")
    shown = probe_and_show(network, ["1", "2#1", "2#2"], images, "unit")
    np.testing.assert_array_equal(shown.layers["2#1"]["response"], shown.layers["1"]["response"].clip(0))
    np.testing.assert_array_equal(shown.layers["2#2"]["response"], shown.scores)


class Breaking(nn.Module):
    """Fails at the third step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(192, 4)

    def step(self, x, state):
        state = 0 if state is None else state + 1
        return self.layer(x.flatten(1)), [1, 2, 3][state]


def test_what_a_network_raises_later_is_one_sentence(images):
    with pytest.raises(ConfigError, match=r"Breaking cannot be shown .*IndexError: list index.*\[5, 3, 8, 8\]"):
        probe_and_show(Breaking(), ["layer"], images, "unit")


@pytest.mark.parametrize("length", [10, 255, 300, 3000])
def test_every_name_of_a_layer_is_the_name_of_a_folder(length, tmp_path):
    names = ["ä" * (length // 2), "a" * length, "a" * length + "b", "__init__", "zarr.json"]
    stored = [store_name(name) for name in names]
    assert len(set(stored)) == len(names)
    for name in stored:
        (tmp_path / name).mkdir()
    assert stored[1] == names[1] or length > 255


def test_names_that_differ_in_case_only_are_one_sentence():
    with pytest.raises(ConfigError, match="'V1' and 'v1' differ in case only, and a store cannot hold both"):
        check_layer_names(["V1", "IT", "v1"], [])
    with pytest.raises(ConfigError, match="'a/b' and 'a_b' would both be stored as 'a_b'"):
        check_layer_names(["a/b", "a_b"], [])


def test_a_network_that_mixes_images_is_shown_each_by_itself(images):
    norm = nn.BatchNorm2d(3, track_running_stats=False)
    stepper = NetworkStepper(nn.Sequential(norm, nn.Flatten(), nn.Linear(192, 4)).eval(), ["0"], Reduction("unit"))
    stepper.mixes_images = True
    runner = SweepRunner(stepper, SHOWN)
    whole, part = show_batch(runner, images, np.arange(5)), show_batch(runner, images[2:4], np.array([2, 3]))
    np.testing.assert_array_equal(part.scores, whole.scores[:, 2:4])
    assert list(stepper.remarks()) == ["mixed_images"]
