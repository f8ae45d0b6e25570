"""Stimuli in time from `.beton` files, through FFCV."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynvision.data.betons.sidecars import file_state, verify_beton
from dynvision.data.betons.spec import require_ffcv
from dynvision.data.dataloader import StandardDataLoader
from dynvision.data.images.normalization import Normalization
from dynvision.data.loading.batches import Batch, BatchMaker
from dynvision.data.loading.ffcv_epochs import TrialLoaders, image_pipeline, open_loader, read_epoch
from dynvision.data.loading.loader_settings import check_dtype, resolve_presentation
from dynvision.data.loading.params import ORDERS, DatasetParams, optimize_loader_params
from dynvision.data.loading.trials import count_images
from dynvision.errors import check_number, unknown_name
from dynvision.stimuli.presentation import Presentation

__all__ = ["DatasetParams", "FFCVStimulusLoader", "get_ffcv_dataloader"]

_log = logging.getLogger(__name__)

LABEL_SPACES = ("original", "group")


def get_ffcv_dataloader(
    path: Path | str,
    batch_size: int = 128,
    n_timesteps: int | None = None,
    num_workers: int = 1,
    resolution: int | None = None,
    normalize: Normalization | None = None,
    order: str = "sequential",
    dtype: torch.dtype = torch.float32,
    *,
    presentation: Presentation | None = None,
    dataloader: str | type[StandardDataLoader] | None = None,
    lazy: bool = False,
    label_space: str = "original",
    indices: Sequence[int] | None = None,
    seed: int = 0,
    drop_last: bool = False,
    batches_ahead: int = 3,
    os_cache: bool | None = None,
    transforms: Sequence[Any] = (),
    memory_format: torch.memory_format = torch.contiguous_format,
    pin_memory: bool = False,
    images_per_trial: int | None = None,
    trial_seed: int = 0,
    other_class: Sequence[int] | None = None,
    memory_budget: int | None = None,
    **settings: Any,
) -> FFCVStimulusLoader:
    """Open a `.beton` file as batches of stimuli in time.

    The file is verified against its sidecar first. Batches belong to the caller: they share no
    memory with FFCV's buffers or with each other. A dense stimulus lies in memory as `[T, B, C, H, W]`, so that
    `x[:, t]` is contiguous; over batch and time use `.reshape` or `.flatten`.

    Args:
        path: The file.
        batch_size: Images a batch; the last one may be smaller.
        n_timesteps: T, if the presentation is given by settings.
        num_workers: FFCV's threads, no more than there are cores; 1 is fastest for small raw images.
        resolution: Width of the images in pixels, checked against the file.
        normalize: Mean and standard deviation of each channel, for images in [0, 1].
        order: `sequential`, `random` or `quasi_random`.
        dtype: Type of the images: a floating type, or `torch.uint8` for the pixels themselves.
        presentation: What is shown when, instead of `dataloader` and `settings`.
        dataloader: The short form of a presentation: `StimulusDuration`, `StimulusContrast` …, with its settings.
        lazy: Yield `StimulusSequence` and `LabelSequence` instead of dense tensors.
        label_space: `original` (the dataset's own class indices) or `group` (0, 1, 2 …).
        indices: Only these samples, by their position in the file.
        seed: Seeds a random order.
        drop_last: Leave out a smaller last batch.
        batches_ahead: Batches that FFCV prepares in advance, fewer if they do not fit.
        os_cache: Let the operating system cache the file; by default if it fits into the memory budget.
        transforms: FFCV operations on the 8-bit images, before they are standardized, as
            `get_data_transform('ffcv_train')` gives them.
        memory_format: `torch.channels_last` makes each frame `x[:, t]` channels-last.
        pin_memory: Put batches into pinned memory, if there is an accelerator.
        images_per_trial: K, by default as many as the presentation shows; a trial's first image is the sample itself,
            and `choose_trials` chooses the others. More than one needs `order='sequential'`.
        trial_seed: Seeds that choice.
        other_class: The images of a trial, counted from 0, that are of another class than the first; by default as the
            presentation says (`which: other`).
        memory_budget: Bytes that batches may take; by default half of the available memory.
        settings: Settings of the presentation, full names or aliases.

    Raises:
        MissingError: If the file does not exist.
        DamagedFileError: If it is not the file that was written.
        ValueError: If a setting is impossible; the message says which and what is valid.
    """
    require_ffcv()
    order = str(getattr(order, "name", order)).lower()  # FFCV's own OrderOption will do
    if isinstance(dataloader, type):
        dataloader = dataloader.presentation_name
    counts = {"batch_size": batch_size, "num_workers": num_workers, "batches_ahead": batches_ahead}
    _check_settings(order, label_space, dtype, counts)
    own = [name for name in inspect.signature(get_ffcv_dataloader).parameters if name != "settings"]
    chosen = resolve_presentation(presentation, dataloader, n_timesteps, settings, own)
    count_images(images_per_trial, chosen.n_images)
    path = Path(path)
    opened_as = file_state(path)
    sidecar = verify_beton(path)
    file = sidecar["file"]
    if resolution is not None and resolution != file["resolution"]:
        raise ValueError(
            f"{path} holds images of {file['resolution']} pixels, not {resolution}. Change data_resolution and rebuild "
            "it."
        )
    samples = np.arange(file["samples"]) if indices is None else _check_samples(indices, file["samples"], path)
    params = optimize_loader_params(
        min(batch_size, len(samples)),
        chosen.n_timesteps,
        (file["channels"], file["resolution"], file["resolution"]),
        dtype=dtype,
        num_workers=num_workers,
        batches_ahead=batches_ahead,
        order=order,
        os_cache=os_cache is not False,
        lazy=lazy,
        file_size=file["bytes"] if os_cache is None else None,
        memory=memory_budget,
        keep_numbers=True,
    )
    if params.changes:
        _log.info("%s: %s", path, params.describe().replace("\n", "; "))
    # FFCV reserves memory for whole batches. With drop_last, a batch that cannot be filled has to stay one.
    options = {
        "batch_size": min(batch_size, len(samples) + int(drop_last)),
        "order": order,
        "seed": seed,
        "drop_last": drop_last,
    }
    options |= {"num_workers": params.num_workers, "os_cache": params.os_cache, "batches_ahead": params.batches_ahead}

    def read(chosen: npt.NDArray[np.int64] | None) -> Any:
        return open_loader(path, image_pipeline(file, normalize, dtype, transforms), options | {"indices": chosen})

    loader = read(None if indices is None else samples)
    classes = np.asarray(sidecar["samples"]["label"], dtype=np.int64)[samples]
    trials = TrialLoaders(samples, classes, images_per_trial, trial_seed, read, other_class)
    maker = BatchMaker(
        chosen, lazy, pin_memory and torch.accelerator.is_available(), memory_format, memory_budget=memory_budget
    )
    return FFCVStimulusLoader(path, opened_as, loader, sidecar, maker, trials, dtype, label_space)


def _check_settings(order: str, label_space: str, dtype: Any, counts: dict[str, int]) -> None:
    check_dtype(dtype)
    if order not in ORDERS:
        raise unknown_name("order", order, ORDERS)
    if label_space not in LABEL_SPACES:
        raise unknown_name("label_space", label_space, LABEL_SPACES)
    for name, value in counts.items():
        check_number(name, value, 1, whole=True)


def _check_samples(indices: Any, count: int, path: Path) -> npt.NDArray[np.int64]:
    """Return the positions of chosen samples in a file of `count`; raise if they are something else, such as a mask."""
    samples = np.asarray(indices)
    if samples.size == 0:
        raise ValueError("indices is empty: there is nothing to show")
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.integer):
        raise ValueError(
            "indices are positions in the file, whole numbers from 0; for a mask give np.flatnonzero(mask)"
        )
    if len(outside := samples[(samples < 0) | (samples >= count)]):
        raise ValueError(f"indices: {outside[0]} is outside {path}, whose samples are 0 to {count - 1}")
    return samples.astype(np.int64)


class FFCVStimulusLoader:
    """Batches of (stimulus, labels) from a `.beton` file; made by `get_ffcv_dataloader`.

    Attributes:
        path: The file.
        sidecar: The file's sidecar: classes, samples, settings.
    """

    def __init__(
        self,
        path: Path,
        opened_as: dict[str, int],
        loader: Any,
        sidecar: dict[str, Any],
        maker: BatchMaker,
        trials: TrialLoaders,
        dtype: torch.dtype,
        label_space: str,
    ) -> None:
        self.path, self.sidecar = path, sidecar
        self._opened_as = opened_as
        self._loader, self._maker, self._trials = loader, maker, trials
        self._dtype = dtype
        samples = sidecar["samples"]
        self._labels = torch.tensor(samples["label" if label_space == "original" else "group_label"], dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._loader)

    def __reduce__(self) -> Any:
        raise TypeError(
            "an FFCV loader cannot be sent to another process: its code is compiled in this one. Open it there with "
            "get_ffcv_dataloader."
        )

    @property
    def presentation(self) -> Presentation:
        """What is shown when. It may be changed between epochs without compiling the loader anew."""
        return self._maker.presentation

    @presentation.setter
    def presentation(self, presentation: Presentation) -> None:
        self._maker.presentation = presentation

    @property
    def lazy(self) -> bool:
        """Whether batches are sequences. It may be changed between epochs."""
        return self._maker.lazy

    @lazy.setter
    def lazy(self, lazy: bool) -> None:
        self._maker.lazy = lazy

    @property
    def batch_size(self) -> int:
        """Images a batch."""
        return int(self._loader.batch_size)

    def epoch_state(self) -> dict[str, Any]:
        """Return what the order of the next epochs follows from, besides the seed: how many there were."""
        return {"next_epoch": self._loader.next_epoch}

    def restore_epoch(self, state: dict[str, Any]) -> None:
        """Go on with the epoch that was next when `epoch_state` was called, perhaps in another process."""
        self._loader.next_epoch = state["next_epoch"]

    def __iter__(self) -> Iterator[Batch]:
        make = self._maker.make
        for images, labels, ids in self.iterate_images():
            yield make(images, labels, ids)

    def iterate_images(self) -> Iterator[tuple[Tensor, Tensor, npt.NDArray[np.int64]]]:
        """Iterate over the images themselves.

        Yields:
            Images `[B, C, H, W]` or `[B, K, C, H, W]`, labels `[B]` or `[B, K]` (int64) and each sample's
            position in the file `[B]`.
        """
        loaders = self._trials.open(self._loader, self.presentation)
        epochs = [read_epoch(loader, self.path, self._opened_as, self._dtype) for loader in loaders]
        try:
            for images, ids in epochs[0]:
                if len(epochs) == 1:
                    yield images, self._labels[ids], ids
                    continue
                parts = [(images, ids), *(next(epoch) for epoch in epochs[1:])]
                stacked = torch.stack([part for part, _ in parts], dim=1)
                yield stacked, self._labels[np.stack([i for _, i in parts], axis=1)], ids
        finally:
            for epoch in epochs:
                epoch.close()
