from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.data.images.splits import spread_over_classes, stratified_split

label_lists = st.lists(st.integers(0, 6), min_size=1, max_size=80)
ratios = st.floats(0.05, 0.95)


@given(label_lists, ratios, st.integers(0, 99))
def test_every_image_is_in_exactly_one_part(labels, ratio, seed):
    train, val = stratified_split(labels, ratio, seed)
    assert sorted(train + val) == list(range(len(labels)))
    assert train == sorted(train)
    assert val == sorted(val)


@given(label_lists, ratios, st.integers(0, 99))
def test_every_class_has_the_share_that_was_asked_for(labels, ratio, seed):
    train, val = stratified_split(labels, ratio, seed)
    for label in set(labels):
        count = labels.count(label)
        in_train, in_val = (sum(labels[i] == label for i in part) for part in (train, val))
        assert in_train >= 1
        assert in_val >= (count > 1)
        assert abs(in_val - count * (1 - ratio)) <= 1


@given(label_lists, ratios, st.integers(0, 99))
def test_split_of_a_class_does_not_depend_on_other_classes(labels, ratio, seed):
    more = [*labels, *([99] * 10)]
    assert [i for i in stratified_split(more, ratio, seed)[1] if i < len(labels)] == stratified_split(
        labels, ratio, seed
    )[1]


def test_seed_decides_the_split():
    labels = [0] * 50 + [1] * 50
    assert stratified_split(labels, 0.8, 1) == stratified_split(labels, 0.8, 1)
    assert stratified_split(labels, 0.8, 1) != stratified_split(labels, 0.8, 2)


def test_classes_are_not_split_in_step():
    _, val = stratified_split([0] * 100 + [1] * 100, 0.5, 0)
    assert [i for i in val if i < 100] != [i - 100 for i in val if i >= 100]


@given(label_lists, st.integers(1, 90))
def test_chosen_images_are_spread_over_the_classes(labels, count):
    chosen = spread_over_classes(labels, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(labels))
    assert chosen == sorted(chosen)
    taken = {label: [i for i in chosen if labels[i] == label] for label in set(labels)}
    most = max(map(len, taken.values()))
    for label, places in taken.items():
        members = np.flatnonzero(np.array(labels) == label).tolist()
        assert places == members[: len(places)]
        assert len(places) >= min(most - 1, len(members))


def test_no_count_takes_all():
    assert spread_over_classes([3, 1, 2], None) == [0, 1, 2]


@pytest.mark.parametrize("count", [1, 3, 7, 10])
def test_images_without_classes_are_chosen_from_all_of_them(count: int) -> None:
    chosen = spread_over_classes([-1] * 10, count)
    assert len(set(chosen)) == len(chosen) == count
    assert chosen == sorted(chosen)
    assert chosen[0] == 0
    assert max(np.diff([*chosen, 10])) <= -(-10 // count)
