"""Images in [0, 1] fade to black by default; the loaders say so once and name the fix."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from dynvision.data.dataloader import get_data_loader
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.stimuli.presentation import Presentation

GREY_WARNING = r"images are in \[0, 1\], where contrast_reference=0 is black.*Give contrast_reference=0\.5"


def count_warnings(make_loader: Any, epochs: int = 2) -> int:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loader = make_loader()
        shown = [len(x) for _ in range(epochs) for x, _ in loader]
    assert len(shown) > epochs
    return sum("contrast_reference=0.5 (and void_value=0.5)" in str(w.message) for w in caught)


PICTURES = TensorDataset(torch.rand(6, 3, 4, 4), torch.arange(6))
STANDARDIZED = TensorDataset(torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(6))
FADED = {"batch_size": 2, "n_timesteps": 3, "stimulus_contrast": 0.5}


@pytest.mark.parametrize(
    ("dataset", "changes", "count"),
    [
        (PICTURES, {}, 1),
        (PICTURES, {"lazy": True}, 1),
        pytest.param(PICTURES, {"num_workers": 2}, 1, marks=pytest.mark.slow),
        (PICTURES, {"contrast_reference": 0.5}, 0),
        (PICTURES, {"stimulus_contrast": 1.0}, 0),
        (STANDARDIZED, {}, 0),
    ],
)
def test_contrast_that_would_darken_is_said_once_with_its_fix(dataset, changes, count):
    settings = {**FADED, **changes}
    assert count_warnings(lambda: get_data_loader(dataset, **settings)) == count
    if count:
        with pytest.warns(UserWarning, match=GREY_WARNING):
            next(iter(get_data_loader(dataset, **settings)))


def test_contrast_that_would_darken_is_said_of_betons_too(betons):
    settings = {"n_timesteps": 3, "stimulus_contrast": 0.5}
    assert count_warnings(lambda: get_ffcv_dataloader(betons.path("rgb"), 5, **settings)) == 1
    assert count_warnings(lambda: get_ffcv_dataloader(betons.path("rgb"), 5, **settings, contrast_reference=0.5)) == 0


def test_contrast_that_would_darken_is_said_when_it_comes_with_a_later_presentation(betons):
    loader = get_ffcv_dataloader(betons.path("rgb"), 5)
    assert count_warnings(lambda: loader) == 0
    loader.presentation = Presentation.constant(2, stimulus_contrast=0.5)
    assert count_warnings(lambda: loader) == 1
