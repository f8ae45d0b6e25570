"""Batches that carry the numbers of their samples: reading items from a dataset, and collating them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset, default_collate

__all__ = ["Collation", "NumberedDataset", "NumberedItems"]


class NumberedItems(list[Any]):
    """The items of a batch.

    Attributes:
        ids: Which sample each trial is, shape `[B]`.
        per_trial: How many items are a trial's images.
        stacked: Images and labels that were read at once; the list is then empty.
    """

    ids: npt.NDArray[np.int64]
    per_trial: int = 1
    stacked: tuple[Tensor, Tensor] | None = None

    def as_list(self) -> list[Any]:
        """The items as a plain list, for a user's own collation."""
        return list(self) if self.stacked is None else list(zip(*self.stacked, strict=True))


class NumberedDataset(Dataset[Any]):
    """The dataset that torch's loader reads: its batches carry the samples' numbers.

    Args:
        dataset: Gives (image, label) items.
        trials: Which samples each trial shows, shape `[N, K]`; `None` for one image a trial.
    """

    def __init__(self, dataset: Any, trials: npt.NDArray[np.int64] | None = None) -> None:
        self.dataset, self.trials = dataset, trials
        self._is_of_trials: bool | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, indices: Sequence[int]) -> NumberedItems:
        items = NumberedItems()
        items.ids = _number_in_whole(self.dataset, indices)
        wanted: Sequence[int] = list(indices)
        if self.trials is not None and not self._gives_trials(wanted[0]):
            items.per_trial = self.trials.shape[1]
            wanted = self.trials[np.asarray(indices)].reshape(-1).tolist()
        if type(self.dataset) is TensorDataset and len(self.dataset.tensors) == 2:
            images, labels = self.dataset.tensors
            items.stacked = images[wanted], labels[wanted]
            return items
        read_many = getattr(self.dataset, "__getitems__", None)
        items.extend(read_many(wanted) if read_many else [self.dataset[index] for index in wanted])
        return items

    def _gives_trials(self, index: int) -> bool:
        """Return whether an item is a whole trial already, with images `[K, C, H, W]`."""
        if self._is_of_trials is None:
            image, _ = _check_pair(self.dataset[index], "the dataset gives")
            self._is_of_trials = getattr(image, "ndim", 3) == 4
        return self._is_of_trials


class Collation:
    """Makes a batch of items: images, labels, and the samples' numbers.

    Args:
        collate: The user's own function, which returns images and labels; by default torch's.
        dtype: Type of the images.
    """

    def __init__(self, collate: Callable[[list[Any]], Any] | None, dtype: torch.dtype | None) -> None:
        self.collate, self.dtype = collate, dtype

    def __call__(self, items: Any) -> tuple[Tensor, Tensor, npt.NDArray[np.int64]]:
        """Collate the items of a batch.

        Returns:
            Images `[B, C, H, W]` (or `[B, K, C, H, W]`), labels `[B]` (or `[B, K]`, int64), numbers `[B]`.

        Raises:
            TypeError: If items are no pairs of an image and a label, or labels are no class indices.
            ValueError: If images differ in size, are not one for each item, or do not fit `dtype`.
        """
        if not len(items.ids):
            raise ValueError("the batch sampler gave a batch without samples; leave empty batches out")
        if self.collate is None:
            images, labels = items.stacked or _collate_pairs(items)
        else:
            images, labels = _check_pair(self.collate(items.as_list()), "collate_fn gives")
            images = images.clone()  # it may be a view of the dataset, and a batch belongs to the caller
        if self.dtype is not None and images.dtype != self.dtype:
            if images.is_floating_point() and not self.dtype.is_floating_point:
                raise ValueError(f"dtype={self.dtype} would cut off the fractions of {images.dtype} images")
            images = images.to(self.dtype)
        if not isinstance(labels, Tensor) or labels.dtype != torch.int64:
            labels = _as_labels(labels)
        if labels.dim() != 1:
            labels = _check_label_shape(labels, images)
        count = len(items.ids) * items.per_trial
        if len(images) != count or len(labels) != count:
            raise ValueError(
                f"collate_fn makes {len(images)} images and {len(labels)} labels of {count} items; a sample's noise is "
                "its own, so every item has to stay one image"
            )
        if items.per_trial > 1:
            images, labels = (part.unflatten(0, (-1, items.per_trial)) for part in (images, labels))
        return images, labels, items.ids


def _number_in_whole(dataset: Any, indices: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the samples' indices in the dataset that subsets were taken from."""
    numbers = list(indices)
    while type(dataset) is Subset:  # only the batch's own are looked up: there may be a million others
        indices_in_whole = dataset.indices
        numbers, dataset = [indices_in_whole[number] for number in numbers], dataset.dataset
    return np.array(numbers, dtype=np.int64)


def _collate_pairs(items: Sequence[Any]) -> tuple[Tensor, Any]:
    """Stack (image, label) items as torch's own collation does."""
    _check_pair(items[0], "the dataset gives")
    columns = tuple(zip(*items, strict=False))
    images = [image if isinstance(image, Tensor) else _as_tensor(image) for image in columns[0]]
    try:
        return default_collate(images), default_collate(list(columns[1]))
    except RuntimeError as error:
        sizes = {tuple(image.shape) for image in images}
        if len(sizes) == 1:
            raise
        raise ValueError(
            f"images of one batch have different sizes, {' and '.join(str(list(s)) for s in sorted(sizes)[:3])}. "
            "Give the dataset a transform that brings them to one size, such as v2.Resize((224, 224))."
        ) from error


def _check_pair(item: Any, giver: str) -> tuple[Any, Any]:
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        given = f"{len(item)} values" if isinstance(item, (tuple, list)) else type(item).__name__
        raise TypeError(f"{giver} {given} where an (image, label) pair is needed")
    return item[0], item[1]


def _check_label_shape(labels: Tensor, images: Tensor) -> Tensor:
    """Return labels as one class index an image: `[B]`, or `[B, K]` for images `[B, K, C, H, W]`."""
    if labels.dim() == 2 and labels.shape[1] == 1:
        return labels[:, 0]
    if labels.dim() == 2 and images.dim() == 5 and labels.shape[1] == images.shape[1]:
        return labels
    raise TypeError(
        f"labels are one class index an image, and these have the shape {list(labels.shape)} for images of shape "
        f"{list(images.shape)}. Take the class of one-hot labels with .argmax(-1)."
    )


def _as_labels(labels: Any) -> Tensor:
    try:
        numbers = torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"labels are class indices, whole numbers, not {labels!r}") from error
    if numbers.is_floating_point() and not torch.equal(numbers, numbers.round()):
        raise TypeError(f"labels are class indices, whole numbers, not {numbers[:3].tolist()}")
    return numbers.to(torch.int64)


def _as_tensor(image: Any) -> Tensor:
    from PIL import Image, ImageOps

    if isinstance(image, np.ndarray):
        if image.ndim == 3 and image.shape[-1] in (1, 3, 4) and image.shape[0] not in (1, 3, 4):
            raise TypeError(
                f"a NumPy image of shape {list(image.shape)} has its channels last; tensors and arrays are [C, H, W] "
                "and are taken as they are. Give the dataset a transform such as v2.ToImage() and "
                "v2.ToDtype(torch.float32, scale=True)."
            )
        return torch.from_numpy(image)
    if not isinstance(image, Image.Image):
        raise TypeError(f"an image is a tensor, a NumPy array [C, H, W] or a PIL image, not {type(image).__name__}")
    image = ImageOps.exif_transpose(image)
    if image.mode == "P":
        image = image.convert("RGB")
    if image.mode not in ("1", "L", "I;16", "RGB"):
        raise TypeError(f"a PIL image of mode {image.mode} has no one meaning in [0, 1]; give image.convert('RGB')")
    from torchvision.transforms.v2.functional import pil_to_tensor, to_dtype

    made: Tensor = to_dtype(pil_to_tensor(image), torch.float32, scale=True)
    return made
