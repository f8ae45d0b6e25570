"""Frames in NumPy are those of the loader, to the bit."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dynvision.data.presentation import Presentation, StimulusSequence
from dynvision.stimuli.noise import NOISE_KINDS, NOISE_TEMPORAL
from dynvision.stimuli.rendering import Renderer
from tests.helpers.presentations import presentations

IMAGES = np.random.default_rng(0).normal(size=(3, 2, 3, 6, 5)).astype(np.float32)
IDS = np.array([4, 0, 700])


def compare(show: Presentation) -> None:
    renderer = Renderer(show, IMAGES, IDS)
    sequence = StimulusSequence(torch.from_numpy(IMAGES), show, IDS)
    for t in range(show.n_timesteps):
        np.testing.assert_array_equal(renderer.frame(t), sequence.frame(t).numpy(), strict=True)


@given(presentations(), st.sampled_from([0.0, 0.7]), st.sampled_from([0.0, -0.3]), st.sampled_from([0.0, 0.2]))
def test_frames_are_those_of_the_loader_to_the_bit(show, sensor_noise, grey, void):
    compare(dataclasses.replace(show, sensor_noise=sensor_noise, contrast_reference=grey, void_value=void))


@pytest.mark.parametrize("kind", NOISE_KINDS)
@pytest.mark.parametrize("temporal", NOISE_TEMPORAL)
def test_noise_in_the_image_is_that_of_the_loader_to_the_bit(kind, temporal):
    noise = {"kind": kind, "ssnr": 0.3, "temporal": temporal}
    program = [
        {"image": 2, "noise": noise, "contrast": 0.4},
        {"void": 1},
        {"image": 2, "which": "next", "noise": noise},
    ]
    compare(Presentation.from_program(program, sensor_noise=0.2, noise_seed=3))


def test_the_film_of_a_sequence_and_of_a_presentation_are_the_same():
    show = Presentation.contrast(6, 3, 1, 0.5, sensor_noise=0.3)
    images = torch.from_numpy(IMAGES[:, 0])
    normalize = ([0.5] * 3, [0.2] * 3)
    of_loader = StimulusSequence(images, show).show(normalize=normalize)
    np.testing.assert_array_equal(of_loader.frames, show.show(images, normalize=normalize).frames)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16])
def test_the_film_of_a_sequence_shows_images_of_other_types(dtype):
    pixels = torch.randint(0, 256, (2, 3, 6, 6), dtype=torch.uint8)
    images = pixels if dtype == torch.uint8 else (pixels / 255).to(dtype)
    shown = StimulusSequence(images, Presentation.constant(2)).show().frames
    np.testing.assert_array_equal(shown[:, 1], pixels.permute(0, 2, 3, 1).numpy())


def test_a_film_may_begin_after_idle_steps():
    show = Presentation.duration(4, 2, 1, sensor_noise=0.5)
    sequence = StimulusSequence(torch.from_numpy(IMAGES[:, 0]), show.preceded_by(5), IDS)
    film = sequence.show(start=5)
    np.testing.assert_array_equal(film.render(1), sequence.frame(6).numpy())
    assert (film.timeline.n_steps, film.timeline.zero, film.timeline.bounds) == (4, 1, (1, 3))


@pytest.mark.slow
def test_showing_a_presentation_imports_no_torch():
    code = (
        "import sys, numpy as np; from dynvision.stimuli.presentation import Presentation; "
        "Presentation.constant(2).show(np.zeros((8, 8), np.uint8)).encode('webp'); "
        "assert not {'torch', 'matplotlib', 'dagster'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
