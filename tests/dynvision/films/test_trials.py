"""Films of batches: what the frames of a loader are, and when."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynvision.data.films.trials import film_images
from dynvision.data.presentation import Presentation, StimulusSequence
from dynvision.stimuli.showings import find_time_zero

IMAGES = torch.rand(2, 3, 8, 10, generator=torch.Generator().manual_seed(0))
STATISTICS = ([0.5, 0.4, 0.3], [0.2, 0.25, 0.3])


@pytest.mark.parametrize(
    "program",
    [
        [{"void": 2}, {"void": 3}],
        [{"void": 2}, {"image": 1}, {"void": 2}],
        [{"image": 3}],
        [{"void": 4}],
        [{"void": 1}, {"image": 2}, {"void": 2}, {"image": 2}],
    ],
)
@pytest.mark.parametrize("idle", [0, 4])
def test_time_is_zero_where_analyses_have_it_whatever_idle_steps_come_before(program, idle):
    show = Presentation.from_program(program)
    film = film_images(IMAGES, np.arange(2), show, idle, None)
    assert film.timeline.zero == find_time_zero(show)
    assert film.timeline.n_steps == show.n_timesteps


@pytest.mark.parametrize("temporal", ["static", "dynamic", "correlated"])
def test_pixels_are_the_frames_of_the_loader_without_their_standardization(temporal):
    mean, std = (torch.tensor(values)[:, None, None] for values in STATISTICS)
    show = Presentation.noise(6, 3, 1, "gaussian", 0.4, temporal, sensor_noise=0.3, stimulus_contrast=0.5)
    ids = np.array([7, 19])
    film = film_images((IMAGES - mean) / std, ids, show, 3, STATISTICS)
    sequence = StimulusSequence((IMAGES - mean) / std, show.preceded_by(3), ids)
    for step in range(show.n_timesteps):
        pixels = ((sequence.frame(step + 3) * std + mean).clamp(0, 1) * 255).permute(0, 2, 3, 1).numpy()
        assert np.abs(film.frame(step) - pixels).max() <= 0.501


def test_whole_numbers_of_any_type_are_pixels():
    for dtype in (torch.uint8, torch.int32, torch.int64):
        images = (IMAGES * 255).to(dtype)
        film = StimulusSequence(images, Presentation.duration(4, 2, 1)).show()
        np.testing.assert_array_equal(film.frame(1), images.permute(0, 2, 3, 1).numpy())


def test_a_sequence_that_has_nothing_to_show_says_so():
    show = Presentation.duration(4, 2, 1)
    with pytest.raises(ValueError, match="there is no trial to show: the sequence is empty"):
        StimulusSequence(IMAGES[:0], show).show()
    with pytest.raises(ValueError, match="start is a step from 0 to 3, not 4"):
        StimulusSequence(IMAGES, show).show(start=4)
