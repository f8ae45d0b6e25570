"""Images of another class than the trial's first: chosen the same on every path, and all samples alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from dynvision.data.dataloader import get_data_loader
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.data.images.normalization import normalize_pixels
from dynvision.data.loading.classes import find_classes
from dynvision.data.loading.trials import choose_trials
from dynvision.errors import ConfigError
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import find_onsets

NORMALIZE = ([0.5, 0.4, 0.3], [0.2, 0.25, 0.3])
MASKED = [{"image": 2}, {"void": 1}, {"image": 1, "which": "other"}]


@given(
    st.lists(st.integers(0, 4), min_size=4, max_size=80).filter(lambda labels: len(set(labels)) > 1),
    st.sets(st.integers(1, 3)),
    st.integers(0, 50),
)
def test_chosen_positions_have_another_class_and_no_trial_repeats_an_image(labels, others, seed):
    classes = np.array(labels)
    try:
        trials = choose_trials(len(labels), 4, seed, labels, others)
    except ConfigError:
        fewest = min(len(labels) - labels.count(label) for label in labels)
        assert fewest < 4  # images of other classes, of which a trial may need three
        return
    assert trials[:, 0].tolist() == list(range(len(labels)))
    assert all(len(set(trial)) == 4 for trial in trials.tolist())
    for number in others:
        assert (classes[trials[:, number]] != classes[trials[:, 0]]).all()
    for count in (2, 3):  # the choice for a position does not depend on later ones
        shorter = choose_trials(len(labels), count, seed, labels, [n for n in others if n < count])
        np.testing.assert_array_equal(shorter, trials[:, :count])


@given(st.integers(2, 8), st.integers(2, 30), st.integers(0, 20))
def test_every_sample_is_shown_once_where_the_classes_allow_it(n_classes, per_class, seed):
    labels = np.repeat(np.arange(n_classes), per_class)
    trials = choose_trials(len(labels), 2, seed, labels, [1])
    assert sorted(trials[:, 1]) == list(range(len(labels)))


def test_class_of_most_samples_is_masked_by_what_there_is():
    trials = choose_trials(10, 2, 0, [0] * 8 + [1] * 2, [1])
    assert set(trials[:8, 1]) == {8, 9}
    assert (trials[8:, 1] < 8).all()


def test_mask_does_not_follow_from_the_class_of_the_target():
    labels = np.repeat(np.arange(8), 100)
    masks = labels[choose_trials(800, 2, 0, labels, [1])[:, 1]]
    counts = np.array([np.bincount(masks[labels == target], minlength=8) for target in range(8)])
    assert (np.diag(counts) == 0).all()
    assert (counts[~np.eye(8, dtype=bool)] > 3).all()


def test_trials_without_the_rule_are_as_before():
    np.testing.assert_array_equal(choose_trials(9, 3, 4, np.arange(9) % 2, ()), choose_trials(9, 3, 4))


def test_samples_of_one_class_are_an_error():
    with pytest.raises(ConfigError, match=r"all images are of one class\. Show a group of several classes"):
        choose_trials(5, 2, 0, [3] * 5, [1])


def test_program_names_new_images_of_another_class():
    show = Presentation.from_program(MASKED)
    assert (show.frames.tolist(), show.other_class) == ([0, 0, -1, 1], (1,))
    # The first image of the trial may be shown after its mask, and a repeat takes a new image each time.
    forward = [{"image": 1, "which": "other"}, {"image": 2, "which": 0}, {"image": 1, "which": "other"}]
    show = Presentation.from_program(forward)
    assert (show.frames.tolist(), show.other_class) == ([1, 0, 0, 2], (1, 2))
    rapid = Presentation.from_program([{"image": 1}, {"repeat": 3, "program": [{"image": 1, "which": "other"}]}])
    assert (rapid.frames.tolist(), rapid.other_class) == ([0, 1, 2, 3], (1, 2, 3))


def test_image_keeps_its_class_wherever_the_trial_shows_it():
    repeated = Presentation.from_program([{"image": 1}, {"image": 1, "which": "other"}, {"image": 1}])
    assert repeated.other_class == (1,)
    assert find_onsets(repeated) == (0, 1, 2)  # shown again, as it is without the rule
    assert repeated.labels(np.array([[3, 5]])).tolist() == [[3, 5, 5]]
    earlier = Presentation.from_program([{"image": 1, "which": 1}, {"image": 1, "which": 0}])
    assert earlier.other_class == ()
    with pytest.raises(ValueError, match=r"program\[0\]: 'which' is same, next, other or an image's index"):
        Presentation.from_program([{"image": 1, "which": "another"}])


@pytest.mark.parametrize("indices", [None, [8, 1, 7, 3, 11]], ids=["all", "some"])
def test_trials_are_the_same_from_a_dataset_and_from_a_beton_file(betons, indices):
    images = normalize_pixels(torch.from_numpy(betons.pixels["rgb"]), NORMALIZE)
    classes = torch.tensor(betons.labels)
    dataset = TensorDataset(images, classes)
    show = Presentation.from_program(MASKED)
    settings = {"batch_size": 4, "presentation": show, "trial_seed": 5}
    through = get_ffcv_dataloader(betons.path("rgb"), normalize=NORMALIZE, indices=indices, **settings)
    beside = get_data_loader(dataset if indices is None else Subset(dataset, indices), **settings)
    for (stimulus, labels), (other, same) in zip(through, beside, strict=True):
        assert torch.equal(stimulus, other)
        assert torch.equal(labels, same)
        assert (labels[:, 0] != labels[:, 3]).all()
    # Without the rule the trials are others; it may be given by itself, too.
    free = {**settings, "presentation": Presentation.from_program([*MASKED[:2], {"image": 1, "which": "next"}])}
    ruled = get_data_loader(dataset, other_class=[1], **free)
    assert all((labels[:, 0] != labels[:, 3]).all() for _, labels in ruled)
    assert any((labels[:, 0] == labels[:, 3]).any() for _, labels in get_data_loader(dataset, **free))


class WithoutTargets(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.zeros(3, 4, 4), index % 2


def test_classes_are_found_in_subsets_and_concatenations():
    dataset = TensorDataset(torch.zeros(6, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1, 2]))
    assert find_classes(Subset(dataset, [5, 0])).tolist() == [2, 0]
    assert find_classes(ConcatDataset([dataset, Subset(dataset, [1])])).tolist() == [0, 1, 2, 0, 1, 2, 1]
    # Whole trials are shown as they are.
    assert find_classes(TensorDataset(torch.zeros(2, 2, 1, 2, 2), torch.zeros(2, 2, dtype=torch.int64))) is None
    with pytest.raises(ValueError, match="the dataset does not say the class of each sample"):
        get_data_loader(WithoutTargets(), "StimulusProgram", program=MASKED)
    assert (
        len(get_data_loader(WithoutTargets(), "StimulusProgram", program=[{"image": 1}, {"image": 1, "which": 1}])) == 4
    )
