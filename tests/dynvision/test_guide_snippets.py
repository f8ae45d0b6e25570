"""The data processing guide's snippets, as written; the data set comes from a loopback server."""

from __future__ import annotations

import hashlib
import importlib
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset
from torchvision.datasets import CIFAR100

from dynvision.data.betons.spec import BetonFile
from dynvision.data.betons.writing import write_betons
from dynvision.data.images.samples import Sample
from tests.helpers.archives import write_cifar100_archive
from tests.helpers.servers import serve_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*pin_memory.*no accelerator"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create 8 worker processes"),
    pytest.mark.filterwarnings("ignore:the images are in"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Any:
    """The folder of an archive in CIFAR-100's format, its content, and the MD5 of each file in it."""
    folder = tmp_path_factory.mktemp("served")
    held = write_cifar100_archive(folder / CIFAR100.filename)
    with tarfile.open(folder / CIFAR100.filename) as files:
        members = [(m.name.rpartition("/")[2], files.extractfile(m)) for m in files.getmembers()]
        held["md5s"] = {name: hashlib.md5(file.read()).hexdigest() for name, file in members if file}
    return folder, held


@pytest.fixture
def cifar100(archive, tmp_path, monkeypatch) -> Any:
    """What the archive holds; the working directory is a fresh one, and torchvision downloads from a loopback port."""
    folder, held = archive
    monkeypatch.chdir(tmp_path)
    with serve_folder(folder) as address:
        monkeypatch.setattr(CIFAR100, "url", f"{address}/{CIFAR100.filename}")
        monkeypatch.setattr(CIFAR100, "tgz_md5", held["md5"])
        monkeypatch.setattr(CIFAR100, "train_list", [["train", held["md5s"]["train"]]])
        monkeypatch.setattr(CIFAR100, "test_list", [["test", held["md5s"]["test"]]])
        monkeypatch.setattr(CIFAR100, "meta", {**CIFAR100.meta, "md5": held["md5s"]["meta"]})
        yield held


def assert_shown(loader: Any, held: tuple[np.ndarray, np.ndarray], contrasts: list[float]) -> None:
    """The loader shows the images in [0, 1] in their order, 32 a batch, at each step's contrast; 0 is void."""
    pixels, labels = held
    images = pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    start = 0
    for stimulus, over_time in loader:
        count = min(32, len(pixels) - start)
        assert stimulus.shape == (count, len(contrasts), 3, 32, 32)
        for t, contrast in enumerate(contrasts):
            wanted = images[start : start + count] * np.float32(contrast)
            np.testing.assert_allclose(stimulus[:, t].numpy(), wanted, rtol=1e-6)
            expected = labels[start : start + count] if contrast else np.full(count, -1)
            np.testing.assert_array_equal(over_time[:, t], expected)
        start += count
    assert start == len(pixels)


@pytest.mark.slow
def test_standard_data_loader(cifar100):
    from torchvision.datasets import CIFAR100

    from dynvision.data.dataloader import get_data_loader

    dataset = CIFAR100(root="./data/raw", train=True, download=True)
    loader = get_data_loader(
        dataset,
        batch_size=32,
        num_workers=8,
        pin_memory=True,
        prefetch_factor=2,
        n_timesteps=20,  # Repeat data over time dimension
    )
    assert_shown(loader, cifar100["train"], [1.0] * 20)


def test_stimulus_duration_loader(cifar100):
    from torchvision.datasets import CIFAR100

    from dynvision.data.dataloader import StimulusDurationDataLoader

    dataset = CIFAR100(root="./data/raw", train=False, download=True)
    loader = StimulusDurationDataLoader(
        dataset,
        batch_size=32,
        n_timesteps=100,  # Total sequence length
        stimulus_duration=20,  # Duration of the stimulus
        intro_duration=2,  # Duration before stimulus
    )
    assert_shown(loader, cifar100["test"], [0.0] * 2 + [1.0] * 20 + [0.0] * 78)


def test_stimulus_interval_loader(cifar100):
    from torchvision.datasets import CIFAR100

    from dynvision.data.dataloader import StimulusIntervalDataLoader

    dataset = CIFAR100(root="./data/raw", train=False, download=True)
    loader = StimulusIntervalDataLoader(
        dataset,
        batch_size=32,
        n_timesteps=100,  # Total sequence length
        stimulus_duration=5,  # Duration of each stimulus
        intro_duration=1,  # Duration before first stimulus
        interval_duration=10,  # Interval between stimuli
    )
    assert_shown(loader, cifar100["test"], [0.0] + [1.0] * 5 + [0.0] * 10 + [1.0] * 5 + [0.0] * 79)


def test_stimulus_contrast_loader(cifar100):
    from torchvision.datasets import CIFAR100

    from dynvision.data.dataloader import StimulusContrastDataLoader

    dataset = CIFAR100(root="./data/raw", train=False, download=True)
    loader = StimulusContrastDataLoader(
        dataset,
        batch_size=32,
        n_timesteps=100,  # Total sequence length
        stimulus_duration=15,  # Duration of the stimulus
        intro_duration=2,  # Duration before stimulus
        stimulus_contrast=0.5,  # Contrast of the stimulus (0-1)
    )
    assert_shown(loader, cifar100["test"], [0.0] * 2 + [0.5] * 15 + [0.0] * 83)


def draw_picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8))


def test_custom_data_transforms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from dynvision.data.transforms import get_data_transform

    # Get a predefined transform
    transform = get_data_transform("train")  # Standard training augmentations
    transforms = [transform]
    # Get dataset-specific transform
    transform = get_data_transform("train", data_name="cifar100")
    transforms.append(transform)
    # Create custom transform combination
    transform = get_data_transform(["train", "cifar100"])
    transforms.append(transform)
    for made in transforms:
        with torch.random.fork_rng():
            images = torch.stack([made(draw_picture(0)) for _ in range(8)])
        assert images.shape == (8, 3, 32, 32)
        assert images.dtype == torch.float32
        assert (images != images[0]).any()


FFCV_PRESETS = [pytest.param(name, marks=pytest.mark.slow) for name in ("ffcv_train", "ffcv_test")]


@pytest.mark.parametrize("preset", ["train", "test", *FFCV_PRESETS, "mnist", "imagenet"])
def test_every_preset_that_the_guide_names_is_there(preset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from dynvision.data.transforms import get_data_transform

    made = get_data_transform(preset)
    assert isinstance(made, list) if preset.startswith("ffcv") else made(draw_picture(0)).dtype == torch.float32


def test_target_transforms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from dynvision.data.transforms import get_target_transform

    # Transform for CIFAR100 invertebrates group
    target_transform = get_target_transform("cifar100_invertebrates")
    classes = [6, 7, 14, 18, 24, 26, 45, 77, 79, 99]
    assert [target_transform(index) for index in classes] == list(range(10))
    assert [target_transform.inverse(label) for label in range(10)] == classes
    with pytest.raises(ValueError, match="label 8 is not in the group 'cifar100_invertebrates', whose classes are"):
        target_transform(8)


class CustomDataset(Dataset):
    """A custom dataset as the guide has it, over pictures that are drawn."""

    def __init__(self, root, transform=None, target_transform=None):
        self.root = root
        self.transform = transform
        self.target_transform = target_transform
        self.data = [(draw_picture(seed), seed) for seed in range(40)]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        sample, target = self.data[index]
        return self.transform(sample), target


def test_custom_dataset_integration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from dynvision.data.dataloader import get_data_loader
    from dynvision.data.transforms import get_data_transform

    dataset = CustomDataset(root="data/raw/your_dataset", transform=get_data_transform("train"))
    loader = get_data_loader(dataset, batch_size=32, n_timesteps=20)
    with torch.random.fork_rng():
        batches = list(loader)
    assert [images.shape for images, _ in batches] == [(32, 20, 3, 32, 32), (8, 20, 3, 32, 32)]
    assert torch.cat([labels[:, 19] for _, labels in batches]).tolist() == list(range(40))
    assert all(torch.equal(images[:, 0], images[:, 19]) for images, _ in batches)


@pytest.mark.parametrize("module", ["loader_params", "dataloader", "ffcv_dataloader"])
def test_automatic_optimization(module):
    from ffcv.loader import OrderOption

    # The guide does not say where it is from; its readers look where the loaders are.
    DatasetParams = importlib.import_module(f"dynvision.data.{module}").DatasetParams

    batch_size, batches_ahead, num_workers = 512, 3, 16
    MAX_BATCH_SIZE, MAX_WORKERS_LARGE_DATASET = 128, 4
    optimized_params = DatasetParams(
        batch_size=min(batch_size, MAX_BATCH_SIZE),  # Reduce batch size
        batches_ahead=min(batches_ahead, 2),  # Reduce prefetching
        order=OrderOption.QUASI_RANDOM,  # Better memory efficiency
        os_cache=False,  # Disable OS cache
        dtype=torch.float16,  # Use mixed precision
        num_workers=min(num_workers, MAX_WORKERS_LARGE_DATASET),  # Limit workers
    )
    assert (optimized_params.batch_size, optimized_params.batches_ahead, optimized_params.num_workers) == (128, 2, 4)
    assert optimized_params.describe() == ""
    assert optimized_params.order == "quasi_random"


@pytest.fixture(scope="module")
def written(archive, tmp_path_factory) -> Path:
    """A working directory that holds `data/processed/cifar100/train_all/train.beton`."""
    folder = tmp_path_factory.mktemp("written")
    samples = []
    for number, (image, label) in enumerate(zip(*archive[1]["train"], strict=True)):
        Image.fromarray(image).save(folder / f"{number}.png")
        samples.append(Sample(f"{number}.png", int(label), int(label)))
    path = folder / "data" / "processed" / "cifar100" / "train_all" / "train.beton"
    path.parent.mkdir(parents=True)
    write_betons([BetonFile(path, samples, folder, 32, 3, {"made": "by a test"})], timeout=60, description="snippet")
    return folder


@pytest.mark.slow
def test_ffcv_data_loader(archive, written, monkeypatch):
    pixels, labels = archive[1]["train"]
    monkeypatch.chdir(written)
    from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

    loader = get_ffcv_dataloader(
        path="data/processed/cifar100/train_all/train.beton",
        batch_size=128,
        n_timesteps=20,
        num_workers=8,
        resolution=32,
        normalize=([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]),
        order="random",
        dtype=torch.float16,
    )
    batches, order = list(loader), [ids for _, _, ids in loader.iterate_images()]
    assert [images.shape for images, _ in batches] == [(128, 20, 3, 32, 32), (72, 20, 3, 32, 32)]
    assert all(images.dtype == torch.float16 for images, _ in batches)
    assert sorted(np.concatenate(order).tolist()) == list(range(200))
    shown = torch.cat([over_time for _, over_time in batches])
    assert sorted(shown[:, 7].tolist()) == sorted(labels.tolist())
    mean, std = np.array([0.5071, 0.4867, 0.4408]), np.array([0.2675, 0.2565, 0.2761])
    standardized = ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2)
    by_label = {label: standardized[labels == label] for label in set(labels.tolist())}
    for images, over_time in batches:
        for image, label in zip(images[:, 19].float().numpy(), over_time[:, 19].tolist(), strict=True):
            assert min(np.abs(image - wanted).max() for wanted in by_label[label]) < 2e-3


@pytest.mark.slow
def test_worker_processes_start_safely_after_ffcv_had_threads(written):
    from dynvision.data.dataloader import get_data_loader
    from dynvision.data.ffcv_dataloader import get_ffcv_dataloader

    path = written / "data" / "processed" / "cifar100" / "train_all" / "train.beton"
    assert sum(len(images) for images, _ in get_ffcv_dataloader(path, 50, num_workers=2)) == 200
    images = torch.randn(6, 3, 4, 4)
    loader = get_data_loader(TensorDataset(images, torch.arange(6)), batch_size=4, n_timesteps=2, num_workers=1)
    assert torch.equal(torch.cat([shown[:, 1] for shown, _ in loader]), images)
