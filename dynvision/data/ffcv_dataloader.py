"""Stimuli in time from `.beton` files, through FFCV."""

from __future__ import annotations

import inspect
import queue
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynvision.data.beton import require_ffcv, verify_beton
from dynvision.data.dataloader import Batch, resolve_presentation, show_batch
from dynvision.data.normalization import normalize_pixels
from dynvision.data.presentation import Presentation
from dynvision.errors import unknown_name

__all__ = ["FFCVStimulusLoader", "get_ffcv_dataloader"]

ORDERS = ("sequential", "random", "quasi_random")
LABEL_SPACES = ("original", "group")


def get_ffcv_dataloader(
    path: Path | str,
    batch_size: int = 128,
    n_timesteps: int | None = None,
    num_workers: int = 1,
    resolution: int | None = None,
    normalize: tuple[Sequence[float], Sequence[float]] | None = None,
    order: str = "sequential",
    dtype: torch.dtype = torch.float32,
    *,
    presentation: Presentation | None = None,
    dataloader: str | None = None,
    lazy: bool = False,
    label_space: str = "original",
    indices: Sequence[int] | None = None,
    seed: int = 0,
    drop_last: bool = False,
    batches_ahead: int = 3,
    os_cache: bool = True,
    **settings: Any,
) -> FFCVStimulusLoader:
    """Open a `.beton` file as batches of stimuli in time.

    The file is verified against its sidecar first. Batches belong to the caller: they share no
    memory with FFCV's buffers or with each other.

    Args:
        path: The file.
        batch_size: Images a batch; the last one may be smaller.
        n_timesteps: T, where the presentation is given by settings.
        num_workers: FFCV's threads; 1 is fastest for small raw images.
        resolution: Width of the images in pixels, checked against the file.
        normalize: Mean and standard deviation of each channel, for images in [0, 1].
        order: `sequential`, `random` or `quasi_random`.
        dtype: Type of the images.
        presentation: What is shown when; or else `dataloader` and `settings`.
        dataloader: The short form: `StimulusDuration` and its like, with their settings.
        lazy: Yield `StimulusSequence`s instead of dense tensors.
        label_space: `original` (the dataset's own class indices) or `group` (0, 1, 2 …).
        indices: Only these samples, by their place in the file.
        seed: Seeds a random order.
        drop_last: Leave out a smaller last batch.
        batches_ahead: Batches that FFCV prepares in advance.
        os_cache: Let the operating system cache the file; right when it fits in memory.
        settings: Settings of the presentation, full names or aliases.

    Raises:
        MissingError: The file is not there.
        DamagedFileError: It is not the file that was written.
        ValueError: A setting is impossible; the message says which and what is valid.
    """
    require_ffcv()
    if order not in ORDERS:
        raise unknown_name("order", order, ORDERS)
    if label_space not in LABEL_SPACES:
        raise unknown_name("label_space", label_space, LABEL_SPACES)
    if batch_size < 1:
        raise ValueError(f"batch_size is a number of images, at least 1, not {batch_size}")
    sidecar = verify_beton(path)
    count = sidecar["file"]["samples"]
    if outside := [index for index in indices or () if not 0 <= index < count]:
        raise ValueError(f"indices: {outside[0]} is outside {path}, whose samples are 0 to {count - 1}")
    held = sidecar["file"]["resolution"]
    if resolution is not None and resolution != held:
        raise ValueError(
            f"{path} holds images of {held} pixels, not {resolution}. Change data_resolution and rebuild it."
        )
    own = [name for name in inspect.signature(get_ffcv_dataloader).parameters if name != "settings"]
    chosen = resolve_presentation(presentation, dataloader, n_timesteps, settings, own)
    loader = _open_loader(
        Path(path), sidecar, batch_size, num_workers, order, seed, indices, drop_last, batches_ahead, os_cache
    )
    return FFCVStimulusLoader(loader, sidecar, chosen, normalize, dtype, lazy, label_space)


class FFCVStimulusLoader:
    """Batches of (stimulus, labels) from a `.beton` file; made by `get_ffcv_dataloader`.

    Attributes:
        presentation: What is shown when; may be changed between epochs, the loader stays compiled.
        sidecar: The file's sidecar: classes, samples, settings.
    """

    def __init__(
        self,
        loader: Any,
        sidecar: dict[str, Any],
        presentation: Presentation,
        normalize: tuple[Sequence[float], Sequence[float]] | None,
        dtype: torch.dtype,
        lazy: bool,
        label_space: str,
    ) -> None:
        self.presentation = presentation
        self.sidecar = sidecar
        self._loader, self._lazy, self._dtype, self._normalize = loader, lazy, dtype, normalize
        samples = sidecar["samples"]
        self._labels = torch.tensor(samples["label" if label_space == "original" else "group_label"], dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._loader)

    @property
    def batch_size(self) -> int:
        """Images a batch."""
        return int(self._loader.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for images, labels, ids in self.iterate_images():
            yield show_batch(images, labels, ids, self.presentation, self._lazy)

    def iterate_images(self) -> Iterator[tuple[Tensor, Tensor, np.ndarray[Any, Any]]]:
        """Iterate over the images themselves.

        Yields:
            Images `[B, C, H, W]`, labels `[B]` (int64) and each sample's place in the file `[B]`.
        """
        threads = torch.get_num_threads()
        epoch = iter(self._loader)
        try:
            torch.set_num_threads(threads)
            while (batch := _next_batch(epoch)) is not None:
                pixels, ids = batch[0].clone(), batch[1].reshape(-1).numpy().copy()
                torch.set_num_threads(threads)
                yield normalize_pixels(pixels, self._normalize, self._dtype), self._labels[ids], ids
        finally:
            _close_epoch(epoch)
            torch.set_num_threads(threads)


def _open_loader(
    path: Path,
    sidecar: dict[str, Any],
    batch_size: int,
    num_workers: int,
    order: str,
    seed: int,
    indices: Sequence[int] | None,
    drop_last: bool,
    batches_ahead: int,
    os_cache: bool,
) -> Any:
    threads = torch.get_num_threads()
    from ffcv.fields.decoders import IntDecoder, NDArrayDecoder, SimpleRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import ToTensor

    decode = SimpleRGBImageDecoder() if sidecar["file"]["channels"] == 3 else NDArrayDecoder()
    try:
        return Loader(
            str(path),
            batch_size=batch_size,
            num_workers=num_workers,
            os_cache=os_cache,
            order=OrderOption[order.upper()],
            seed=seed,
            indices=None if indices is None else np.asarray(indices),
            pipelines={"image": [decode, ToTensor()], "label": None, "index": [IntDecoder(), ToTensor()]},
            drop_last=drop_last,
            batches_ahead=batches_ahead,
        )
    finally:
        torch.set_num_threads(threads)


def _next_batch(epoch: Any) -> Any:
    """Take the next batch; an error in FFCV's own thread must not leave us waiting for ever."""
    while True:
        try:
            item = epoch.output_queue.get(timeout=1.0)
        except queue.Empty:
            if not epoch.is_alive() and epoch.output_queue.empty():
                raise RuntimeError("FFCV's reader stopped; its error is printed above") from None
            continue
        return None if item is None else item[1]


def _close_epoch(epoch: Any) -> None:
    """End FFCV's thread and give its memory back, also where the epoch was left early."""
    epoch.terminate_event.set()
    while epoch.is_alive():
        try:
            epoch.output_queue.get_nowait()
        except queue.Empty:
            epoch.join(timeout=0.05)
    if not epoch.closed:
        epoch.close()
        epoch.closed = True
