"""FFCV's own loaders: opened and read such that batches and torch's threads stay the caller's."""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dynvision.data.betons.sidecars import changed_while_read, file_state
from dynvision.data.images.normalization import Normalization, pixel_scaling, pixel_table
from dynvision.data.loading.forking import note_threads
from dynvision.data.loading.trials import choose_trials, count_images
from dynvision.errors import ConfigError
from dynvision.stimuli.presentation import Presentation

__all__ = ["TrialLoaders", "image_pipeline", "open_loader", "read_epoch"]


class TrialLoaders:
    """The loaders that read the images of trials: one for each position in a trial, opened when it is needed.

    Args:
        samples: The samples that trials are made of, by their position in the file: shape `[N]`.
        classes: Their classes, shape `[N]`.
        images_per_trial: Images a trial; by default as many as are shown.
        seed: Seeds the choice of the further images.
        reopen: Opens a loader of the given samples.
        other_class: Which images of a trial are of another class than the first; by default as the presentation says.
    """

    def __init__(
        self,
        samples: npt.NDArray[np.int64],
        classes: npt.NDArray[np.int64],
        images_per_trial: int | None,
        seed: int,
        reopen: Callable[[npt.NDArray[np.int64]], Any],
        other_class: Sequence[int] | None = None,
    ) -> None:
        self.samples, self.images_per_trial, self.seed, self.reopen = samples, images_per_trial, seed, reopen
        self.classes, self.other_class = classes, other_class
        self.opened: dict[tuple[tuple[int, ...], int], Any] = {}

    def open(self, first: Any, presentation: Presentation) -> list[Any]:
        """Open the loaders of each image of the trials of a presentation.

        Raises:
            ValueError: If a trial of several images is not read in sequence.
            ConfigError: If an image of another class is needed, and there is none.
        """
        count = count_images(self.images_per_trial, presentation.n_images)
        if count == 1:
            return [first]
        if first.traversal_order.__class__.__name__ != "Sequential":
            raise ValueError(f"a trial of {count} images needs order='sequential', so that its images come together")
        others = presentation.other_class if self.other_class is None else tuple(self.other_class)
        trials = choose_trials(len(self.samples), count, self.seed, self.classes, others)
        for number in range(1, count):
            if (others, number) not in self.opened:
                self.opened[others, number] = self.reopen(self.samples[trials[:, number]])
        return [first, *(self.opened[others, number] for number in range(1, count))]


_LATER = ("NormalizeImage", "ToTensor", "ToTorchImage", "Convert", "ToDevice")
"""Operations of FFCV whose work this pipeline does itself, after all transforms."""


def _check_transforms(transforms: Sequence[Any]) -> None:
    for transform in transforms:
        name = type(transform).__name__
        if name in _LATER:
            raise ConfigError(
                f"transforms: {name} does not belong there: transforms are given 8-bit images, which are standardized "
                "and made tensors afterwards. Leave it out; 'normalize' and 'dtype' say how."
            )


def image_pipeline(
    file: dict[str, Any], normalize: Normalization | None, dtype: torch.dtype, transforms: Sequence[Any]
) -> list[Any]:
    """Make the operations from a file's bytes to standardized tensors; the sidecar's `file` says how it is stored."""
    threads = torch.get_num_threads()
    try:
        from ffcv.fields.decoders import CenterCropRGBImageDecoder, NDArrayDecoder, SimpleRGBImageDecoder
        from ffcv.transforms import ToTensor

        from dynvision.data.loading.ffcv_standardize import StandardizePixels
    finally:
        torch.set_num_threads(threads)
    channels, size = file["channels"], file["resolution"]
    _check_transforms(transforms)
    table = pixel_table(channels, normalize, dtype)
    # Numba has no half precision: such numbers are passed as the integers with the same bits.
    bits = table.view(torch.int16) if table.dtype in (torch.float16, torch.bfloat16) else table
    decode = SimpleRGBImageDecoder() if channels == 3 else NDArrayDecoder()
    if file["write_mode"] == "bytes":  # images of many sizes: the largest square in the middle, scaled
        decode = CenterCropRGBImageDecoder((size, size), ratio=1.0)
    numbers = pixel_scaling(channels, normalize).numpy() if table.dtype == torch.float32 else None
    return [decode, *transforms, StandardizePixels(bits.numpy(), numbers, channels_last=channels == 3), ToTensor()]


def open_loader(path: Path, image: list[Any], options: dict[str, Any]) -> Any:
    """Open FFCV's loader of a verified file, and leave torch's number of threads as it is."""
    from ffcv.fields.decoders import IntDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import ToTensor

    others = {name: value for name, value in options.items() if name not in ("indices", "order")}
    indices, order = options["indices"], OrderOption[options["order"].upper()]
    pipelines = {"image": image, "label": None, "index": [IntDecoder(), ToTensor()]}
    threads = torch.get_num_threads()
    try:
        chosen = None if indices is None else np.asarray(indices)
        return Loader(str(path), order=order, indices=chosen, pipelines=pipelines, **others)
    finally:
        torch.set_num_threads(threads)


def read_epoch(
    loader: Any, path: Path, opened_as: dict[str, int], dtype: torch.dtype
) -> Generator[tuple[Tensor, npt.NDArray[np.int64]], None, None]:
    """Read one epoch of one of FFCV's loaders.

    Args:
        loader: The loader.
        path: Its file.
        opened_as: The state of the file when it was verified; see `file_state`.
        dtype: The type of the images.

    Yields:
        Images `[B, C, H, W]` and their positions in the file `[B]`, in memory of their own.

    Raises:
        DamagedFileError: If the file was changed or replaced meanwhile.
    """
    threads = torch.get_num_threads()
    if loader.num_workers > 1:
        note_threads()
    if file_state(path) != opened_as:  # FFCV opens it again for every epoch
        raise changed_while_read(path)
    try:
        epoch = iter(loader)
    except (ValueError, OSError) as error:
        raise changed_while_read(path) from error
    is_first = True
    try:
        torch.set_num_threads(threads)
        while (batch := _next_batch(epoch)) is not None:
            images, ids = batch[0].clone(), batch[1].reshape(-1).numpy().copy()
            if is_first:  # FFCV's thread sets torch's threads when it starts
                torch.set_num_threads(threads)
                is_first = False
            yield images.view(dtype), ids
        if file_state(path) != opened_as:
            raise changed_while_read(path)
    finally:
        _close_epoch(epoch)
        if is_first:
            torch.set_num_threads(threads)


def _next_batch(epoch: Any) -> Any:
    """Take the next batch; do not wait forever after an error in FFCV's own thread."""
    while True:
        try:
            item = epoch.output_queue.get(timeout=1.0)
        except queue.Empty:
            if not epoch.is_alive() and epoch.output_queue.empty():
                raise RuntimeError("FFCV's reader stopped; its error is printed above") from None
            continue
        return None if item is None else item[1]


def _close_epoch(epoch: Any) -> None:
    """End FFCV's thread and give its memory back, also if the epoch was left early."""
    epoch.terminate_event.set()
    while epoch.is_alive():
        try:
            epoch.output_queue.get_nowait()
        except queue.Empty:
            epoch.join(timeout=0.05)
    if not epoch.closed:
        epoch.close()
        epoch.closed = True
