"""Class scores are found in whatever a network returns."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from dynvision.errors import ConfigError, UnknownNameError
from dynvision.models.calling import has_step, step_network
from dynvision.models.checking import check_network, check_training, count_outputs
from dynvision.models.outputs import find_part, first_tensor, take_scores

Named = namedtuple("Named", ["logits", "aux_logits"])
SCORES, OTHER, MAPS = torch.rand(2, 5), torch.rand(2, 7), torch.rand(2, 3, 4, 4)


@dataclass
class Output:
    hidden: Any
    logits: Any = None


class ModelOutput(OrderedDict[str, Any]):
    """Like that of transformers: a dict whose keys are attributes."""

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(name)
        return self[name]


@pytest.mark.parametrize(
    "result",
    [
        SCORES,
        (SCORES, OTHER),
        [SCORES],
        (MAPS, SCORES),
        ([MAPS, MAPS], SCORES),
        {"features": OTHER, "logits": SCORES},
        {"aux": OTHER, "out": SCORES},
        {"loss": torch.zeros(()), "pred": SCORES},
        {"features": OTHER, "output": {"aux": MAPS, "scores": SCORES}},
        {"model": (MAPS, SCORES)},
        Named(SCORES, OTHER),
        Named(SCORES, None),
        Output(OTHER, SCORES),
        Output(SCORES),
        ModelOutput(loss=None, hidden_states=(OTHER, OTHER), logits=SCORES),
        SimpleNamespace(embedding=OTHER, prediction=SCORES),
        SCORES[:, :, None, None],
    ],
)
def test_scores_are_found_by_name_or_by_shape(result):
    assert torch.equal(take_scores(result, "Net"), SCORES)


@pytest.mark.parametrize("scores", [torch.arange(6).view(2, 3), SCORES.to_sparse(), SCORES > 0.5])
def test_scores_become_plain_real_numbers(scores):
    taken = take_scores(scores, "Net")
    assert taken.is_floating_point()
    assert taken.layout is torch.strided


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "Net returns a NoneType without a tensor of class scores"),
        ("text", "Net returns a str without a tensor"),
        ((), "Net returns a tuple without a tensor"),
        (
            {"loss": 3},
            r"Net returns a dict without a tensor .* or one called logits, out, output, scores or p",
        ),
        (SCORES.to(torch.complex64), "Net gives complex scores"),
    ],
)
def test_what_holds_no_scores_is_refused(result, message):
    with pytest.raises(ConfigError, match=message):
        take_scores(result, "Net")


def test_parts_are_found_by_name_and_number():
    value = (MAPS, {"hidden": [SCORES, OTHER]})
    assert find_part(value, ("1", "hidden", "1"), "layer") is OTHER
    assert first_tensor(find_part(value, ("1",), "layer")) is SCORES
    assert find_part(Named(SCORES, OTHER), ("aux_logits",), "layer") is OTHER
    with pytest.raises(UnknownNameError, match=r"'layer\.1', a dict, has no part 'hiden'\. Did you mean 'hidden'\?"):
        find_part(value, ("1", "hiden"), "layer")


class Net(nn.Module):
    """Returns what a function makes of its scores."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make, self.layer = make, nn.Linear(3, 2)

    def forward(self, x):
        return self.make(self.layer(x.mean((2, 3))))


class Auxiliary(nn.Module):
    """Gives a named tuple in training only, as googlenet does."""

    def __init__(self, training: Any = lambda scores, other: Named(scores, other)) -> None:
        super().__init__()
        self.norm, self.head, self.aux, self.make = nn.BatchNorm2d(3), nn.Linear(3, 2), nn.Linear(3, 2), training

    def forward(self, x):
        seen = self.norm(x).mean((2, 3))
        return self.make(self.head(seen), self.aux(seen)) if self.training else self.head(seen)


def test_outputs_beside_the_scores_in_training_too():
    network = Auxiliary().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    check_network(network, 2, 3, 8)
    check_training(network, 2, 3, 8)
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Auxiliary(lambda scores, other: None), "Auxiliary returns a NoneType without a tensor"),
        (Auxiliary(lambda scores, other: scores[:, :, None]), r"an output of shape \[2, 2, 1\] for 2 frames"),
        (Auxiliary(lambda scores, other: scores @ other[:1]), r"cannot be shown frames .*RuntimeError: mat1 and mat2"),
        (Net(lambda scores: scores.detach()), "no gradient reaches the weights of Net"),
        (Net(lambda scores: scores.argsort(1)), "no gradient reaches the weights of Net"),
        (Net(lambda scores: scores / 0 * 0), "Net gives scores that are not finite for a frame of noise"),
        (Net(lambda scores: scores.exp().add_(1)), "Net cannot be shown .*modified by an inplace operation"),
    ],
)
def test_a_network_that_fails_in_training_is_refused_before(network, message):
    with pytest.raises(ConfigError, match=message):
        check_training(network, 2, 3, 8)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda scores: scores[:, None].expand(-1, 4, -1), r"\[2, 4, 2\]"),
        (lambda scores: scores[None].expand(4, -1, -1), r"\[4, 2, 2\]"),
        (lambda scores: scores[0], r"\[2\]"),
        (lambda scores: scores.sum(), r"\[\]"),
        (lambda scores: scores[:1], r"\[1, 2\]"),
        (lambda scores: scores[:, :, None, None].expand(-1, -1, 3, 3), r"\[2, 2, 3, 3\]"),
    ],
)
def test_another_shape_than_that_of_class_scores_is_one_sentence(make, shape):
    for check in (lambda: count_outputs(Net(make), 3, 8), lambda: check_network(Net(make), 2, 3, 8)):
        with pytest.raises(ConfigError, match=rf"Net gives an output of shape {shape} .*\[images, classes\] is needed"):
            check()


class Task(nn.Module):
    def forward(self, x, task):
        return x.mean((2, 3)) + task


class Raising(nn.Module):
    error: BaseException = ValueError("no such thing")

    def forward(self, x):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [AttributeError("no 'dim'"), IndexError("5"), KeyError("k"), StopIteration(), AssertionError(), OSError("x")],
)
def test_whatever_a_network_raises_is_one_sentence(error):
    network = Raising()
    network.error = error
    for check in (count_outputs, lambda n, c, r: check_network(n, 2, c, r), lambda n, c, r: check_training(n, 2, c, r)):
        with pytest.raises(ConfigError) as caught:
            check(network, 3, 8)
        text = str(caught.value)
        assert text.startswith("Raising cannot be shown frames of 3 channels and 8 pixels")
        assert type(error).__name__ in text
        assert "[2, 3, 8, 8]" in text
        assert "test_outputs.py line" in text
        assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, torch.OutOfMemoryError])
def test_an_interrupt_and_a_lack_of_memory_stay_what_they_are(error):
    network = Raising()
    network.error = error("x")
    with pytest.raises(error):
        count_outputs(network, 3, 8)


def test_a_second_required_input_is_explained():
    with pytest.raises(ConfigError, match=r"missing 1 required positional argument: 'task'.*give its other inputs a"):
        count_outputs(Task(), 3, 8)


class Sized(nn.Module):
    image_size = 32

    def forward(self, x):
        assert x.shape[-1] == self.image_size
        return x.mean((2, 3))


def test_the_size_that_a_network_wants_is_named():
    with pytest.raises(ConfigError, match=r"AssertionError: assert .*Its image_size is 32: change its args"):
        count_outputs(Sized(), 3, 8)


class OwnStep(nn.Module):
    """A network whose method step means something else."""

    def __init__(self, step: Any, forward: bool = True) -> None:
        super().__init__()
        self.step, self.layer = step, nn.Linear(3, 2)
        if not forward:
            self.forward = super().forward

    def forward(self, x):
        return self.layer(x.mean((2, 3)))


@pytest.mark.parametrize(
    "step", [lambda: None, lambda closure: None, lambda x, y, z: None, lambda *, x: None, 3, nn.Linear(2, 2)]
)
def test_a_step_of_another_signature_is_not_used(step, capsys):
    network = OwnStep(step)
    assert not has_step(network)
    check_network(network, 2, 3, 8)
    said = capsys.readouterr().err
    assert ("cannot be called as step(x, state)" in said) == (callable(step) and not isinstance(step, nn.Module))


@pytest.mark.parametrize(
    ("returned", "what"),
    [(torch.zeros(2, 2), "a Tensor"), (None, "a NoneType"), ((1, 2, 3), "a tuple of 3"), ({"a": 1, "b": 2}, "a dict")],
)
def test_a_step_that_returns_something_else_is_explained(returned, what):
    with pytest.raises(ConfigError, match=rf"step of OwnStep returns {what}, where two values .*\(output, new state\)"):
        step_network(OwnStep(lambda x, state: returned), torch.zeros(2, 3, 8, 8), None)


def test_a_step_that_wants_a_number_is_explained():
    with pytest.raises(ConfigError, match=r"OwnStep cannot be shown frames .*TypeError"):
        step_network(OwnStep(lambda x, t: (x * t, t)), torch.zeros(2, 3, 8, 8), None)


def test_scores_of_a_step_may_stand_among_other_values():
    network = OwnStep(lambda x, state: ({"features": OTHER, "logits": SCORES}, 3))
    scores, state = step_network(network, torch.zeros(2, 3, 8, 8), None)
    assert scores is SCORES
    assert state == 3


@pytest.mark.parametrize(("build", "size"), [("googlenet", 64), ("inception_v3", 299)])
@pytest.mark.slow
def test_auxiliary_outputs_of_torchvision(build, size):
    import torchvision

    network = getattr(torchvision.models, build)(num_classes=4, init_weights=False)
    check_training(network, 4, 3, size)
    assert count_outputs(network, 3, size) == 4
