"""The loaders are torch's own `DataLoader` in everything but the time axis."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
)

from dynvision.data.dataloader import StandardDataLoader, StimulusDurationDataLoader, get_data_loader
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.stimuli.presentation import Presentation

IMAGES = torch.randn(11, 3, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(11) * 3
SHOW = Presentation.duration(4, 2, 1)
WORKERS = [0, 2]


class Slow(Dataset):
    """The images one by one, with labels as plain numbers."""

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return IMAGES[index], int(LABELS[index])


class Many(Slow):
    """Reads a whole batch at once, and nothing else."""

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("a batch is read at once")

    def __getitems__(self, indices: list[int]) -> list[tuple[torch.Tensor, int]]:
        return [(IMAGES[i], int(LABELS[i])) for i in indices]


class OneByOne(TensorDataset):
    """A dataset of tensors that the loader must not take a short cut with."""

    def __getitem__(self, index: int) -> Any:
        image, label = super().__getitem__(index)
        return image + 1, label


def read_order(loader: Any) -> list[int]:
    """Which images a loader shows in which order, each checked against its label."""
    order = []
    for images, labels in loader:
        numbers = (labels[:, 1] // 3).tolist()
        assert torch.equal(images[:, 1], IMAGES[numbers])
        assert (images[:, [0, 3]] == 0).all()
        assert (labels[:, [0, 3]] == -1).all()
        order += numbers
    return order


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize(
    ("dataset", "order"),
    [
        (TensorDataset(IMAGES, LABELS), range(11)),
        (Slow(), range(11)),
        (Many(), range(11)),
        (Subset(Slow(), [4, 1, 9]), [4, 1, 9]),
        (Subset(Subset(TensorDataset(IMAGES, LABELS), [8, 4, 1]), [2, 0]), [1, 8]),
    ],
    ids=["tensors", "items", "batches", "subset", "subset of a subset"],
)
def test_dataset_of_any_kind_is_shown_in_its_order(dataset, order, workers):
    loader = get_data_loader(dataset, batch_size=4, presentation=SHOW, num_workers=workers)
    assert isinstance(loader, DataLoader)
    assert loader.dataset is dataset
    assert len(loader) == -(-len(dataset) // 4)
    assert read_order(loader) == list(order)
    assert loader.dataset is dataset


def test_dataset_that_only_derives_from_tensors_is_asked_for_each_item():
    (images, _), *_ = get_data_loader(OneByOne(IMAGES, LABELS), batch_size=4)
    assert torch.equal(images[:, 0], IMAGES[:4] + 1)


@pytest.mark.parametrize("workers", WORKERS)
def test_shuffled_order_is_that_of_torchs_loader_with_the_same_generator(workers):
    settings = {"batch_size": 3, "shuffle": True, "num_workers": workers}
    data = TensorDataset(IMAGES, LABELS)
    plain = DataLoader(data, generator=torch.Generator().manual_seed(5), **settings)
    loader = get_data_loader(data, presentation=SHOW, generator=torch.Generator().manual_seed(5), **settings)
    for _ in range(2):
        wanted = torch.cat([labels for _, labels in plain])
        order = read_order(loader)
        assert order == (wanted // 3).tolist()
        assert order != sorted(order)


@pytest.mark.parametrize(
    ("settings", "order", "length"),
    [
        ({"batch_size": 2, "sampler": [7, 0, 7]}, [7, 0, 7], 2),
        ({"batch_size": 2, "sampler": SequentialSampler(range(5))}, list(range(5)), 3),
        ({"batch_sampler": [[0, 5], [9], [3, 2, 1]]}, [0, 5, 9, 3, 2, 1], 3),
        ({"batch_sampler": BatchSampler(SequentialSampler(range(7)), 3, drop_last=True)}, list(range(6)), 2),
        ({"batch_size": 4, "drop_last": True}, list(range(8)), 2),
        ({"batch_size": 100}, list(range(11)), 1),
        ({}, list(range(11)), 11),
    ],
)
@pytest.mark.parametrize("dataset", [Slow(), TensorDataset(IMAGES, LABELS)], ids=["items", "tensors"])
def test_samplers_and_batches_are_those_asked_for(dataset, settings, order, length):
    loader = get_data_loader(dataset, presentation=SHOW, **settings)
    assert len(loader) == len(list(loader)) == length
    assert read_order(loader) == order


@pytest.mark.parametrize("kind", [SubsetRandomSampler, RandomSampler])
def test_random_samplers_show_each_image_once(kind):
    chosen = [2, 3, 5, 8] if kind is SubsetRandomSampler else Slow()
    sampler = kind(chosen, generator=torch.Generator().manual_seed(3))
    order = read_order(get_data_loader(Slow(), batch_size=3, sampler=sampler, presentation=SHOW))
    assert sorted(order) == ([2, 3, 5, 8] if kind is SubsetRandomSampler else list(range(11)))


@pytest.mark.slow
def test_workers_that_stay_show_the_same_in_every_epoch_also_after_one_that_was_left():
    loader = get_data_loader(Slow(), batch_size=2, presentation=SHOW, num_workers=2, persistent_workers=True)
    assert read_order(loader) == list(range(11))
    for images, _ in loader:
        assert torch.equal(images[:, 1], IMAGES[:2])
        break
    assert read_order(loader) == list(range(11))
    assert loader.dataset.__class__ is Slow


def worker_numbers(loader: Any) -> set[int]:
    """The processes that read an epoch."""
    return {int(number) for _, labels in loader for number in labels[:, 0]}


class Workers(Slow):
    """Images whose label is the process that read them."""

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return IMAGES[index], os.getpid()


@pytest.mark.slow
@pytest.mark.parametrize("persistent", [False, True])
def test_workers_persist_if_that_is_asked_for(persistent):
    loader = get_data_loader(Workers(), batch_size=2, num_workers=2, persistent_workers=persistent)
    first, second = worker_numbers(loader), worker_numbers(loader)
    assert (first == second) == persistent
    assert os.getpid() not in first | second


def test_dataset_stays_the_users_own_while_it_is_read():
    data = Slow()
    loader = get_data_loader(data, batch_size=2, presentation=SHOW)
    batches = iter(loader)
    next(batches)
    assert loader.dataset is data
    assert vars(loader)["dataset"] is data


@pytest.mark.slow
def test_workers_may_be_given_up_between_epochs():
    loader = get_data_loader(Slow(), batch_size=2, presentation=SHOW, num_workers=2)
    assert read_order(loader) == list(range(11))
    loader.num_workers = 0
    assert read_order(loader) == list(range(11))


def stack_mirrored(items: list[tuple[torch.Tensor, Any]]) -> tuple[torch.Tensor, list[int]]:
    assert all(isinstance(item, tuple) for item in items)
    return torch.stack([image.flip(2) for image, _ in items]), [int(label) for _, label in items]


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("dataset", [Slow(), Many(), TensorDataset(IMAGES, LABELS)], ids=["items", "many", "tensors"])
def test_users_own_collation_makes_the_batches(dataset, workers):
    loader = get_data_loader(dataset, batch_size=4, collate_fn=stack_mirrored, num_workers=workers, dtype=torch.float16)
    images, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert torch.equal(images[:, 0], IMAGES.flip(3).half())
    assert torch.equal(labels[:, 0], LABELS)


def as_items(make_image: Any, make_label: Any) -> list[Any]:
    return [(make_image(i), make_label(i)) for i in range(3)]


@pytest.mark.parametrize(
    "make_label",
    [int, float, np.int32, np.float64, torch.tensor, lambda i: torch.tensor(i, dtype=torch.uint8), lambda i: i == 1],
    ids=["int", "float", "int32", "float64", "tensor", "uint8", "bool"],
)
def test_labels_of_any_whole_type_become_int64(make_label):
    ((_, labels),) = get_data_loader(as_items(lambda i: IMAGES[i], make_label), batch_size=3, n_timesteps=2)
    assert labels.dtype == torch.int64
    assert labels[:, 1].tolist() == [int(make_label(i)) for i in range(3)]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pictures_and_arrays_are_images_too(mode):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 4, 5, 3) if mode == "RGB" else (3, 4, 5), dtype=np.uint8)
    ((shown, _),) = get_data_loader(as_items(lambda i: Image.fromarray(pixels[i]), int), batch_size=3)
    planes = pixels.reshape(3, 4, 5, -1).transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    np.testing.assert_allclose(shown[:, 0].numpy(), planes, rtol=1e-6)
    ((arrays, _),) = get_data_loader(as_items(lambda i: planes[i], int), batch_size=3)
    np.testing.assert_array_equal(arrays[:, 0].numpy(), planes)


@pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("workers", WORKERS)
def test_pinned_memory_is_used_where_there_is_an_accelerator_and_changes_no_number(lazy, workers):
    loader = get_data_loader(Slow(), batch_size=4, presentation=SHOW, pin_memory=True, lazy=lazy, num_workers=workers)
    shown = [(x.dense() if lazy else x, y.dense() if lazy else y) for x, y in loader]
    assert read_order(shown) == list(range(11))
    stimulus, labels = next(iter(loader))
    for tensor in (stimulus.images, labels.labels) if lazy else (stimulus, labels):
        assert tensor.is_pinned() == torch.accelerator.is_available()


@pytest.mark.slow
def test_torchs_other_arguments_are_kept():
    seen = []
    loader = StimulusDurationDataLoader(
        Slow(), batch_size=4, n_timesteps=4, stimulus_duration=2, num_workers=2, prefetch_factor=3, timeout=60
    )
    assert (loader.prefetch_factor, loader.timeout, loader.num_workers, loader.batch_size) == (3, 60, 2, 4)
    seen += [len(x) for x, _ in loader]
    assert seen == [4, 4, 3]


def test_images_alone_come_with_the_numbers_of_their_samples_in_the_whole_dataset():
    loader = get_data_loader(Subset(Slow(), [5, 2]), batch_size=1, sampler=[1, 0], presentation=SHOW)
    read = list(loader.iterate_images())
    assert [ids.tolist() for _, _, ids in read] == [[2], [5]]
    assert torch.equal(torch.cat([images for images, _, _ in read]), IMAGES[[2, 5]])


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    "show",
    [SHOW, Presentation.contrast(3, 2, 1, 0.5), Presentation.noise(3, 2), Presentation.constant(2, sensor_noise=1.0)],
    ids=["duration", "contrast", "noise", "sensor noise"],
)
def test_every_frame_is_channels_last_where_that_is_asked_for(show, lazy):
    settings = {"batch_size": 4, "presentation": show, "lazy": lazy}
    loader = get_data_loader(Slow(), memory_format=torch.channels_last, **settings)
    for (stimulus, _), (wanted, _) in zip(loader, get_data_loader(Slow(), **settings), strict=True):
        for t in range(show.n_timesteps):
            assert torch.equal(stimulus[:, t], wanted[:, t])
            assert stimulus[:, t].is_contiguous(memory_format=torch.channels_last)


def test_memory_of_a_lazy_epoch_does_not_grow_with_the_number_of_steps():
    def most_bytes(n_timesteps: int) -> int:
        loader = get_data_loader(
            TensorDataset(IMAGES, LABELS), "StimulusDuration", batch_size=4, tsteps=n_timesteps, stim=5, lazy=True
        )
        return max(sequence.nbytes + labels.nbytes for sequence, labels in loader)

    assert most_bytes(10) == most_bytes(1000) == 4 * (IMAGES[0].nbytes + 8)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_process_does_not_grow_with_the_number_of_steps_of_a_lazy_epoch():
    import tracemalloc

    def grown(n_timesteps: int) -> tuple[int, int]:
        images = torch.randn(64, 3, 32, 32)
        loader = StandardDataLoader(
            TensorDataset(images, torch.arange(64)), batch_size=16, n_timesteps=n_timesteps, lazy=True
        )
        loader.presentation.runs, loader.presentation.noises  # noqa: B018
        held: list[Any] = []
        tracemalloc.start()
        for sequence, labels in loader:
            assert isinstance(sequence, StimulusSequence)
            held.append((sequence[:, n_timesteps - 1].sum(), labels[:, 0]))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak, len(held)

    grown(10)
    (short, batches), (long, same) = grown(10), grown(1000)
    assert batches == same == 4
    assert long < short + 64_000
