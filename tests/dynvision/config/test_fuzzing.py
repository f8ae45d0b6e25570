"""Mutated configurations; `python -m tests.helpers.fuzz_config` tries thousands."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.helpers.fuzz_config import bases, configurations, try_configuration


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzzing")


@pytest.mark.slow
def test_mutated_configuration_is_refused_in_a_sentence_or_works(root):
    outcomes, counter = [], itertools.count()

    # The examples are the same in every run, so that a failure is that of a change.
    @settings(
        max_examples=250,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(configurations())
    def try_one(files):
        outcomes.append(try_configuration(root / "config", files, with_dagster=next(counter) % 25 == 0))

    try_one()
    assert {"refused", "works"} == set(outcomes)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(2))
def test_configuration_that_is_mutated_works_before(root, number):
    files = {name: text.encode() for name, text in bases()[number].items()}
    assert try_configuration(root / f"base{number}" / "config", files, with_dagster=True) == "works"
