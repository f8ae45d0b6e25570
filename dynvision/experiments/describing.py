"""What a store says about its responses: coordinates of samples, time and channels, and how they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.data.images.samples import NO_CLASS
from dynvision.data.images.stimulus_table import FILENAME, FRAME, STIMULUS_ID
from dynvision.experiments.probing import Probe
from dynvision.experiments.reducing import Reduction, store_name
from dynvision.experiments.stores.annotations import CLASS_NAMES, name_labels
from dynvision.experiments.stores.layout import IMAGE_CONTRAST
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import count_time

__all__ = ["ShownImages", "describe_layers", "describe_making", "describe_trials"]

Variables = dict[str, tuple[Any, ...]]

_LABELS = ("label", "group_label")

TIME = "end of the step, from the onset of the stimulus (where nothing is shown, from the end of the intro)"
"""What the coordinates of time are; see `dynvision.stimuli.showings`."""


RMS_CONTRAST = (
    "RMS contrast of the image at its own contrast (Peli 1990): root mean square deviation of the standardized image "
    "from the reference, over pixels and channels, without noise"
)
"""What `image_contrast` is; see `dynvision.stimuli.contrast`."""


@dataclass(frozen=True)
class ShownImages:
    """The images of the trials.

    Attributes:
        table: `source`, `label` (the dataset's own index) and `group_label` of every sample of the partition, and the
            columns of a stimulus set.
        trials: Which samples each trial shows, shape `[N, K]`; the first one names the trial.
        are_frames: Whether the images of a trial are the frames of one stimulus, from the first.
    """

    table: Mapping[str, Sequence[Any]]
    trials: npt.NDArray[np.int64]
    are_frames: bool = False

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The sample that names each trial, shape `[N]`."""
        return self.trials[:, 0]

    @property
    def columns(self) -> list[str]:
        """The columns of a stimulus set; none of other datasets."""
        left_out = {*_LABELS, "source", *([FRAME] if self.are_frames else [])}
        return [name for name in self.table if name not in left_out]

    @property
    def has_labels(self) -> bool:
        """Whether anything says what the images show; of a stimulus set, a column of its table may."""
        return not self.columns or any(label != NO_CLASS for label in self.table["label"])

    def labels(self, image: int = 0) -> npt.NDArray[np.int64]:
        """The class of an image of each trial, shape `[N]`, in the dataset's own order."""
        return np.asarray(self.table["label"], dtype=np.int64)[self.trials[:, image]]


def describe_trials(
    images: ShownImages,
    presentation: Presentation,
    output_classes: Sequence[int],
    dt: float | None,
    class_names: Mapping[int, str] = MappingProxyType({}),
    label_names: Mapping[int, str] = MappingProxyType({}),
) -> Variables:
    """Return the coordinates of a store's root, as xarray takes them.

    The contrast of the images is NaN until the images were read.

    Args:
        images: The images of the trials.
        presentation: What was shown when, without idle steps.
        output_classes: The class of each output.
        dt: Milliseconds of a step; `None` leaves time in steps.
        class_names: The name of the class of each output, by its index.
        label_names: The name of each class that is shown, by its index in the dataset's own order.

    Returns:
        By name: dimensions, values and attributes.
    """
    reference = float(presentation.contrast_reference)
    steps, ids, time = presentation.n_timesteps, images.ids, count_time(presentation)
    sources = np.asarray(images.table["source"], dtype=object)
    groups = np.asarray(images.table["group_label"], dtype=np.int64)
    own_index = {"long_name": "class index in the dataset's own order"}
    coordinates: Variables = {
        "sample": ("sample", ids, {"long_name": "place in test.beton or the interim folder"}),
        "time": ("time", time, {"units": "step", "long_name": TIME}),
        "step": ("time", np.arange(steps), {"long_name": "step of the trial, counted from its first"}),
        "label": ("sample", images.labels(), own_index),
        "group_label": ("sample", groups[ids], {"long_name": "class index in the group"}),
        "source": ("sample", sources[ids], {"long_name": "image file, relative to the data root"}),
        "shown": ("time", presentation.frames, {"long_name": "image shown, -1 for void"}),
        "contrast_shown": (
            "time",
            np.where(presentation.frames < 0, 0.0, presentation.contrasts),
            {"long_name": "multiplier of the image's own contrast, 0 for void", "reference": reference},
        ),
        "class": ("class", np.asarray(output_classes), {"long_name": "class of each output"}),
    }
    by_trial = images.trials if images.trials.shape[1] > 1 else images.trials[:, 0]
    contrast = {"long_name": RMS_CONTRAST, "units": "1", "reference": reference}
    coordinates |= _describe_stimuli(images)
    coordinates[IMAGE_CONTRAST] = (("sample", "image")[: by_trial.ndim], np.full(by_trial.shape, np.nan), contrast)
    if images.trials.shape[1] > 1:
        dims = ("sample", "image")
        coordinates["image_label"] = (dims, np.asarray(images.table["label"])[images.trials], own_index)
        coordinates["image_group_label"] = (dims, groups[images.trials], {"long_name": "class index in the group"})
        coordinates["image_source"] = (dims, sources[images.trials])
        if images.columns:
            coordinates["image_stimulus_id"] = (dims, _as_array(images.table[STIMULUS_ID])[images.trials])
    if dt is not None:
        coordinates["time_ms"] = ("time", time * float(dt), {"units": "ms", "long_name": TIME})
    for index, named in CLASS_NAMES.items():
        names = class_names if index == "class" else label_names
        if names and index in coordinates:
            dims, indices = coordinates[index][:2]
            coordinates[named] = (dims, name_labels(indices, names))
    if not images.has_labels:
        for name in ("label", "group_label", "label_name", "image_label", "image_group_label", "image_label_name"):
            coordinates.pop(name, None)
    return coordinates


def _describe_stimuli(images: ShownImages) -> Variables:
    """Return a coordinate for each column of a stimulus set."""
    said = {FILENAME: "image file, below the folder of the stimulus set", STIMULUS_ID: "what the stimulus is called"}
    described: Variables = {}
    for name in images.columns:
        values = _as_array(images.table[name])[images.ids]
        described[name] = ("sample", values, {"long_name": said.get(name, f"column '{name}' of the table of stimuli")})
    if images.columns:
        place = {"long_name": "place in images.beton or the interim folder"}
        described["sample"] = ("sample", images.ids, place)
    return described


def _as_array(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Return a column as whole numbers, numbers, Booleans or texts."""
    return np.asarray(values, dtype=object if isinstance(values[0], str) else None)


def describe_layers(probe: Probe, reduction: Reduction) -> dict[str, Variables]:
    """Return the coordinates of each layer's group, as xarray takes them.

    They are `channel`, or the position of each chosen unit: `channel`, `y` and `x`, or `channel` and `token`.
    """
    layers: dict[str, Variables] = {}
    for layer, shape in probe.shapes.items():
        chosen = reduction.coordinates(layer, shape)
        group = store_name(layer)
        dims = {dim for name, spec in probe.arrays.items() if name.startswith(f"{group}/") for dim in spec.dims}
        variables: Variables = {name: ("unit", position) for name, position in chosen.items()}
        if "channel" in dims:
            variables["channel"] = ("channel", np.arange(shape[0]))
        layers[group] = variables
    return layers


def describe_making(settings: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """Return the attributes of a store: everything needed to make it again. Mappings are written as JSON."""
    described = {**facts, "settings": settings}
    return {name: json.dumps(v, sort_keys=True) if isinstance(v, Mapping) else v for name, v in described.items()}
