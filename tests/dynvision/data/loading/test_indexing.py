"""A sequence is indexed like its dense tensor, trials first, and builds only what is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynvision.data.loading.label_sequence import LabelSequence
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.stimuli.presentation import Presentation

TRIALS, STEPS = 4, 7
PROGRAM = [
    {"void": 1},
    {"image": 2, "contrast": 0.5, "noise": {"kind": "gaussian", "ssnr": 0.4}},
    {"image": 2, "which": 1, "noise": {"kind": "salt_and_pepper", "ssnr": 0.4, "temporal": "dynamic"}},
    {"void": 1},
    {"image": 1, "which": 0},
]
SHOWN = {
    "plain": Presentation.from_program(PROGRAM[:1] * STEPS, void_value=0.5),
    "noisy": Presentation.from_program(PROGRAM),
    "sensor": Presentation.from_program(PROGRAM, sensor_noise=0.5, noise_seed=3),
}
IMAGES = torch.randn(TRIALS, 2, 3, 2, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([[i, 10 + i] for i in range(TRIALS)])


def make(name: str, ids: np.ndarray | None = None) -> tuple[StimulusSequence, LabelSequence]:
    return StimulusSequence(IMAGES, SHOWN[name], ids), LabelSequence(LABELS, SHOWN[name])


def one_axis(size: int) -> st.SearchStrategy[Any]:
    """Every way to index one axis."""
    number = st.integers(-size, size - 1)
    bound = st.none() | st.integers(-size - 1, size + 1)
    numbers = st.lists(number, max_size=size + 1)
    mask = st.lists(st.booleans(), min_size=size, max_size=size)
    return st.one_of(
        number,
        number.map(np.int64),
        number.map(torch.tensor),
        st.builds(slice, bound, bound, st.none() | st.integers(1, 3)),
        numbers,
        numbers.map(lambda n: np.array(n, dtype=np.int64)),
        numbers.map(lambda n: torch.tensor(n, dtype=torch.int64)),
        mask,
        mask.map(np.array),
        mask.map(torch.tensor),
        st.integers(0, size).map(range),
    )


def try_index(array: Any, index: Any) -> torch.Tensor | None:
    """The elements as a tensor; `None` if they cannot be indexed like this, as by lists of different lengths."""
    try:
        chosen = array[index]
    except (IndexError, TypeError):
        return None
    return chosen if isinstance(chosen, torch.Tensor) else chosen.dense()


index_of_trials = one_axis(TRIALS) | st.just(None) | st.just(Ellipsis)
indices = st.one_of(
    index_of_trials,
    st.tuples(index_of_trials),
    st.tuples(one_axis(TRIALS), one_axis(STEPS)),
    st.tuples(one_axis(TRIALS), one_axis(STEPS), one_axis(3)),
    st.tuples(one_axis(TRIALS), one_axis(STEPS), st.just(slice(None)), one_axis(2)),
    st.tuples(one_axis(TRIALS), one_axis(STEPS), st.just(Ellipsis), one_axis(3)),
    st.tuples(one_axis(TRIALS), st.just(Ellipsis)),
    st.tuples(st.just(Ellipsis), one_axis(3)),
    st.tuples(one_axis(TRIALS), st.just(None), one_axis(STEPS)),
    st.sampled_from([(), (True, 0), (torch.ones(TRIALS, STEPS, dtype=torch.bool),), torch.ones(TRIALS, STEPS) > 0]),
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
@pytest.mark.parametrize("shown", SHOWN)
@given(index=indices)
@settings(max_examples=300, deadline=None)
def test_any_index_gives_what_the_dense_tensor_gives(shown, index):
    for sequence in make(shown, np.array([7, 3, 100, 4])):
        if isinstance(sequence, LabelSequence) and isinstance(index, tuple) and len(index) > 2:
            continue
        wanted, chosen = try_index(sequence.dense(), index), try_index(sequence, index)
        assert (wanted is None) == (chosen is None)
        if wanted is not None and chosen is not None:
            assert torch.equal(chosen, wanted)
            assert chosen.dtype == wanted.dtype


@given(first=one_axis(TRIALS), second=st.slices(TRIALS), ids=st.none() | st.just(np.array([7, 3, 100, 4])))
@settings(deadline=None)
def test_chosen_trials_keep_their_numbers_and_their_noise_also_when_chosen_again(first, second, ids):
    sequence, _ = make("sensor", ids)
    once = sequence[first]
    if isinstance(once, torch.Tensor):
        return
    assert torch.equal(once.dense(), sequence.dense()[first])
    numbers = np.arange(TRIALS) if ids is None else ids
    assert once.sample_ids.tolist() == torch.from_numpy(numbers)[first].tolist()
    if second.step is None or second.step > 0:
        assert torch.equal(once[second].dense(), sequence.dense()[first][second])


def test_length_and_iteration_are_over_trials():
    stimulus, labels = make("noisy")
    assert len(stimulus) == stimulus.shape[0] == len(labels) == labels.shape[0] == TRIALS
    assert torch.equal(torch.stack(list(stimulus)), stimulus.dense())
    assert torch.equal(torch.stack(list(labels)), labels.dense())
    assert [tuple(trial.shape) for trial in stimulus] == [(STEPS, 3, 2, 3)] * TRIALS


def test_steps_are_built_one_by_one(monkeypatch):
    built: list[int] = []
    frame = StimulusSequence.frame

    def note(self: StimulusSequence, t: int) -> torch.Tensor:
        built.append(t)
        return frame(self, t)

    def build_all(self: StimulusSequence) -> torch.Tensor:
        raise AssertionError("the dense tensor was built")

    sequence, _ = make("sensor")
    wanted = sequence.dense()
    monkeypatch.setattr(StimulusSequence, "frame", note)
    monkeypatch.setattr(StimulusSequence, "dense", build_all)
    steps = sequence.steps()
    assert torch.equal(next(steps), wanted[:, 0])
    assert built == [0]
    assert torch.equal(sequence[:, 3], wanted[:, 3])
    assert torch.equal(sequence[1:, 2:4], wanted[1:, 2:4])
    assert torch.equal(sequence[:, [5, 1]], wanted[:, [5, 1]])
    assert built == [0, 3, 2, 3, 5, 1]
    assert len(list(steps)) == STEPS - 1


def test_one_trial_costs_the_noise_of_one_trial(monkeypatch):
    drawn: list[int] = []
    monkeypatch.setattr(
        "dynvision.data.loading.sequence.sensor_noise",
        lambda ids, step, shape, seed: drawn.append(len(ids)) or np.zeros((len(ids), *shape), dtype=np.float32),
    )
    make("sensor")[0][2]
    assert drawn == [1] * STEPS


@pytest.mark.parametrize("index", [slice(1, 3), [2, 0], torch.tensor([True, False, True, True])])
def test_chosen_trials_keep_the_layout_of_their_images(index):
    images = torch.randn(TRIALS, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    chosen = StimulusSequence(images, Presentation.constant(2))[index]
    assert chosen[:, 1].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("sequence", make("plain"), ids=["frames", "labels"])
@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int16, np.int8])
def test_whole_numbers_of_any_type_are_an_index(sequence, dtype):
    assert torch.equal(sequence.dense()[[2, 0]], sequence[np.array([2, 0], dtype=dtype)].dense())


@pytest.mark.parametrize("sequence", make("plain"), ids=["frames", "labels"])
@pytest.mark.parametrize("index", [np.s_[::-1], np.s_[:, ::-1], np.s_[0, ::-1], np.s_[0:3:0]])
def test_a_slice_that_runs_backwards_is_an_index_error(sequence, index):
    with pytest.raises(IndexError, match="step of a slice"):
        sequence[index]
