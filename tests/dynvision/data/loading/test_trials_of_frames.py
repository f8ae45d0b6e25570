"""A trial of frames shows one stimulus, from its first frame on."""

from __future__ import annotations

import numpy as np
import pytest

from dynvision.data.loading.trials import choose_frames
from dynvision.errors import ConfigError

STIMULI = ["b", "b", "b", "a", "a"]
FRAMES = [2, 0, 1, 0, 1]
LABELS = [-1] * 5


def test_each_stimulus_is_a_trial_in_the_order_of_the_set():
    np.testing.assert_array_equal(choose_frames(STIMULI, FRAMES, 2, LABELS), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(choose_frames(STIMULI, FRAMES, 1, LABELS), [[1], [3]])
    np.testing.assert_array_equal(choose_frames(STIMULI, FRAMES, 2, LABELS, count=1), [[1, 2]])


def test_a_stimulus_with_too_few_frames_is_named():
    with pytest.raises(ConfigError, match="a trial shows 3 frames, and the stimulus 'a' has 2, without number 2"):
        choose_frames(STIMULI, FRAMES, 3, LABELS)
