"""Trials of several images, chosen samples and their noise are the same from a dataset and from a `.beton` file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import Subset, TensorDataset

from dynvision.data.dataloader import get_data_loader
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.data.images.normalization import normalize_pixels
from dynvision.stimuli.presentation import Presentation

NORMALIZE = ([0.5, 0.4, 0.3], [0.2, 0.25, 0.3])
MASKING = Presentation.from_program(
    [
        {"void": 1},
        {"image": 2, "noise": {"kind": "gaussian", "ssnr": 0.5, "temporal": "dynamic"}},
        {"image": 1, "which": "next"},
        {"image": 1, "which": "next", "contrast": 0.5},
    ],
    sensor_noise=0.5,
)


@pytest.fixture(scope="module")
def dataset(betons) -> TensorDataset:
    """The images and labels of `rgb.beton`."""
    images = normalize_pixels(torch.from_numpy(betons.pixels["rgb"]), NORMALIZE)
    return TensorDataset(images, torch.tensor(betons.labels))


@pytest.mark.parametrize("indices", [None, [8, 1, 7, 3, 11]], ids=["all", "some"])
def test_trials_of_several_images_are_the_same_to_the_bit(betons, dataset, indices):
    settings: dict[str, Any] = {"batch_size": 3, "presentation": MASKING, "trial_seed": 5}
    through = get_ffcv_dataloader(betons.path("rgb"), normalize=NORMALIZE, indices=indices, **settings)
    left_early = next(iter(through))[0]
    for lazy in (False, True):
        through.lazy = lazy
        beside = get_data_loader(dataset if indices is None else Subset(dataset, indices), lazy=lazy, **settings)
        shown, wanted = ([[part.dense() if lazy else part for part in b] for b in path] for path in (through, beside))
        assert torch.equal(shown[0][0], left_early)
        assert [len(stimulus) for stimulus, _ in shown] == ([3] * 4 if indices is None else [3, 2])
        for (stimulus, labels), (other, same) in zip(shown, wanted, strict=True):
            assert torch.equal(stimulus, other)
            assert torch.equal(labels, same)
            assert not torch.equal(stimulus[:, 3], stimulus[:, 4])


def test_noise_of_a_sample_is_its_own_whichever_samples_are_shown_with_it(betons):
    show = Presentation.noise(3, 2, ssnr=0.3, sensor_noise=0.2)
    whole = torch.cat([x for x, _ in get_ffcv_dataloader(betons.path("rgb"), 5, presentation=show)])
    part = get_ffcv_dataloader(betons.path("rgb"), 2, presentation=show, indices=[1, 4, 9])
    assert torch.equal(torch.cat([x for x, _ in part]), whole[[1, 4, 9]])


def test_trials_of_several_images_in_a_random_order_are_an_error(betons):
    loader = get_ffcv_dataloader(betons.path("rgb"), 5, presentation=MASKING, order="random")
    with pytest.raises(ValueError, match="a trial of 3 images needs order='sequential'"):
        next(iter(loader))
