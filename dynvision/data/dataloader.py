"""Stimuli in time from any torch dataset: data loaders that add a time axis."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from dynvision.config.experiments import canonical_argument
from dynvision.data.presentation import Presentation, StimulusSequence, make_presentation
from dynvision.data.presentation_names import PRESENTATIONS, presentation_arguments
from dynvision.data.splits import stratified_split
from dynvision.errors import nearest_name, unknown_name

__all__ = [
    "Batch",
    "StandardDataLoader",
    "StimulusContrastDataLoader",
    "StimulusDurationDataLoader",
    "StimulusIntervalDataLoader",
    "StimulusNoiseDataLoader",
    "StimulusProgramDataLoader",
    "StimulusRepetitionDataLoader",
    "get_data_loader",
    "get_train_val_loaders",
    "resolve_presentation",
    "show_batch",
]

Batch = tuple[Tensor | StimulusSequence, Tensor]
"""A stimulus `[B, T, C, H, W]` and its labels over time `[B, T]`, int64."""

_TORCH_ARGUMENTS = [p for p in inspect.signature(DataLoader.__init__).parameters if p not in ("self", "dataset")]

_PRESENTATION_ARGUMENTS = presentation_arguments()


def resolve_presentation(
    presentation: Presentation | None,
    name: str | None,
    n_timesteps: int | None,
    settings: dict[str, Any],
    others: Sequence[str] = (),
) -> Presentation:
    """Take a presentation as it is given, or make the one that settings describe.

    Args:
        presentation: The presentation, or else settings.
        name: The name of the loader that the settings are for.
        n_timesteps: T.
        settings: Settings of the presentation, full names or aliases.
        others: What else the caller accepts, for naming the nearest.

    Raises:
        TypeError: Both a presentation and settings are given, or a setting is unknown.
    """
    for key in settings:
        if canonical_argument(key) == key and key not in _PRESENTATION_ARGUMENTS:
            near = nearest_name(key, [*_PRESENTATION_ARGUMENTS, *others])
            raise TypeError(f"{name or 'Standard'} has no setting '{key}'. {near}")
    if n_timesteps is not None:
        settings = {**settings, "n_timesteps": n_timesteps}
    if presentation is None:
        return make_presentation(name or "Standard", **settings)
    if settings or name:
        extra = ", ".join([*([name] if name else []), *settings])
        raise TypeError(f"give either presentation= or its settings, not both ({extra})")
    return presentation


def show_batch(
    images: Tensor, labels: Tensor, ids: np.ndarray[Any, Any], presentation: Presentation, lazy: bool
) -> Batch:
    """Show a batch of images: the one place where time is added.

    Args:
        images: Shape `[B, C, H, W]` or `[B, K, C, H, W]`.
        labels: Shape `[B]` or `[B, K]`, int64.
        ids: Which sample each image is, shape `[B]`.
        presentation: What is shown when.
        lazy: Give a `StimulusSequence` instead of a dense tensor.
    """
    sequence = StimulusSequence(images, presentation, ids)
    over_time = torch.from_numpy(presentation.labels(labels.numpy()))
    return (sequence if lazy else sequence.dense()), over_time


class _Numbered(Dataset[Any]):
    """A dataset whose items carry their own index."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Any, Any, int]:
        image, label = self.dataset[index]
        return _as_tensor(image), label, index


class StandardDataLoader(DataLoader[Any]):
    """Shows each image at every time step.

    A torch `DataLoader`: it takes all of its arguments, and in addition the settings of its
    presentation under their full names or aliases.

    Args:
        dataset: A dataset of (image, label); images are tensors `[C, H, W]`, or PIL images, which become
            float tensors in [0, 1].
        presentation: What is shown when, instead of settings.
        lazy: Yield `StimulusSequence`s instead of dense tensors.
        dtype: Type of the images; by default as the dataset gives them.
        settings: Arguments of torch's `DataLoader`, and settings of the presentation.

    Raises:
        TypeError: A keyword is unknown; the message names the nearest.
        ValueError: A setting is impossible, or the dataset is empty.
    """

    presentation_name: ClassVar[str] = "Standard"

    def __init__(
        self,
        dataset: Any,
        *,
        presentation: Presentation | None = None,
        lazy: bool = False,
        dtype: torch.dtype | None = None,
        **settings: Any,
    ) -> None:
        if len(dataset) == 0:
            raise ValueError("the dataset is empty: there is nothing to show")
        own = {k: v for k, v in settings.items() if k not in _TORCH_ARGUMENTS}
        torch_arguments = {k: v for k, v in settings.items() if k in _TORCH_ARGUMENTS}
        name = self.presentation_name if presentation is None else None
        chosen = resolve_presentation(presentation, name, None, own, _TORCH_ARGUMENTS)
        super().__init__(_Numbered(dataset), **torch_arguments)
        self.presentation, self.lazy, self.dtype = chosen, lazy, dtype

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names its private iterator
        for images, labels, ids in self.iterate_images():
            yield show_batch(images, labels, ids, self.presentation, self.lazy)

    def iterate_images(self) -> Iterator[tuple[Tensor, Tensor, np.ndarray[Any, Any]]]:
        """Iterate over the images themselves.

        Yields:
            Images `[B, C, H, W]`, labels `[B]` (int64) and each sample's index in the dataset `[B]`.
        """
        for images, labels, ids in super().__iter__():
            images = images if self.dtype is None else images.to(self.dtype)
            yield images, torch.as_tensor(labels, dtype=torch.int64), ids.numpy()


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


_LOADERS: Sequence[type[StandardDataLoader]] = (
    StandardDataLoader,
    StimulusDurationDataLoader,
    StimulusContrastDataLoader,
    StimulusIntervalDataLoader,
    StimulusRepetitionDataLoader,
    StimulusNoiseDataLoader,
    StimulusProgramDataLoader,
)


def get_data_loader(
    dataset: Any, dataloader: str | type[StandardDataLoader] | None = None, **settings: Any
) -> StandardDataLoader:
    """Make the loader of a name, with the arguments of torch's `DataLoader` and of its presentation.

    Args:
        dataset: A dataset of (image, label).
        dataloader: `StimulusDuration`, `StimulusContrast` …, a loader class, or `None` for the standard one.
        settings: See `StandardDataLoader`.
    """
    if isinstance(dataloader, type):
        return dataloader(dataset, **settings)
    by_name = {kind.presentation_name: kind for kind in _LOADERS}
    name = (dataloader or "Standard").removesuffix("DataLoader")
    if name not in by_name:
        raise unknown_name("dataloader", dataloader, PRESENTATIONS)
    return by_name[name](dataset, **settings)


def get_train_val_loaders(
    dataset: Any,
    train_ratio: float = 0.9,
    seed: int = 0,
    dataloader: str | type[StandardDataLoader] | None = None,
    **settings: Any,
) -> tuple[StandardDataLoader, StandardDataLoader]:
    """Split a dataset into loaders for training, shuffled, and for validation, in order.

    The split has the same share of every class in both parts where the dataset has `targets`, and
    depends on the seed alone.

    Args:
        dataset: A dataset of (image, label).
        train_ratio: Share of the training part, in (0, 1).
        seed: Seeds the split and the order of training.
        dataloader: As for `get_data_loader`.
        settings: As for `get_data_loader`, for both.
    """
    if not 0 < train_ratio < 1:
        raise ValueError(f"train_ratio is a share between 0 and 1, not {train_ratio}")
    targets = getattr(dataset, "targets", None)
    labels = [0] * len(dataset) if targets is None else [int(label) for label in targets]
    train, val = stratified_split(labels, train_ratio, seed)
    if not val:
        raise ValueError("no class has two images, so nothing is left for validation; add images")
    order = {"shuffle": True, "generator": torch.Generator().manual_seed(seed)}
    return (
        get_data_loader(Subset(dataset, train), dataloader, **{**order, **settings}),
        get_data_loader(Subset(dataset, val), dataloader, **{**settings, "shuffle": False}),
    )


def _as_tensor(image: Any) -> Any:
    if isinstance(image, Tensor):
        return image
    from torchvision.transforms.v2.functional import pil_to_tensor, to_dtype

    return to_dtype(pil_to_tensor(image), torch.float32, scale=True)
