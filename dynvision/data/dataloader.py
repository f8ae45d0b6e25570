"""Stimuli in time from any torch dataset: data loaders that add a time axis."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from dynvision.data.images.splits import stratified_split
from dynvision.data.loading.batches import Batch, BatchMaker
from dynvision.data.loading.classes import find_classes
from dynvision.data.loading.forking import safe_start_method
from dynvision.data.loading.loader_settings import check_dataset, check_dtype, resolve_presentation
from dynvision.data.loading.numbered_items import Collation, NumberedDataset
from dynvision.data.loading.params import DatasetParams
from dynvision.data.loading.trials import choose_trials, count_images
from dynvision.errors import unknown_name
from dynvision.stimuli.presentation import PRESENTATIONS, Presentation

__all__ = [
    "Batch",
    "DatasetParams",
    "StandardDataLoader",
    "StimulusContrastDataLoader",
    "StimulusDurationDataLoader",
    "StimulusIntervalDataLoader",
    "StimulusNoiseDataLoader",
    "StimulusProgramDataLoader",
    "StimulusRepetitionDataLoader",
    "check_dtype",
    "get_data_loader",
    "get_train_val_loaders",
    "resolve_presentation",
]

_log = logging.getLogger(__name__)

_TORCH_ARGUMENTS = [p for p in inspect.signature(DataLoader.__init__).parameters if p not in ("self", "dataset")]
_BATCHING = ("batch_size", "shuffle", "sampler", "batch_sampler", "drop_last")
_READER_ARGUMENTS = [name for name in _TORCH_ARGUMENTS if name not in _BATCHING]
"""The arguments that do not say which images a batch has; torch keeps each as an attribute of its name."""
_WORKER_ARGUMENTS = ("prefetch_factor", "multiprocessing_context", "persistent_workers")


class StandardDataLoader(DataLoader[Any]):
    """Shows each image at every time step.

    A torch `DataLoader`: it takes all of its arguments, and in addition the settings of its presentation under their
    full names or aliases. A batch is the stimulus `[B, T, C, H, W]` and its labels over time `[B, T]` (int64). A batch
    belongs to the caller: no other batch shares its memory while any part of it is in use. A dense stimulus lies in
    memory as `[T, B, C, H, W]`, so that `x[:, t]` is contiguous; over batch and time use `.reshape` or `.flatten`.

    Args:
        dataset: A dataset of (image, label); images are tensors `[C, H, W]` (or `[K, C, H, W]` for several images a
            trial), or PIL images, which become float tensors in [0, 1].
        presentation: What is shown when, instead of settings.
        lazy: Yield `StimulusSequence` and `LabelSequence`, whose memory does not grow with T, instead of dense tensors.
        dtype: Type of the images; by default as the dataset gives them.
        memory_format: `torch.channels_last` makes each frame `x[:, t]` channels-last.
        images_per_trial: K, by default as many as the presentation shows. If the dataset gives single images, a
            trial's first image is the sample itself and `choose_trials` chooses the others; labels are then `[B, K]`.
        trial_seed: Seeds that choice.
        other_class: The images of a trial, counted from 0, that are of another class than the first; by default as the
            presentation says (`which: other`). The dataset then says its classes: see `find_classes`.
        memory_budget: Bytes that dense batches may take; more is an error that says what fits. Without a budget, a log
            line says so if batches take more than half of the available memory.
        settings: Arguments of torch's `DataLoader`, and settings of the presentation.

    Raises:
        TypeError: If a keyword is unknown; the message names the nearest.
        ValueError: If a setting is impossible, the dataset is empty, or images of one batch differ in size.
    """

    presentation_name: ClassVar[str] = "Standard"

    def __init__(
        self,
        dataset: Any,
        *,
        presentation: Presentation | None = None,
        lazy: bool = False,
        dtype: torch.dtype | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
        images_per_trial: int | None = None,
        trial_seed: int = 0,
        other_class: Sequence[int] | None = None,
        memory_budget: int | None = None,
        **settings: Any,
    ) -> None:
        own = {k: v for k, v in settings.items() if k not in _TORCH_ARGUMENTS}
        torch_arguments = {k: v for k, v in settings.items() if k in _TORCH_ARGUMENTS}
        name = self.presentation_name if presentation is None else None
        chosen = resolve_presentation(presentation, name, None, own, _TORCH_ARGUMENTS)
        check_dataset(dataset, torch_arguments, dtype)
        collate = torch_arguments.pop("collate_fn", None)
        if isinstance(collate, Collation):  # Lightning makes a loader again from another's attributes
            collate = collate.collate
        self._chooses_start = torch_arguments.get("multiprocessing_context") is None
        super().__init__(dataset, collate_fn=Collation(collate, dtype), **torch_arguments)
        # Named like the arguments, as torch's own attributes are: Lightning makes a loader again from them.
        self.presentation, self.lazy, self.dtype, self.memory_format = chosen, lazy, dtype, memory_format
        self.images_per_trial, self.trial_seed, self.other_class = images_per_trial, trial_seed, other_class
        self.memory_budget = memory_budget
        pinned = bool(self.pin_memory) and torch.accelerator.is_available()
        self._maker = BatchMaker(chosen, lazy, pinned, memory_format, memory_budget)
        self._persistent: tuple[tuple[int, tuple[int, ...]], DataLoader[Any]] | None = None
        self._choose_trials()  # raise here if there are too few images, not during an epoch

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names its private iterator
        maker = self._maker
        maker.presentation, maker.lazy, make = self.presentation, self.lazy, maker.make
        for images, labels, ids in self.iterate_images():
            yield make(images, labels, ids)

    def iterate_images(self) -> Iterator[tuple[Tensor, Tensor, npt.NDArray[np.int64]]]:
        """Iterate over the images themselves.

        Yields:
            Images `[B, C, H, W]` or `[B, K, C, H, W]`, labels `[B]` or `[B, K]` (int64) and each sample's index
            in the dataset `[B]`; that of a `Subset` is the index in the whole.
        """
        yield from self._open_reader()

    def epoch_state(self) -> dict[str, Any]:
        """Return what the order of the next epochs follows from, besides torch's global generator: its own one."""
        return {"generator": None if self.generator is None else self.generator.get_state()}

    def restore_epoch(self, state: dict[str, Any]) -> None:
        """Go on with the epoch that was next when `epoch_state` was called, perhaps in another process."""
        if self.generator is not None:
            self.generator.set_state(state["generator"])

    def _open_reader(self) -> DataLoader[Any]:
        """Open torch's loader of the images with their samples' numbers, or take the one whose workers persist."""
        trials = self._choose_trials()
        count = self._count_images(), self._find_others()
        if self._persistent is not None and self._persistent[0] == count:
            return self._persistent[1]
        self._persistent = None  # ends its workers, which read trials of another size
        if self.num_workers:
            self._choose_start_method()
        of_workers = () if self.num_workers else _WORKER_ARGUMENTS
        arguments = {name: getattr(self, name) for name in _READER_ARGUMENTS if name not in of_workers}
        dataset = NumberedDataset(self.dataset, trials)
        reader = DataLoader(dataset, batch_sampler=self.batch_sampler, **arguments)
        if self.persistent_workers:
            self._persistent = count, reader
        return reader

    def _choose_start_method(self) -> None:
        """Start workers in a way that is safe in this process, unless the caller chose one."""
        method = safe_start_method()
        if self._chooses_start and method is not None:
            _log.warning(
                "worker processes are started by '%s', because FFCV's threads ran in this process and a fork of it may "
                "hang; a script then needs 'if __name__ == \"__main__\":'. To fork all the same, give "
                "multiprocessing_context='fork'.",
                method,
            )
            self._chooses_start = False
            self.multiprocessing_context = method

    def _count_images(self) -> int:
        return count_images(self.images_per_trial, self.presentation.n_images)

    def _find_others(self) -> tuple[int, ...]:
        return self.presentation.other_class if self.other_class is None else tuple(self.other_class)

    def _choose_trials(self) -> npt.NDArray[np.int64] | None:
        count, others, n_samples = self._count_images(), self._find_others(), len(self.dataset)  # type: ignore[arg-type]  # it is sized
        if count == 1:
            return None
        classes = find_classes(self.dataset) if others else None
        return choose_trials(n_samples, count, self.trial_seed, classes, () if classes is None else others)


class StimulusDurationDataLoader(StandardDataLoader):
    """Shows each image once for `stimulus_duration` steps; see `Presentation.duration`."""

    presentation_name = "StimulusDuration"


class StimulusContrastDataLoader(StandardDataLoader):
    """Shows each image once at `stimulus_contrast`; see `Presentation.contrast`."""

    presentation_name = "StimulusContrast"


class StimulusIntervalDataLoader(StandardDataLoader):
    """Shows each image twice, `interval_duration` steps apart; see `Presentation.interval`."""

    presentation_name = "StimulusInterval"


class StimulusRepetitionDataLoader(StandardDataLoader):
    """Shows each image several times; see `Presentation.repetition`."""

    presentation_name = "StimulusRepetition"


class StimulusNoiseDataLoader(StandardDataLoader):
    """Shows each image once in noise; see `Presentation.noise`."""

    presentation_name = "StimulusNoise"


class StimulusProgramDataLoader(StandardDataLoader):
    """Shows each image as a program says; see `Presentation.from_program`."""

    presentation_name = "StimulusProgram"


@cache
def _loader_class(name: str) -> type[StandardDataLoader]:
    """Return the loader of a presentation: a class of this module, or one made for a line that has none here."""
    existing = globals().get(f"{name}DataLoader")
    if existing is not None:
        return existing  # type: ignore[no-any-return]
    doc = f"Shows each image as `{getattr(PRESENTATIONS[name], '__name__', name)}` says; see `PRESENTATIONS`."
    attributes = {"presentation_name": name, "__module__": __name__, "__doc__": doc}
    return type(f"{name}DataLoader", (StandardDataLoader,), attributes)


def __getattr__(name: str) -> type[StandardDataLoader]:
    short = name.removesuffix("DataLoader")
    if short != name and short in PRESENTATIONS:
        return _loader_class(short)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def get_data_loader(
    dataset: Any, dataloader: str | type[StandardDataLoader] | None = None, **settings: Any
) -> StandardDataLoader:
    """Make the loader with this name, with the arguments of torch's `DataLoader` and of its presentation.

    Args:
        dataset: A dataset of (image, label).
        dataloader: `StimulusDuration`, `StimulusContrast` …, a loader class, or `None` for the standard one.
        settings: See `StandardDataLoader`.

    Raises:
        UnknownNameError: If no loader has this name.
        TypeError: If a keyword is unknown, or both a presentation and a loader's name are given.
        ValueError: If a setting is impossible.
    """
    if isinstance(dataloader, type):
        return dataloader(dataset, **settings)
    if dataloader is not None and settings.get("presentation") is not None:
        raise TypeError(f"give either presentation= or a dataloader with its settings, not both ({dataloader})")
    name = (dataloader or "Standard").removesuffix("DataLoader")
    if name not in PRESENTATIONS:
        raise unknown_name("dataloader", dataloader, PRESENTATIONS)
    return _loader_class(name)(dataset, **settings)


def get_train_val_loaders(
    dataset: Any,
    train_ratio: float = 0.9,
    seed: int = 0,
    dataloader: str | type[StandardDataLoader] | None = None,
    **settings: Any,
) -> tuple[StandardDataLoader, StandardDataLoader]:
    """Split a dataset into loaders for training, shuffled, and for validation, in order.

    If the dataset has `targets`, both parts have the same share of every class. The split depends on the seed alone.

    Args:
        dataset: A dataset of (image, label).
        train_ratio: Share of the training part, in (0, 1).
        seed: Seeds the split and the order of training.
        dataloader: As for `get_data_loader`.
        settings: As for `get_data_loader`, for both.

    Returns:
        The loaders for training and for validation.

    Raises:
        ValueError: If `train_ratio` is no such share, or no class has two images.
    """
    if not 0 < train_ratio < 1:
        raise ValueError(f"train_ratio is a share between 0 and 1, not {train_ratio}")
    targets = getattr(dataset, "targets", None)
    labels = [0] * len(dataset) if targets is None else [int(label) for label in targets]
    train, val = stratified_split(labels, train_ratio, seed)
    if not val:
        raise ValueError("no class has two images, so that nothing remains for validation; add images")
    order = {"shuffle": True, "generator": torch.Generator().manual_seed(seed)}
    return (
        get_data_loader(Subset(dataset, train), dataloader, **{**order, **settings}),
        get_data_loader(Subset(dataset, val), dataloader, **{**settings, "shuffle": False}),
    )
