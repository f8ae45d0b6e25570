"""With which argument a dataset's class is told the split."""

from __future__ import annotations

import enum
from typing import Any, Literal

import pytest
from torchvision import datasets

from dynvision.data.sources.split_arguments import choose_split_arguments
from dynvision.errors import ConfigError, UnknownNameError


class Part(enum.Enum):
    TRAIN = 1
    TEST = 2


class Base:
    def __init__(self, root: str, train: bool = True, transform: Any = None) -> None: ...


class Variant(Base):
    def __init__(self, root: str, split: str, **kwargs: Any) -> None: ...


class OwnSplit(Base):
    def __init__(self, root: str, split: str = "train", **kwargs: Any) -> None: ...


class PassesOn(Base):
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...


class Both:
    def __init__(self, split: str = "train", train: bool = True) -> None: ...


class Enumerated:
    def __init__(self, part: Part = Part.TRAIN) -> None: ...


class Listed:
    def __init__(self, mode: Literal["train", "test", "val"] | None = None, split: float = 0.8) -> None: ...


class NoTest:
    def __init__(self, split: Literal["train", "val"]) -> None: ...


class Share:
    def __init__(self, split: float = 0.8) -> None: ...


class FileName:
    def __init__(self, train: str = "train.csv") -> None: ...


class Anything:
    def __init__(self, **kwargs: Any) -> None: ...


class ByMode:
    def __init__(self, mode: str) -> None: ...


def choose(cls: Any, arguments: dict[str, Any] | None = None, split_args: Any = None, split: str = "test") -> Any:
    return choose_split_arguments(cls, "m:C", arguments or {}, split_args, split, "here")


@pytest.mark.parametrize(
    ("cls", "arguments", "chosen"),
    [
        (Base, {}, {"train": False}),
        (Variant, {"split": "balanced"}, {"train": False}),
        (OwnSplit, {}, {"split": "test"}),
        (PassesOn, {}, {"train": False}),
        (Enumerated, {}, {"part": Part.TEST}),
        (Listed, {}, {"mode": "test"}),
        (datasets.EMNIST, {"split": "balanced"}, {"train": False}),
        (datasets.QMNIST, {}, {"train": False}),
        (datasets.STL10, {}, {"split": "test"}),
        (datasets.SVHN, {}, {"split": "test"}),
        (datasets.FGVCAircraft, {}, {"split": "test"}),
        (datasets.CIFAR10, {}, {"train": False}),
    ],
)
def test_the_parameter_that_chooses_the_split_is_found(cls, arguments, chosen):
    assert choose(cls, arguments) == chosen


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (
            Base,
            {"train": True},
            r"'args' has 'train: True', which chooses a split.*split_args: \{train: \{train: true",
        ),
        (Both, {"train": False}, r"'args' has 'train: False'"),
        (OwnSplit, {"split": "train"}, r"'args' has 'split: train'.*the same images"),
        (Enumerated, {"part": "TRAIN"}, r"'args' has 'part: TRAIN'"),
        (datasets.STL10, {"split": "unlabeled"}, r"'args' has 'split: unlabeled'"),
        (Variant, {"split": "val"}, r"'args' has 'split: val'"),
        (datasets.QMNIST, {"what": "test50k"}, r"'args' has 'what: test50k', which chooses a split"),
        (OwnSplit, {"transform": "train_labels.csv"}, r"'args' has 'transform: train_labels\.csv'"),
        (Base, {"root": "/elsewhere"}, r"here: 'root' is not among the arguments.*data/external/<dataset>"),
        (Variant, {}, r"takes 'split' and 'train', and it is not certain which.*split_args:"),
        (datasets.EMNIST, {}, r"takes 'split' and 'train'"),
        (Both, {}, r"takes 'split' and 'train'"),
        (NoTest, {}, r"takes neither 'split' nor 'train' .*split: Literal\['train', 'val'\].*split_args"),
        (Share, {}, r"takes neither.*split: float = 0\.8"),
        (FileName, {}, r"takes neither.*train: str"),
        (Anything, {}, r"takes neither.*its parameters: none"),
        (ByMode, {}, r"takes neither.*mode: str.*Give its __init__ one of them"),
        (datasets.SBDataset, {}, r"takes neither.*image_set"),
        (7, {}, r"'m:C' is no class of a dataset"),
    ],
)
def test_a_split_that_is_not_certain_is_an_error_that_says_how_to_state_it(cls, arguments, message):
    with pytest.raises(ConfigError, match=message):
        choose(cls, arguments)


def test_the_arguments_of_each_split_can_be_stated():
    stated = {"train": {"mode": "fit"}, "test": {"mode": "check"}}
    assert choose(ByMode, split_args=stated) == {"mode": "check"}
    assert choose(Anything, split_args=stated, split="train") == {"mode": "fit"}
    with pytest.raises(UnknownNameError, match=r"here: unknown argument 'mod'\. Did you mean 'mode'\?"):
        choose(ByMode, split_args={"train": {"mod": 1}, "test": {"mod": 2}})
    with pytest.raises(ConfigError, match=r"'root' is not among the arguments"):
        choose(Anything, split_args={"train": {"root": "a"}, "test": {"root": "b"}})


def test_an_argument_that_the_class_does_not_take_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown argument 'trnsform'\. Did you mean 'transform'\?"):
        choose(PassesOn, {"trnsform": None})
