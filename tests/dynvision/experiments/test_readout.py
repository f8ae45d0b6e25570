from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.config.sections.experiments import Subject
from dynvision.errors import ConfigError
from dynvision.experiments.readout import (
    LabelMatch,
    chance_level,
    class_mask,
    match_by_name,
    match_labels,
    predict,
    reduce_trials,
)

CLASSES = [6, 7, 14, 99]


def draw_scores(seed: int, trials: int = 5, steps: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(trials, steps, len(CLASSES))).astype(np.float32)


@given(st.integers(0, 999), st.lists(st.sampled_from(CLASSES), min_size=5, max_size=5), st.booleans())
def test_accuracy_is_the_share_of_trials_named_right(seed, labels, forced):
    scores, labels = draw_scores(seed), np.array(labels)
    choices = class_mask(CLASSES, labels, "group" if forced else "all")
    right = np.zeros((5, 6), dtype=bool)
    for trial in range(5):
        for t in range(6):
            allowed = [i for i in range(4) if not forced or CLASSES[i] in labels]
            best = max(allowed, key=lambda i: scores[trial, t, i])
            right[trial, t] = CLASSES[best] == labels[trial]
    predicted = predict(scores, CLASSES, choices)
    np.testing.assert_array_equal(predicted == labels[:, None], right)
    window = (predicted == labels[:, None])[:, 2:5].astype(float)
    scored = {reduce: reduce_trials(window, reduce) for reduce in ("mean", "max", "last")}
    np.testing.assert_allclose(scored["mean"], right[:, 2:5].mean(axis=1))
    np.testing.assert_array_equal(scored["max"], right[:, 2:5].any(axis=1))
    np.testing.assert_array_equal(scored["last"], right[:, 4])


def test_predictions_are_classes_in_the_datasets_own_order():
    scores = np.eye(4, dtype=np.float32)[None]
    assert predict(scores, CLASSES, np.ones(4, dtype=bool)).tolist() == [CLASSES]


def test_forced_choice_is_among_the_classes_shown():
    assert class_mask(CLASSES, np.array([99, 7]), "group").tolist() == [False, True, False, True]
    assert class_mask(CLASSES, np.array([99, 7]), "all").tolist() == [True] * 4
    scores = np.array([[[9.0, 1.0, 8.0, 2.0]]], dtype=np.float32)
    assert predict(scores, CLASSES, class_mask(CLASSES, np.array([99, 7]), "group")).tolist() == [[99]]


def test_network_that_knows_none_of_the_classes_shown_is_an_error():
    with pytest.raises(ConfigError, match=r"the network was trained on none of the classes.*Set 'choices: all'"):
        class_mask(CLASSES, np.array([1, 2]), "group")


def test_class_that_the_network_does_not_know_is_never_right():
    scores = draw_scores(0)
    labels = np.array([6, 50, 50, 50, 50])
    choices = class_mask(CLASSES, labels, "group")
    assert not (predict(scores, CLASSES, choices) == labels[:, None])[1:].any()


def test_chance_counts_trials_that_cannot_be_right():
    mask = class_mask([0, 4], [0, 1, 2, 4], "group")
    assert chance_level(np.array([0, 1, 2, 4]), [0, 4], mask) == 0.25
    assert chance_level(np.array([0, 4]), [0, 4], mask) == 0.5


def test_choices_are_the_groups_classes_even_where_few_images_are_shown():
    assert class_mask([0, 1, 2, 3], [0, 1, 2], "group").tolist() == [True, True, True, False]


def entry(index: int, name: str, folder: str | None = None) -> dict[str, object]:
    return {"index": index, "name": name, "folder": folder or name}


def test_classes_are_matched_by_name_or_folder_whatever_their_capitals():
    shown = [entry(0, "Tabby_cat"), entry(1, "a dog", "n02099601"), entry(2, "tree")]
    outputs = [entry(5, "tabby cat"), entry(7, "golden retriever", "n02099601")]
    match = match_by_name(shown, outputs, "e/s")
    assert match.classes == {0: 5, 1: 7}
    assert match.classes_of([[2, 1], [0, -1]]).tolist() == [[-1, 7], [5, -1]]
    attributes = {name: json.dumps(v) if isinstance(v, dict) else v for name, v in match.to_attributes().items()}
    assert LabelMatch.from_attributes(attributes) == match


def test_labels_of_a_store_that_says_nothing_match_by_index():
    assert LabelMatch.from_attributes({}) == LabelMatch("index")
    assert LabelMatch("index").classes_of([3, 1]).tolist() == [3, 1]


def test_names_that_match_no_output_or_several_are_refused():
    with pytest.raises(ConfigError, match="no class that is shown has the name of an output, 'tabi' for example"):
        match_by_name([entry(0, "tabi")], [entry(5, "tabby")], "e/s")
    with pytest.raises(ConfigError, match="the class 'crane' has the name of the network's outputs 5 and 6"):
        match_by_name([entry(0, "crane")], [entry(5, "crane", "a"), entry(6, "crane", "b")], "e/s")


def match_set(
    by: str, labels: list[int | str], outputs: list[int | str], own: bool = True, **subject: str
) -> LabelMatch:
    """Match labels of a stimulus set with the outputs of a network."""
    named = [entry(x, str(x)) if isinstance(x, int) else entry(number, x) for number, x in enumerate(labels)]
    classes = [entry(x, str(x)) if isinstance(x, int) else entry(number, x) for number, x in enumerate(outputs)]
    images = SimpleNamespace(details={"classes": [], "labels": named, "label": {"column": "c", "by": by}})
    network = SimpleNamespace(details={"classes": classes, **({"own_classes": True} if own else {})})
    given = Subject(model="m", dataset="scenes", trained_on="gratings/all", **subject)
    return match_labels(given, network, images, "e/s")


def test_labels_of_a_set_that_are_no_classes_of_a_network_have_no_accuracy():
    match = match_set("index", [0, 22, 957], [0, 1, 2, 3, 4])  # 0 is that of another network, too
    assert (match.by, match.reason) == ("none", "no output has the index 957, which the table has")
    assert match_set("index", [0, 4], [0, 1, 2, 3, 4]) == LabelMatch("index")
    assert match_set("index", [0, 1, 3], [1, 3], own=False) == LabelMatch("index")  # trained on a group of classes
    assert match_set("index", [0, 2], [1, 3], own=False).by == "none"
    match = match_set("name", ["tench", "bald_eagle"], [0, 1, 2])
    assert (match.by, match.reason) == ("none", "no output has the name of a class, 'tench' for example")
    assert match_set("name", ["tench", "cup"], ["Cup", "vase"]) == LabelMatch("name", {1: 0})


def test_a_subject_that_says_how_labels_match_is_refused_if_they_do_not():
    with pytest.raises(ConfigError, match="'match: name', but no class that is shown has the name of an output"):
        match_set("index", [0, 22], [5, 6], match="name")
    assert match_set("index", [0, 957], [0, 1], match="index") == LabelMatch("index")
