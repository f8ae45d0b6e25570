"""Measure the loaders of one implementation; `benchmarks.loaders` starts a process for each.

The script is run by its path and imports nothing from `benchmarks`, so `dynvision` is the package that its process
is meant to measure: ours, or DynVision 0.1.0.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import resource
import sys
import time
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

FORMS = {
    "constant": ("Standard", {}),
    "duration": ("StimulusDuration", {"stimulus_duration": 20, "intro_duration": 2}),
    "contrast": ("StimulusContrast", {"stimulus_duration": 20, "intro_duration": 2, "stimulus_contrast": 0.5}),
    "interval": ("StimulusInterval", {"stimulus_duration": 20, "intro_duration": 2, "interval_duration": 10}),
}
MEAN, STD = [0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761]


class Images(Dataset[Any]):
    """Random images in memory."""

    def __init__(self, count: int) -> None:
        self.images = torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        self.labels = (torch.arange(count) % 100).tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index], self.labels[index]


def in_memory(count: int, dataset: str) -> Any:
    """Random images as a `TensorDataset` (`tensors`), or as a dataset that returns them one by one (`items`)."""
    images = Images(count)
    return TensorDataset(images.images, torch.tensor(images.labels)) if dataset == "tensors" else images


def image_folder(folder: str) -> Any:
    """Standardized images from class folders."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    steps = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    return ImageFolder(folder, v2.Compose(steps))


class Ours:
    """The loaders of this project."""

    modules = ("dynvision", "torch", "ffcv")

    def __init__(self) -> None:
        from dynvision.data import dataloader

        self.classes = dataloader
        self.opened: dict[str, Any] = {}

    def loader(self, case: dict[str, Any], dataset: Any) -> Any:
        name, settings = FORMS[case["form"]]
        return self.classes.get_data_loader(
            dataset,
            name,
            batch_size=case["batch"],
            n_timesteps=case["steps"],
            dtype=getattr(torch, case["dtype"]),
            lazy=case.get("lazy", False),
            **settings,
        )

    def ffcv_loader(self, case: dict[str, Any]) -> Any:
        from dynvision.data.ffcv_dataloader import get_ffcv_dataloader
        from dynvision.stimuli.presentation import Presentation

        key = f"{case['path']} {case['batch']}"
        if key not in self.opened:  # opening an FFCV loader compiles it; ours can change its presentation
            self.opened[key] = get_ffcv_dataloader(case["path"], case["batch"], normalize=(MEAN, STD), n_timesteps=1)
        loader = self.opened[key]
        steps = case["steps"]
        stimulus = min(20, steps)
        loader.presentation = (
            Presentation.duration(steps, stimulus, 2) if case["form"] == "duration" else Presentation.constant(steps)
        )
        loader.lazy = case.get("lazy", False)
        return loader


class DynVision:
    """The loaders of DynVision 0.1.0."""

    modules = ("dynvision", "torch")

    def __init__(self) -> None:
        self.classes = importlib.import_module("dynvision.data.dataloader")

    def loader(self, case: dict[str, Any], dataset: Any) -> Any:
        name, settings = FORMS[case["form"]]
        loader_class = getattr(self.classes, f"{name}DataLoader")
        return loader_class(
            dataset,
            batch_size=case["batch"],
            n_timesteps=case["steps"],
            dtype=getattr(torch, case["dtype"]),
            **settings,
        )


class Torch:
    """torch's own DataLoader, which shows each image once."""

    modules = ("torch",)

    def loader(self, case: dict[str, Any], dataset: Any) -> Any:
        return DataLoader(dataset, batch_size=case["batch"])


class BareFFCV:
    """FFCV's own loader, which shows each image once."""

    modules = ("ffcv", "torch")

    def __init__(self) -> None:
        import ffcv

        self.ffcv, self.opened = ffcv, {}

    def ffcv_loader(self, case: dict[str, Any]) -> Any:
        from ffcv.fields.decoders import IntDecoder, SimpleRGBImageDecoder
        from ffcv.loader import Loader, OrderOption
        from ffcv.transforms import NormalizeImage, ToTensor, ToTorchImage

        key = f"{case['path']} {case['batch']}"
        if key not in self.opened:
            mean, std = np.array(MEAN) * 255, np.array(STD) * 255
            normalize = NormalizeImage(mean, std, np.float32)
            self.opened[key] = Loader(
                case["path"],
                batch_size=case["batch"],
                num_workers=1,
                os_cache=True,
                order=OrderOption.SEQUENTIAL,
                drop_last=False,
                pipelines={
                    "image": [SimpleRGBImageDecoder(), normalize, ToTensor(), ToTorchImage()],
                    "label": [IntDecoder(), ToTensor()],
                    "index": None,
                },
            )
        return _Cloned(self.opened[key])


class _Cloned:
    """Clones of FFCV's batches: they share its buffers, so whoever keeps a batch has to clone it."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __iter__(self) -> Any:
        return ((images.clone(), labels.clone()) for images, labels in self.loader)


KEPT_BATCHES = 10
opened: dict[str, Any] = {}
"""The loader of the last case, so that the rounds of a case are epochs of one loader."""
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def measure(case: dict[str, Any], subject: Any, datasets: dict[str, Any]) -> dict[str, Any]:
    """Run a case once.

    Returns:
        `seconds`, `images`, and what else the task measures.
    """
    if case["task"] == "zeros":
        shape = (case["batch"], case["steps"], 3, 32, 32)
        start = time.perf_counter()
        kept = [torch.zeros(shape, dtype=getattr(torch, case["dtype"])) for _ in range(KEPT_BATCHES)]
        return {"seconds": time.perf_counter() - start, "images": case["batch"] * len(kept)}
    if "path" in case:
        loader = subject.ffcv_loader(case)
    else:
        source = case.get("folder") or json.dumps(case["data"])
        if source not in datasets:
            datasets[source] = image_folder(source) if "folder" in case else in_memory(**case["data"])
        key = json.dumps({k: v for k, v in case.items() if k not in ("task", "epochs")})
        if key not in opened:
            opened.clear()
            opened[key] = subject.loader(case, datasets[source])
        loader = opened[key]
    if case["task"] == "keep":
        return _keep(loader, case)
    return _drop(loader, case)


def _drop(loader: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Go through all batches and drop each, after reading it (`read`) or counting its bytes (`bytes`)."""
    images, seconds, size = 0, 0.0, 0
    for _ in range(case.get("epochs", 1)):
        start = time.perf_counter()
        for batch in loader:
            images += batch[0].shape[0] if hasattr(batch[0], "shape") else len(batch[0])
            if case["task"] == "read":
                for t in range(case["steps"]):
                    batch[0][:, t].sum()
            if case["task"] == "bytes":
                size = max(size, batch[0].nbytes + batch[1].nbytes)
        seconds += time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "images": images, "peak_kb": peak, "batch_bytes": size}


def _keep(loader: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Keep all batches, and check that they share no memory and show the right images."""
    start = time.perf_counter()
    kept = [stimulus for stimulus, _ in loader]
    seconds = time.perf_counter() - start
    starts = sorted((x.data_ptr(), x.data_ptr() + x.nbytes) for x in kept)
    aliased = any(a[1] > b[0] for a, b in itertools.pairwise(starts))
    shown = torch.cat([x[:, 5] for x in kept])
    wrong = not torch.equal(shown, loader.dataset.tensors[0].to(shown.dtype))
    return {"seconds": seconds, "images": len(shown), "aliased": aliased, "wrong": wrong}


SUBJECTS = {"ours": Ours, "dynvision": DynVision, "torch": Torch, "ffcv": BareFFCV}


def main() -> None:
    subject = SUBJECTS[sys.argv[1]]()
    files = {name: str(importlib.import_module(name).__file__) for name in subject.modules}
    torch.set_num_threads(THREADS)  # importing FFCV sets one thread; here all implementations get the same number
    print(json.dumps(files), flush=True)
    datasets: dict[str, Any] = {}
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line), subject, datasets)), flush=True)


if __name__ == "__main__":
    main()
