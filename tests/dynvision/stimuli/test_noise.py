from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from dynvision.stimuli.noise import sensor_noise

SHAPE = (3, 5, 5)


@given(st.integers(0, 2**31), st.integers(0, 500), st.integers(0, 2**63))
def test_same_sample_step_and_seed_give_the_same_noise(sample, step, seed):
    alone = sensor_noise(np.array([sample]), step, SHAPE, seed)
    among = sensor_noise(np.array([sample + 1, sample]), step, SHAPE, seed)
    assert np.array_equal(alone[0], among[1])
    assert not np.array_equal(among[0], among[1])


def test_noise_differs_between_steps_and_seeds():
    ids = np.array([4])
    drawn = [sensor_noise(ids, step, SHAPE, seed) for step in (0, 1, 2) for seed in (0, 1)]
    assert len({noise.tobytes() for noise in drawn}) == 6


def test_noise_has_zero_mean_and_unit_variance():
    noise = sensor_noise(np.arange(40), 0, (3, 16, 16), 0)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02


def test_global_generators_stay_as_they_were():
    before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()
    sensor_noise(np.arange(3), 0, SHAPE, 0)
    assert np.array_equal(before, np.random.get_state()[1])
    assert torch.equal(torch_before, torch.get_rng_state())
