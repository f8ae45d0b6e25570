"""Every loader, on both paths, shows what ten lines of NumPy say, to the bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import TensorDataset
from torchvision.transforms import v2

from dynvision.data.dataloader import get_data_loader
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.data.loading.label_sequence import LabelSequence
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.stimuli.names import make_presentation
from dynvision.stimuli.presentation import Presentation

FLOATS = [torch.float32, torch.float16, torch.bfloat16]
NORMALIZE = ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761])
IMAGES = torch.randn(7, 3, 3, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([4, 0, 9, 2, 2, 7, 99])


@dataclass
class Trial:
    """A loader with its settings, and what each step is to show: a contrast, or `None` for void."""

    loader: str
    settings: dict[str, Any]
    timeline: list[float | None]
    void: float = 0.0
    void_label: int = -1
    grey: float = 0.0
    n_timesteps: int = field(init=False)

    def __post_init__(self) -> None:
        self.n_timesteps = len(self.timeline)
        self.settings |= {"voidinput": self.void, "voidid": self.void_label, "contrast_reference": self.grey}


def show_slowly(images: np.ndarray, labels: np.ndarray, trial: Trial) -> tuple[np.ndarray, np.ndarray]:
    """The oracle: images `[B, C, H, W]`, float32, over time."""
    stimulus = np.full((len(images), trial.n_timesteps, *images.shape[1:]), trial.void, dtype=np.float32)
    over_time = np.full((len(images), trial.n_timesteps), trial.void_label, dtype=np.int64)
    grey = np.float32(trial.grey)
    for t, contrast in enumerate(trial.timeline):
        if contrast is not None:
            c = np.float32(contrast)
            faded = images * c if grey == 0 else grey + c * (images - grey)
            stimulus[:, t] = images if contrast == 1 else faded
            over_time[:, t] = labels
    return stimulus, over_time


def assert_shown(batches: list[Any], images: torch.Tensor, labels: torch.Tensor, trial: Trial, size: int) -> None:
    """Every batch is as the oracle says: values to the bit, types, sizes, and the last one partial."""
    assert [len(y.labels if isinstance(y, LabelSequence) else y) for _, y in batches] == [
        min(size, len(images) - start) for start in range(0, len(images), size)
    ]
    wanted, wanted_labels = show_slowly(images.float().numpy(), labels.numpy(), trial)
    stimulus = torch.cat([x.dense() if isinstance(x, StimulusSequence) else x for x, _ in batches])
    over_time = torch.cat([y.dense() if isinstance(y, LabelSequence) else y for _, y in batches])
    assert stimulus.dtype == images.dtype
    assert torch.equal(stimulus, torch.from_numpy(wanted).to(images.dtype))
    assert over_time.dtype == torch.int64
    assert torch.equal(over_time, torch.from_numpy(wanted_labels))


steps, some_steps = st.integers(0, 4), st.integers(1, 4)
contrasts = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))


@st.composite
def trials(draw: Any, whole: bool = False) -> Trial:
    """Any valid trial; `whole` ones suit whole-number images."""
    stim, intro, gap, rest, times = draw(some_steps), draw(steps), draw(steps), draw(steps), draw(st.integers(1, 3))
    contrast = 1.0 if whole else draw(contrasts)
    image: list[float | None] = [contrast] * stim
    before: list[float | None] = [None] * intro
    after: list[float | None] = [None] * rest
    once = {"stim": stim, "intro": intro, "contrast": contrast}
    loader = draw(st.sampled_from(["Standard", "Duration", "Contrast", "Interval", "Repetition", "Program"]))
    chosen: dict[str, Any]
    if loader == "Standard":
        chosen, timeline = {"contrast": contrast}, [contrast] * (stim + rest)
    elif loader in ("Duration", "Contrast"):
        chosen, timeline = once, before + image + after
    elif loader in ("Interval", "Repetition"):
        times = 2 if loader == "Interval" else times
        chosen, timeline = {**once, "interval": gap}, before + image + ([None] * gap + image) * (times - 1) + after
        if loader == "Repetition":
            chosen["repetitions"] = times
    else:
        end = 1.0 if whole else draw(contrasts)
        ramp = np.linspace(contrast, end, stim).tolist()
        inner = [{"image": stim, "contrast": contrast, "contrast_to": end}, {"void": gap}]
        chosen = {"program": [{"void": intro}, {"repeat": times, "program": inner}]}
        timeline = before + (ramp + [None] * gap) * times + after
    chosen["n_timesteps"] = len(timeline)
    void = draw(st.integers(0, 255)) if whole else draw(st.one_of(st.just(0.0), st.floats(-8, 8, width=32)))
    grey = 0.0 if whole else draw(st.sampled_from([0.0, 0.5, -0.3]))
    name = loader if loader == "Standard" else f"Stimulus{loader}"
    return Trial(name, chosen, timeline, float(void), draw(st.sampled_from([-1, -5, 1000])), grey)


@pytest.mark.slow
@given(trials(), st.sampled_from([None, *FLOATS]), st.integers(1, 8))
@settings(max_examples=300)
def test_every_loader_shows_what_the_oracle_says_dense_and_lazy(trial, dtype, size):
    for lazy in (False, True):
        loader = get_data_loader(
            TensorDataset(IMAGES, LABELS), trial.loader, batch_size=size, dtype=dtype, lazy=lazy, **trial.settings
        )
        batches = list(loader)
        kinds = (StimulusSequence, LabelSequence) if lazy else (torch.Tensor, torch.Tensor)
        assert all(isinstance(x, kinds[0]) and isinstance(y, kinds[1]) for x, y in batches)
        assert_shown(batches, IMAGES.to(dtype or torch.float32), LABELS, trial, size)


LARGE = torch.randn(5, 3, 160, 170, generator=torch.Generator().manual_seed(1))


@pytest.mark.slow
@given(trials(), st.sampled_from(FLOATS), st.sampled_from([torch.contiguous_format, torch.channels_last]))
@settings(max_examples=25)
def test_large_batches_are_what_the_oracle_says_also_in_memory_that_was_used_before(trial, dtype, layout):
    dataset = TensorDataset(LARGE, LABELS[:5])
    loader = get_data_loader(dataset, trial.loader, batch_size=4, dtype=dtype, memory_format=layout, **trial.settings)
    for _ in range(2):
        batches = list(loader)
        assert_shown(batches, LARGE.to(dtype), LABELS[:5], trial, 4)
        for stimulus, _ in batches:
            stimulus.fill_(99)
        del batches, stimulus


@given(trials(whole=True), st.integers(1, 8))
@settings(max_examples=25)
def test_whole_number_images_are_shown_as_they_are(trial, size):
    images = torch.arange(7 * 3 * 15).view(7, 3, 3, 5).to(torch.uint8)
    for lazy in (False, True):
        data = TensorDataset(images, LABELS)
        loader = get_data_loader(data, trial.loader, batch_size=size, lazy=lazy, **trial.settings)
        assert_shown(list(loader), images, LABELS, trial, size)


FIXED = [
    Trial("Standard", {"tsteps": 3, "contrast": 0.3}, [0.3] * 3, grey=0.5),
    Trial("StimulusDuration", {"tsteps": 5, "stim": 2, "intro": 1}, [None, 1.0, 1.0, None, None], 0.25, -5),
    Trial(
        "StimulusProgram",
        {"program": [{"image": 3, "contrast_to": 0.5}, {"repeat": 2, "program": [{"void": 1}, {"image": 1}]}]},
        [1.0, 0.75, 0.5, None, 1.0, None, 1.0],
        void=-1.5,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("trial", "dtype"), list(zip(FIXED, FLOATS, strict=True)))
def test_worker_processes_change_nothing(trial, dtype, lazy):
    loader = get_data_loader(
        TensorDataset(IMAGES, LABELS),
        trial.loader,
        batch_size=3,
        dtype=dtype,
        lazy=lazy,
        num_workers=2,
        **trial.settings,
    )
    assert_shown(list(loader), IMAGES.to(dtype), LABELS, trial, 3)


@pytest.fixture(scope="module", params=[*FLOATS, torch.uint8], ids=str)
def opened(request, betons) -> Any:
    """One compiled FFCV loader of each type, five images a batch, and the images that it must show."""
    pixels = torch.from_numpy(betons.pixels["rgb"]).permute(0, 3, 1, 2)
    dtype, normalize = request.param, None if request.param == torch.uint8 else NORMALIZE
    wanted = pixels.contiguous()
    if normalize:
        convert = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*normalize)])
        wanted = torch.stack([convert(image) for image in betons.pixels["rgb"]]).to(dtype)
    return get_ffcv_dataloader(betons.path("rgb"), 5, normalize=normalize, dtype=dtype), wanted


@given(st.data())
@settings(max_examples=20)
def test_every_presentation_of_a_beton_file_is_what_the_oracle_says(betons, opened, data):
    loader, images = opened
    trial = data.draw(trials(whole=images.dtype == torch.uint8))
    loader.presentation = make_presentation(trial.loader, **trial.settings)
    for lazy in (False, True):
        loader.lazy = lazy
        assert_shown(list(loader), images, torch.tensor(betons.labels), trial, 5)


NOISY = [
    {"image": 2, "noise": {"kind": "gaussian", "ssnr": 0.4, "temporal": "dynamic", "seed": 3}},
    {"void": 1},
    {"image": 2, "contrast": 0.5, "noise": {"kind": "salt_and_pepper", "ssnr": 0.7}},
]


@pytest.mark.parametrize("lazy", [False, True])
def test_noise_is_the_same_to_the_bit_on_both_paths(betons, opened, lazy):
    loader, images = opened
    show = Presentation.from_program(NOISY, sensor_noise=0.5, noise_seed=8, void_value=0.25)
    dataset = TensorDataset(images, torch.tensor(betons.labels))
    loader.presentation, loader.lazy = show, lazy
    beside = get_data_loader(dataset, batch_size=5, presentation=show, lazy=lazy)
    if images.dtype == torch.uint8:
        for path in (loader, beside):
            with pytest.raises(ValueError, match=r"images of type torch\.uint8 cannot hold fractions of contrast"):
                next(iter(path))
        return
    for (one, labels), (other, same) in zip(loader, beside, strict=True):
        stimulus, wanted, labels, same = (x.dense() if lazy else x for x in (one, other, labels, same))
        assert torch.equal(stimulus, wanted)
        assert torch.equal(labels, same)
        assert not torch.equal(stimulus[:, 0], stimulus[:, 1])
        assert (stimulus[:, 2] != 0.25).any()
