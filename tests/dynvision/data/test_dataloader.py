from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import TensorDataset

from dynvision.data import dataloader
from dynvision.data.dataloader import (
    StandardDataLoader,
    StimulusDurationDataLoader,
    get_data_loader,
    get_train_val_loaders,
)
from dynvision.data.loading.label_sequence import LabelSequence
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.errors import UnknownNameError
from dynvision.stimuli.presentation import PRESENTATIONS, Presentation


class Images(torch.utils.data.Dataset):
    """Seven images whose every pixel is their number, labelled 10, 11 …"""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((3, 4, 4), float(index)), 10 + index


class Pictures(torch.utils.data.Dataset):
    """Three PIL images."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.new("RGB", (4, 4), (51 * index, 0, 255)), index


@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_batches_are_the_images_in_time(batch_size, stim, intro, rest):
    total = intro + stim + rest
    loader = get_data_loader(Images(), "StimulusDuration", batch_size=batch_size, tsteps=total, stim=stim, intro=intro)
    batches = list(loader)
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert [len(x) for x, _ in batches] == [min(batch_size, 7 - start) for start in range(0, 7, batch_size)]
    assert images.shape == (7, total, 3, 4, 4)
    assert labels.shape == (7, total)
    assert labels.dtype == torch.int64
    shown = torch.zeros(total, dtype=torch.bool)
    shown[intro : intro + stim] = True
    number = torch.arange(7)
    assert torch.equal(images[:, :, 0, 0, 0], torch.where(shown, number[:, None], 0).float())
    assert torch.equal(labels, torch.where(shown, 10 + number[:, None], -1))


def test_lazy_batches_are_sequences_of_the_same_frames():
    settings = {"batch_size": 3, "tsteps": 5, "stim": 2, "intro": 1, "contrast": 0.5}
    dense = list(get_data_loader(Images(), "StimulusContrast", **settings))
    lazy = list(get_data_loader(Images(), "StimulusContrast", lazy=True, **settings))
    for (images, labels), (sequence, same_labels) in zip(dense, lazy, strict=True):
        assert isinstance(sequence, StimulusSequence)
        assert torch.equal(sequence.dense(), images)
        assert isinstance(same_labels, LabelSequence)
        assert torch.equal(same_labels.dense(), labels)


@pytest.mark.parametrize("lazy", [False, True])
def test_batches_share_no_memory_and_do_not_change_later(lazy):
    loader = get_data_loader(Images(), batch_size=2, n_timesteps=3, lazy=lazy)
    kept, copies = [], []
    for images, labels in loader:
        pair = (images.images, labels.labels) if lazy else (images, labels)
        kept.append(pair)
        copies.append(tuple(tensor.clone() for tensor in pair))
    for (images, labels), (images_then, labels_then) in zip(kept, copies, strict=True):
        assert torch.equal(images, images_then)
        assert torch.equal(labels, labels_then)
    assert len({images.untyped_storage().data_ptr() for images, _ in kept}) == len(kept)
    kept[0][0].fill_(99)
    assert torch.equal(kept[1][0], copies[1][0])


def test_writing_into_a_batch_leaves_the_dataset_as_it_was():
    pixels = torch.rand(4, 3, 4, 4)
    before = pixels.clone()
    for images, _ in get_data_loader(TensorDataset(pixels, torch.arange(4)), batch_size=1, n_timesteps=2):
        images.zero_()
    assert torch.equal(pixels, before)


def test_steps_of_a_dense_batch_are_contiguous_and_its_frames_can_be_reshaped():
    images, _ = next(iter(get_data_loader(Images(), "StimulusDuration", batch_size=4, tsteps=5, stim=2, intro=1)))
    assert all(images[:, t].is_contiguous() for t in range(5))
    frames = torch.stack([images[b, t] for b in range(4) for t in range(5)])
    assert torch.equal(images.reshape(4 * 5, 3, 4, 4), frames)
    assert torch.equal(images.flatten(0, 1), frames)


def test_pictures_become_float_tensors_in_0_to_1():
    images, labels = next(iter(get_data_loader(Pictures(), batch_size=3)))
    assert images.dtype == torch.float32
    torch.testing.assert_close(images[:, 0, :, 0, 0], torch.tensor([[0, 0, 1], [0.2, 0, 1], [0.4, 0, 1]]))
    assert labels[:, 0].tolist() == [0, 1, 2]


def test_images_have_the_type_asked_for():
    images, _ = next(iter(get_data_loader(Images(), batch_size=2, dtype=torch.float16)))
    assert images.dtype == torch.float16


def test_shuffling_keeps_images_and_labels_together_and_follows_its_generator():
    def read(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        loader = get_data_loader(Images(), batch_size=2, shuffle=True, generator=generator)
        images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
        assert torch.equal(images[:, 0, 0, 0, 0].long() + 10, labels[:, 0])
        return labels[:, 0].tolist()

    assert sorted(read(0)) == list(range(10, 17))
    assert read(0) == read(0)
    assert len({tuple(read(seed)) for seed in range(4)}) > 1


@pytest.mark.parametrize("workers", [0, 2])
def test_noise_of_a_sample_depends_on_neither_batch_size_nor_workers(workers):
    show = Presentation.constant(2, sensor_noise=1.0, noise_seed=5)
    wanted = torch.cat([x for x, _ in get_data_loader(Images(), batch_size=7, presentation=show)])
    got = torch.cat([x for x, _ in get_data_loader(Images(), batch_size=3, presentation=show, num_workers=workers)])
    assert torch.equal(got, wanted)


def test_unknown_keyword_names_the_nearest_of_torchs():
    with pytest.raises(TypeError, match=r"has no setting 'batch_sise'.*Did you mean 'batch_size'\?"):
        get_data_loader(Images(), batch_sise=4)


def test_unknown_keyword_names_the_nearest_of_the_presentation():
    with pytest.raises(TypeError, match=r"StimulusDuration has no setting 'stimm'\. Did you mean 'stim'\?"):
        get_data_loader(Images(), "StimulusDuration", tsteps=4, stimm=2)


def test_unknown_loader_names_the_nearest():
    with pytest.raises(
        UnknownNameError, match=r"unknown dataloader 'StimulusIntervall'\. Did you mean 'StimulusInterval'"
    ):
        get_data_loader(Images(), "StimulusIntervall")


def test_presentation_and_settings_together_are_an_error():
    with pytest.raises(TypeError, match=r"give either presentation= or its settings, not both \(n_timesteps\)"):
        get_data_loader(Images(), presentation=Presentation.constant(3), n_timesteps=4)


def test_empty_dataset_is_an_error():
    with pytest.raises(ValueError, match="the dataset is empty: there is nothing to show"):
        get_data_loader(TensorDataset(torch.zeros(0, 3, 4, 4)))


def test_loader_may_be_given_as_class_or_name():
    settings = {"batch_size": 7, "tsteps": 4, "stim": 2}
    loaders = [
        get_data_loader(Images(), StimulusDurationDataLoader, **settings),
        get_data_loader(Images(), "StimulusDurationDataLoader", **settings),
        StimulusDurationDataLoader(Images(), **settings),
    ]
    first, *others = [next(iter(loader))[0] for loader in loaders]
    assert all(torch.equal(first, other) for other in others)
    assert isinstance(loaders[0], StandardDataLoader)


def test_program_is_given_as_a_list_of_segments():
    program = [{"void": 1}, {"image": 2, "contrast": 0.5}, {"void": 1}]
    images, _ = next(iter(get_data_loader(Images(), "StimulusProgram", batch_size=7, program=program)))
    np.testing.assert_array_equal(images[4, :, 0, 0, 0], [0, 2, 2, 0])


class Labelled(torch.utils.data.Dataset):
    """Twelve textures of two classes, the label with its number in the hundreds."""

    targets = (0, 1) * 6

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.rand(3, 6, 6, generator=torch.Generator().manual_seed(index)), 100 * index + self.targets[index]


def test_train_and_validation_loaders_share_no_image_and_keep_the_classes_shares():
    def labels(loader) -> list[int]:
        return [int(label) for _, batch in loader for label in batch[:, 0]]

    train, val = get_train_val_loaders(Labelled(), 0.75, seed=1, batch_size=4, n_timesteps=2)
    again, same = get_train_val_loaders(Labelled(), 0.75, seed=1, batch_size=4, n_timesteps=2)
    chosen = [set(loader.dataset.indices) for loader in (train, val)]
    assert not chosen[0] & chosen[1]
    assert chosen[0] | chosen[1] == set(range(len(Labelled())))
    assert sorted(Labelled.targets[i] for i in chosen[1]) == [0, 0, 1, 1]
    assert labels(train) == labels(again)
    assert labels(val) == labels(same) == labels(val)
    other, _ = get_train_val_loaders(Labelled(), 0.75, seed=2, batch_size=4, n_timesteps=2)
    assert set(other.dataset.indices) != chosen[0]


@pytest.mark.slow
def test_noise_loader_gives_a_sample_the_same_noise_in_any_order():
    def by_label(**settings) -> dict[int, torch.Tensor]:
        loader = get_data_loader(Labelled(), "StimulusNoise", tsteps=3, stim=2, ssnr=0.3, **settings)
        return {int(label[0]): image for images, labels in loader for image, label in zip(images, labels, strict=True)}

    ordered = by_label(batch_size=5)
    shuffled = by_label(batch_size=3, shuffle=True, num_workers=2)
    assert ordered.keys() == shuffled.keys()
    assert all(torch.equal(ordered[label], shuffled[label]) for label in ordered)
    assert all((ordered[100 * i + t][0] != Labelled()[i][0]).any() for i, t in enumerate(Labelled.targets))


def flicker(n_timesteps: int, half_period: int, **settings) -> Presentation:
    """The image and void in turn; a presentation that the project does not have."""
    program = [{"image": half_period}, {"void": half_period}] * (n_timesteps // (2 * half_period))
    return Presentation.from_program(program, n_timesteps, **settings)


def test_new_loader_is_a_constructor_and_a_line_of_the_table(monkeypatch):
    monkeypatch.setitem(PRESENTATIONS, "StimulusFlicker", flicker)
    dataset = TensorDataset(torch.ones(4, 1, 2, 2), torch.arange(4))
    loader = get_data_loader(dataset, "StimulusFlicker", tsteps=6, half_period=1, batch_size=4)
    ((stimulus, labels),) = loader
    assert stimulus[:, :, 0, 0, 0].tolist() == [[1, 0, 1, 0, 1, 0]] * 4
    assert labels[3].tolist() == [3, -1, 3, -1, 3, -1]
    assert type(loader) is dataloader.StimulusFlickerDataLoader
    assert pickle.loads(pickle.dumps(type(loader))) is type(loader)
    with pytest.raises(TypeError, match=r"StimulusFlicker has no setting 'half_perod'. Did you mean 'half_period'?"):
        get_data_loader(dataset, "StimulusFlicker", tsteps=6, half_perod=1)


def test_loader_that_does_not_exist_cannot_be_imported():
    with pytest.raises(ImportError):
        from dynvision.data.dataloader import StimulusFlickrDataLoader  # noqa: F401
