from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.errors import ConfigError
from dynvision.experiments.budget import BLOCK_BYTES, LIBRARY_BYTES, Footprint, plan_memory
from dynvision.experiments.walking import NOISE_CACHE_BYTES
from dynvision.experiments.writing import IN_FLIGHT_BYTES

SMALL = Footprint(frames=50_000, activations=100_000, state=30_000, responses=2_000)


@given(
    st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6), st.integers(4, 10**6),
    st.integers(1, 500), st.integers(1, 5000),
)  # fmt: skip
def test_memory_used_at_once_stays_within_the_budget(frames, activations, state, responses, conditions, steps):
    footprint = Footprint(frames, activations, state, responses)
    plan = plan_memory(footprint, budget=2.0, batch_size=None, n_conditions=conditions, n_timesteps=steps)
    states = 1 + int(math.log2(max(conditions, 64)))
    each = frames + activations + (states + 1) * (state + responses * plan.block_steps)
    assert plan.batch_size * each + LIBRARY_BYTES + IN_FLIGHT_BYTES + NOISE_CACHE_BYTES <= 2e9
    assert 1 <= plan.batch_size <= 100
    assert 1 <= plan.block_steps <= steps


def test_plan_does_not_change_with_the_length_of_a_trial_once_a_block_is_full():
    footprint = Footprint(50_000, 100_000, 30_000, 70_000)
    plans = [plan_memory(footprint, budget=2.0, batch_size=None, n_conditions=7, n_timesteps=t) for t in (100, 800)]
    assert plans[0] == plans[1]
    assert plans[0].block_steps == BLOCK_BYTES // (100 * 70_000)


def test_another_level_does_not_change_the_batches_of_the_others():
    footprint = Footprint(50_000, 9_000_000, 300_000, 70_000)
    plans = {plan_memory(footprint, budget=1.4, batch_size=None, n_conditions=n, n_timesteps=30) for n in (7, 8, 40)}
    assert len(plans) == 1


def test_short_trials_are_one_block():
    plan = plan_memory(SMALL, budget=2.0, batch_size=None, n_conditions=7, n_timesteps=30)
    assert (plan.batch_size, plan.block_steps) == (100, 30)


def test_batch_that_does_not_fit_names_the_largest_that_does():
    big = Footprint(600_000, 12_000_000, 0, 6_000_000)
    most = plan_memory(big, budget=2.0, batch_size=None, n_conditions=7, n_timesteps=30).batch_size
    expected = f"a batch of 100 images does not fit into a memory_budget of 2 GB: set batch_size to at most {most}, or"
    with pytest.raises(ConfigError, match=expected) as caught:
        plan_memory(big, budget=2.0, batch_size=100, n_conditions=7, n_timesteps=30)
    needed = float(str(caught.value).split("memory_budget to at least ")[1].split()[0])
    assert plan_memory(big, budget=needed, batch_size=100, n_conditions=7, n_timesteps=30).batch_size == 100


def test_image_that_does_not_fit_at_all_says_so():
    huge = Footprint(1, 10**10, 0, 1)
    with pytest.raises(ConfigError, match="a batch of 1 images does not fit into a memory_budget of 2 GB: set memory"):
        plan_memory(huge, budget=2.0, batch_size=None, n_conditions=1, n_timesteps=1)
