"""What cannot be shown is an error that says what is wrong and how to fix it, also from a worker process."""

from __future__ import annotations

import traceback
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset, TensorDataset

from dynvision.data.dataloader import get_data_loader, get_train_val_loaders
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader


def assert_fails(loader: Any, kind: type[Exception], message: str) -> None:
    """Check that reading fails; clear what the error still refers to, worker processes included, at once."""
    with pytest.raises(kind, match=message) as caught:
        list(loader)
    traceback.clear_frames(caught.tb)


DATA = TensorDataset(torch.randn(5, 3, 4, 4), torch.arange(5))


class Endless(IterableDataset):
    """A dataset that does not number its samples."""

    def __iter__(self) -> Any:
        yield torch.zeros(3, 4, 4), 0


IMAGE = torch.zeros(3, 4, 4)


def drop_one(items: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.stack([image for image, _ in items[1:]]), torch.zeros(len(items) - 1)


def images_only(items: list[Any]) -> torch.Tensor:
    return torch.stack([image for image, _ in items])


UNSHOWABLE = [
    ([(IMAGE, 0, "a.png")] * 4, TypeError, r"the dataset gives 3 values where an \(image, label\) pair is needed"),
    ([IMAGE] * 4, TypeError, r"the dataset gives Tensor where an \(image, label\) pair is needed"),
    ([{"image": IMAGE}] * 4, TypeError, r"the dataset gives dict where an \(image, label\) pair is needed"),
    (
        [(IMAGE, 0), (torch.zeros(3, 8, 8), 1)],
        ValueError,
        r"images of one batch have different sizes, \[3, 4, 4\] and \[3, 8, 8\]\. Give the dataset a transform that "
        r"brings them to one size, such as v2\.Resize\(\(224, 224\)\)",
    ),
    ([(IMAGE, "bee")] * 4, TypeError, r"labels are class indices, whole numbers, not .'bee', 'bee'"),
    ([(IMAGE, 0.5)] * 4, TypeError, r"labels are class indices, whole numbers, not \[0\.5"),
    ([("bee.png", 0)] * 4, TypeError, "an image is a tensor, a NumPy array .* or a PIL image, not str"),
]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("dataset", "kind", "message"), UNSHOWABLE)
def test_item_that_cannot_be_shown_is_an_error(dataset, kind, message, workers):
    loader = get_data_loader(dataset, batch_size=4, num_workers=workers)
    assert_fails(loader, kind, message)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("collate", "kind", "message"),
    [
        (images_only, TypeError, r"collate_fn gives Tensor where an \(image, label\) pair is needed"),
        (drop_one, ValueError, "collate_fn makes 3 images and 3 labels of 4 items; a sample's noise is its own"),
    ],
)
def test_collation_that_makes_something_else_is_an_error(collate, kind, message, workers):
    loader = get_data_loader(DATA, batch_size=4, collate_fn=collate, num_workers=workers)
    assert_fails(loader, kind, message)


@pytest.mark.parametrize("shape", [(4, 4), (1, 2, 3, 4, 4)])
def test_images_of_another_shape_are_an_error(shape):
    loader = get_data_loader([(np.zeros(shape, dtype=np.float32), 0)] * 2, batch_size=2)
    with pytest.raises(ValueError, match=r"images have the shape \[B, C, H, W\] or \[B, K, C, H, W\], not \[2, "):
        list(loader)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: get_data_loader(Endless()), TypeError, "an iterable dataset does not number its samples.*__getitem__"),
        (lambda: get_data_loader([]), ValueError, "the dataset is empty: there is nothing to show"),
        (
            lambda: get_data_loader(DATA, batch_size=None),
            ValueError,
            r"batch_size=None leaves out batching, and a stimulus is a batch\. Use batch_size=1\.",
        ),
        (lambda: get_data_loader(DATA, batch_size=0), ValueError, "batch_size should be a positive integer"),
        (lambda: get_data_loader(DATA, dtype="float16"), TypeError, r"dtype is a type of torch such as torch\.float32"),
        (lambda: get_train_val_loaders(DATA, 1.0), ValueError, r"train_ratio is a share between 0 and 1, not 1\.0"),
        (
            lambda: get_data_loader(DATA, "StimulusRepetition", tsteps=9, stim=1, repetition=3),
            TypeError,
            r"StimulusRepetition has no setting 'repetition'\. Did you mean 'repetitions'\?",
        ),
        (
            lambda: get_data_loader(DATA, "StimulusDuration", tsteps=9, stim=1, interval=3),
            TypeError,
            "StimulusDuration has no setting 'interval",
        ),
    ],
)
def test_loader_that_cannot_be_made_says_why(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_fractions_are_not_silently_cut_off():
    """Images in [0, 1] as whole numbers would all be black."""
    with pytest.raises((TypeError, ValueError), match="dtype"):
        list(get_data_loader(DATA, batch_size=5, dtype=torch.uint8))


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_trial_of_no_images_is_an_error(count):
    with pytest.raises(ValueError, match="images_per_trial must be a whole number from 1"):
        get_data_loader(DATA, images_per_trial=count)


TRIALS = [
    (
        "StimulusDuration",
        {"tsteps": 5, "stim": -1},
        r"stimulus_duration \(in time steps\) must .* from 1, not -1",
    ),
    ("StimulusDuration", {"tsteps": 5, "stim": 2, "intro": -1}, r"intro_duration \(in time steps\) must be .*not -1"),
    (
        "StimulusInterval",
        {"tsteps": 9, "stim": 2, "interval": -3},
        r"interval_duration \(in time.* from 0, not -3",
    ),
    (
        "StimulusInterval",
        {"tsteps": 9, "stim": 2, "interval": 2.5},
        r"interval_duration \(in time.* not 2\.5",
    ),
    (
        "StimulusRepetition",
        {"tsteps": 9, "stim": 2, "repetitions": 0},
        "repetitions must be .* from 1 .*, not 0",
    ),
    ("Standard", {"tsteps": 0}, r"n_timesteps \(in time steps\) must be a whole number from 1, not 0"),
    ("Standard", {"tsteps": 10**7}, r"n_timesteps of 10000000 time steps is longer than any trial"),
    ("StimulusContrast", {"tsteps": 5, "stim": 2, "contrast": float("nan")}, "contrast must be .* 0 to 1, not nan"),
    ("StimulusContrast", {"tsteps": 5, "stim": 2, "contrast": 1.01}, r"contrast must be .* 0 to 1, not 1\.01"),
    ("StimulusContrast", {"tsteps": 5, "stim": 2, "contrast": True}, "contrast must be .* 0 to 1, not True"),
    ("StimulusDuration", {"tsteps": 5, "stim": 2, "void_value": float("nan")}, "void_value must be a finite number"),
    (
        "StimulusInterval",
        {"tsteps": 9, "stim": 4, "intro": 1, "interval": 2},
        r"the trial needs 11 steps, but n_timesteps is 9\. Set n_timesteps to at least 11, or shorten the stimulus",
    ),
    ("StimulusNoise", {"tsteps": 5, "stim": 2, "ssnr": 1.5}, r"ssnr must be a number from 0 to 1, not 1\.5"),
    ("StimulusNoise", {"tsteps": 5, "stim": 2, "noise_type": "gausian"}, r"unknown noise 'gausian'\. Did you mean"),
]


@pytest.mark.parametrize(("name", "settings", "message"), TRIALS)
def test_impossible_trial_is_the_same_error_on_both_paths(betons, name, settings, message):
    with pytest.raises(ValueError, match=message):
        get_data_loader(DATA, name, **settings)
    with pytest.raises(ValueError, match=message):
        get_ffcv_dataloader(betons.path("rgb"), 5, dataloader=name, **settings)


@pytest.mark.parametrize("name", ["batch_size", "num_workers", "batches_ahead"])
@pytest.mark.parametrize("value", [0, -1, 2.0, True, None])
def test_ffcv_counts_that_are_no_whole_numbers_are_errors(betons, name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1, not {value}"):
        get_ffcv_dataloader(betons.path("rgb"), **{name: value})


def test_ffcv_cannot_be_sent_to_another_process(betons):
    import pickle

    loader = get_ffcv_dataloader(betons.path("rgb"), 5)
    with pytest.raises(TypeError, match=r"an FFCV loader cannot be sent to another process.*get_ffcv_dataloader"):
        pickle.dumps(loader)


def test_no_indices_are_an_error(betons):
    with pytest.raises(ValueError, match="indices is empty: there is nothing to show"):
        get_ffcv_dataloader(betons.path("rgb"), 5, indices=[])
