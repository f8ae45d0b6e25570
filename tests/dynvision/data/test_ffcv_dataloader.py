from __future__ import annotations

import importlib.util
import threading

import pytest
import torch

from dynvision.data.dataloader import get_data_loader
from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
from dynvision.data.images.normalization import normalize_pixels
from dynvision.data.loading.sequence import StimulusSequence
from dynvision.errors import DamagedFileError, DynvisionError, MissingError, UnknownNameError
from dynvision.stimuli.presentation import Presentation
from tests.helpers.files import flip_byte

NORMALIZE = ([0.5, 0.4, 0.3], [0.2, 0.25, 0.3])


def expected_images(betons, name="rgb", normalize=NORMALIZE):
    return normalize_pixels(torch.from_numpy(betons.pixels[name]).permute(0, 3, 1, 2).contiguous(), normalize)


@pytest.fixture(scope="module")
def loader(betons):
    """One compiled loader in file order, five images a batch; a test may set its presentation."""
    return get_ffcv_dataloader(betons.path("rgb"), 5, normalize=NORMALIZE, n_timesteps=1)


def test_images_and_labels_are_those_that_were_written(betons, loader):
    loader.presentation = Presentation.constant(1)
    batches = list(loader)
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert [len(x) for x, _ in batches] == [5, 5, 2]
    assert len(loader) == 3
    assert loader.batch_size == 5
    assert torch.equal(images[:, 0], expected_images(betons))
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64
    assert labels[:, 0].tolist() == betons.labels


def test_same_presentation_gives_the_same_tensors_as_the_torch_path(betons, loader):
    show = Presentation.interval(
        8, 2, 1, 1, stimulus_contrast=0.5, void_value=0.25, sensor_noise=1.0, noise_seed=3, non_label_index=-5
    )
    dataset = torch.utils.data.TensorDataset(expected_images(betons), torch.tensor(betons.labels))
    loader.presentation = show
    for (images, labels), (wanted, wanted_labels) in zip(
        loader, get_data_loader(dataset, batch_size=5, presentation=show), strict=True
    ):
        assert torch.equal(images, wanted)
        assert torch.equal(labels, wanted_labels)


def test_batches_share_no_memory_and_do_not_change_later(loader):
    loader.presentation = Presentation.constant(2)
    kept, copies = [], []
    for _ in range(2):
        for images, labels in loader:
            kept.append((images, labels))
            copies.append((images.clone(), labels.clone()))
    for (images, labels), (images_then, labels_then) in zip(kept, copies, strict=True):
        assert torch.equal(images, images_then)
        assert torch.equal(labels, labels_then)
    assert len({images.untyped_storage().data_ptr() for images, _ in kept}) == len(kept) == 6
    kept[0][0].fill_(99)
    assert all(torch.equal(images, then) for (images, _), (then, _) in zip(kept[1:], copies[1:], strict=True))


def test_images_themselves_are_copies_too(loader):
    kept = list(loader.iterate_images())
    assert len({images.untyped_storage().data_ptr() for images, _, _ in kept}) == 3
    assert [ids.tolist() for _, _, ids in kept] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    before = kept[1][0].clone()
    kept[0][0].zero_()
    assert torch.equal(kept[1][0], before)


def test_epoch_that_is_left_early_leaves_nothing_running(loader):
    loader.presentation = Presentation.constant(1)
    before = threading.active_count()
    for _ in range(5):
        for images, _ in loader:
            assert len(images) == 5
            break
    assert threading.active_count() == before
    assert sum(len(images) for images, _ in loader) == 12


def test_reading_leaves_torchs_threads_as_they_were(loader):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for _ in loader:
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_one_channel_group_labels_lazy_and_chosen_indices(betons):
    loader = get_ffcv_dataloader(
        betons.path("grey"), 4, normalize=([0.5], [0.2]), lazy=True, label_space="group", indices=[1, 7, 8], tsteps=3
    )
    ((sequence, labels),) = list(loader)
    assert isinstance(sequence, StimulusSequence)
    assert sequence.shape == (3, 3, 1, 12, 12)
    wanted = expected_images(betons, "grey", ([0.5], [0.2]))[[1, 7, 8]]
    assert torch.equal(sequence.images, wanted)
    assert labels[:, 0].tolist() == [0, 1, 1]
    assert sequence.sample_ids.tolist() == [1, 7, 8]


def test_photographs_stored_as_jpeg_are_close_to_their_source(betons):
    loader = get_ffcv_dataloader(betons.path("photo"), 12, resolution=96)
    images, _ = next(iter(loader))
    difference = (images[:, 0] - expected_images(betons, "photo", None)).abs().mean()
    assert float(difference) < 0.02


def test_random_order_follows_its_seed_and_keeps_labels_and_images_together(betons):
    def read(seed: int) -> list[int]:
        order = []
        for images, labels, ids in get_ffcv_dataloader(
            betons.path("rgb"), 5, order="random", seed=seed, normalize=NORMALIZE, drop_last=True
        ).iterate_images():
            assert torch.equal(images, expected_images(betons)[ids])
            assert labels.tolist() == [betons.labels[i] for i in ids]
            order += ids.tolist()
        return order

    first = read(1)
    assert len(first) == 10
    assert first != sorted(first)
    assert read(1) == first
    assert read(2) != first


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"order": "radnom"}, r"unknown order 'radnom'\. Did you mean 'random'\?"),
        ({"label_space": "groups"}, r"unknown label_space 'groups'\. Did you mean 'group'\?"),
        (
            {"dataloader": "StimulusDuratoin"},
            r"unknown data_loader 'StimulusDuratoin'\. Did you mean 'StimulusDuration'",
        ),
    ],
)
def test_unknown_choice_names_the_nearest(betons, settings, message):
    with pytest.raises(UnknownNameError, match=message):
        get_ffcv_dataloader(betons.path("rgb"), 5, **settings)


def test_unknown_keyword_names_the_nearest(betons):
    with pytest.raises(TypeError, match=r"StimulusDuration has no setting 'stmi'\. Did you mean 'stim'\?"):
        get_ffcv_dataloader(betons.path("rgb"), 5, dataloader="StimulusDuration", tsteps=5, stmi=2)


def test_unknown_keyword_names_the_nearest_of_the_loaders_own(betons):
    with pytest.raises(TypeError, match=r"has no setting 'num_worker'.*Did you mean 'num_workers'\?"):
        get_ffcv_dataloader(betons.path("rgb"), 5, num_worker=2)


def test_other_resolution_than_the_files_is_an_error(betons):
    with pytest.raises(ValueError, match=r"holds images of 16 pixels, not 32\. Change data_resolution and rebuild it"):
        get_ffcv_dataloader(betons.path("rgb"), 5, resolution=32)


def test_batch_of_no_images_is_an_error(betons):
    with pytest.raises(ValueError, match="batch_size must be a whole number from 1, not 0"):
        get_ffcv_dataloader(betons.path("rgb"), 0)


@pytest.mark.parametrize("indices", [[12], [-1]])
def test_index_outside_the_file_is_an_error(betons, indices):
    with pytest.raises(ValueError, match="indices"):
        get_ffcv_dataloader(betons.path("rgb"), 5, indices=indices)


def test_damaged_file_is_not_opened(beton_copy):
    flip_byte(beton_copy, 5000)
    with pytest.raises(DamagedFileError, match=r"rgb\.beton is damaged"):
        get_ffcv_dataloader(beton_copy, 5)


def test_missing_file_names_the_command(tmp_path):
    with pytest.raises(MissingError, match=r"does not exist\. Make it: dynvision make "):
        get_ffcv_dataloader(tmp_path / "train.beton", 5)


def test_missing_ffcv_says_both_ways_out(betons, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ffcv" else find(name, *rest))
    with pytest.raises(DynvisionError, match=r"FFCV is not installed.*use_ffcv: false.*pip install ffcv"):
        get_ffcv_dataloader(betons.path("rgb"), 5)


def test_batch_larger_than_the_images_takes_memory_for_the_images_alone(betons):
    loader = get_ffcv_dataloader(betons.path("rgb"), 100_000_000)
    assert (loader.batch_size, len(loader)) == (12, 1)
    assert len(get_ffcv_dataloader(betons.path("rgb"), 100_000_000, drop_last=True)) == 0
