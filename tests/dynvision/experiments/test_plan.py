from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.experiments.plan import plan_sweep
from dynvision.stimuli.presentation import Presentation
from tests.helpers.presentations import STEPS, presentations


def history_until(presentation: Presentation, t: int) -> tuple:
    """What was shown in the first t + 1 steps."""
    pairs = zip(presentation.frames[: t + 1], presentation.contrasts[: t + 1], strict=True)
    return tuple((int(f), float(c)) if f >= 0 else (-1, 0.0) for f, c in pairs)


def find_branch(plan, condition: int, t: int):
    """The branch that has a step of a condition."""
    (branch,) = [b for b in plan if condition in b.conditions and b.start <= t < b.stop]
    return branch


@given(st.lists(presentations(), min_size=1, max_size=8))
def test_tree_has_one_node_for_each_distinct_prefix(shown):
    plan = plan_sweep(shown)
    prefixes = {history_until(p, t) for p in shown for t in range(STEPS)}
    assert plan.n_steps == len(prefixes)
    for t in range(STEPS):
        for one, other in itertools.combinations(range(len(shown)), 2):
            share = find_branch(plan, one, t) is find_branch(plan, other, t)
            assert share == (history_until(shown[one], t) == history_until(shown[other], t))


@given(st.lists(presentations(), min_size=1, max_size=8))
def test_children_start_where_their_parent_ends_and_divide_its_conditions(shown):
    for branch in plan_sweep(shown):
        assert branch.stop == STEPS or len(branch.children) > 1
        assert branch.shown_by in branch.conditions
        if branch.children:
            assert all(child.start == branch.stop for child in branch.children)
            assert sorted(c for child in branch.children for c in child.conditions) == sorted(branch.conditions)


@given(st.lists(presentations(), min_size=1, max_size=12))
def test_states_kept_at_once_grow_with_the_logarithm_of_the_conditions(shown):
    assert 1 <= plan_sweep(shown).most_states <= 1 + math.log2(len(shown))


@given(st.lists(presentations(), min_size=1, max_size=6))
def test_showing_the_same_twice_costs_nothing(shown):
    assert plan_sweep([*shown, *shown]).n_steps == plan_sweep(shown).n_steps


@pytest.mark.parametrize(
    ("change", "shared"), [({"sensor_noise": 1.0}, 0), ({"void_value": 0.5}, 0), ({"contrast_reference": 0.5}, 1)]
)
def test_presentations_that_differ_in_more_than_timing_fork_where_that_acts(change, shared):
    first, other = (Presentation.duration(4, 2, 1, stimulus_contrast=0.5, **more) for more in ({}, change))
    plan = plan_sweep([first, other])
    assert (plan.start, plan.stop, plan.n_steps) == (0, shared, 8 - shared)


def test_durations_share_all_but_their_ends():
    plan = plan_sweep([Presentation.duration(6, stim, 1) for stim in (1, 2, 5)])
    stretches = [(b.start, b.stop, b.conditions) for b in plan]
    assert stretches == [(0, 2, (0, 1, 2)), (2, 6, (0,)), (2, 3, (1, 2)), (3, 6, (1,)), (3, 6, (2,))]
    assert (plan.n_steps, plan.most_states) == (2 + 4 + 1 + 3 + 3, 2)


@pytest.mark.parametrize(("idle", "computed", "naive"), [(0, 193, 240), (20, 213, 400)])
def test_duration_sweep_of_the_documentation_is_counted(idle, computed, naive):
    durations = [1, 2, 3, 4, 5, 10, 15, 20]
    shown = [Presentation.duration(30, stim, 1).preceded_by(idle) for stim in durations]
    assert (plan_sweep(shown).n_steps, (30 + idle) * len(durations)) == (computed, naive)


def test_settings_without_effect_make_no_fork():
    shown = [Presentation.duration(30, 20, 5, noise_seed=seed).preceded_by(20) for seed in range(5)]
    assert plan_sweep(shown).n_steps == 50
    noisy = [Presentation.duration(30, 20, 5, noise_seed=seed, sensor_noise=1.0) for seed in range(5)]
    assert plan_sweep(noisy).n_steps == 150
    greys = [Presentation.duration(10, 4, 2, contrast_reference=grey) for grey in (0.0, 0.5)]
    assert plan_sweep(greys).n_steps == 10


@pytest.mark.slow
def test_tree_deeper_than_python_recurses_can_be_planned():
    shown = [Presentation.duration(1500, stim) for stim in range(1, 1400)]
    plan = plan_sweep(shown)
    assert plan.n_steps == 1500 + sum(1500 - stim for stim in range(1, 1399))
    assert plan.most_states == 2
    assert sum(1 for _ in plan) > 2000


def test_different_lengths_are_an_error():
    with pytest.raises(ValueError, match=r"presentations of one sweep have one length, but there are \[3, 5\]"):
        plan_sweep([Presentation.constant(3), Presentation.constant(5)])
