from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.data.schedule import Presentation
from dynvision.experiments.plan import plan_sweep

STEPS = 8


@st.composite
def presentations(draw):
    """Presentations of eight steps whose few contrasts and frames make them begin alike often."""
    program = []
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.integers(1, 2))
        if draw(st.booleans()):
            program.append({"void": length})
        else:
            program.append(
                {"image": length, "which": draw(st.sampled_from([0, 1])), "contrast": draw(st.sampled_from([0.5, 1.0]))}
            )
    return Presentation.from_program(program, STEPS)


def history_until(presentation: Presentation, t: int) -> tuple:
    """What was shown in the first t + 1 steps."""
    pairs = zip(presentation.frames[: t + 1], presentation.contrasts[: t + 1], strict=True)
    return tuple((int(f), float(c)) if f >= 0 else (-1, 0.0) for f, c in pairs)


@given(st.lists(presentations(), min_size=1, max_size=8))
def test_each_step_has_one_node_for_each_distinct_prefix(shown):
    plan = plan_sweep(shown)
    assert len(plan) == STEPS
    for t, step in enumerate(plan):
        histories = [history_until(p, t) for p in shown]
        assert len(step.shown_by) == len(step.parents) == len(set(histories))
        for one in range(len(shown)):
            for other in range(len(shown)):
                assert (step.history_of[one] == step.history_of[other]) == (histories[one] == histories[other])


@given(st.lists(presentations(), min_size=1, max_size=8))
def test_each_node_continues_the_history_of_a_presentation_that_has_it(shown):
    plan = plan_sweep(shown)
    assert not plan[0].parents.any()
    for before, step in itertools.pairwise(plan):
        for node, (example, parent) in enumerate(zip(step.shown_by, step.parents, strict=True)):
            assert step.history_of[example] == node
            assert before.history_of[example] == parent


@given(st.lists(presentations(), min_size=1, max_size=6))
def test_showing_the_same_twice_costs_nothing(shown):
    once, twice = plan_sweep(shown), plan_sweep([*shown, *shown])
    assert [len(step.shown_by) for step in once] == [len(step.shown_by) for step in twice]


@pytest.mark.parametrize("change", [{"sensor_noise": 1.0}, {"void_value": 0.5}, {"contrast_reference": 0.5}])
def test_presentations_that_differ_in_more_than_timing_share_nothing(change):
    plan = plan_sweep([Presentation.duration(4, 2, 1), Presentation.duration(4, 2, 1, **change)])
    assert [len(step.shown_by) for step in plan] == [2, 2, 2, 2]


def test_durations_share_all_but_their_ends():
    plan = plan_sweep([Presentation.duration(6, stim, 1) for stim in (1, 2, 5)])
    assert [len(step.shown_by) for step in plan] == [1, 1, 2, 3, 3, 3]
    np.testing.assert_array_equal(plan[2].history_of, [0, 1, 1])


def test_different_lengths_are_an_error():
    with pytest.raises(ValueError, match=r"presentations of one sweep have one length, but there are \[3, 5\]"):
        plan_sweep([Presentation.constant(3), Presentation.constant(5)])
