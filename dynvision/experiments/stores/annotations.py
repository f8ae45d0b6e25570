"""What results say about themselves: names of classes, long names, units, and the same variables for every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynvision.experiments.stores.layout import IMAGE_CONTRAST, REFERENCES

if TYPE_CHECKING:
    import xarray

__all__ = ["CLASS_NAMES", "attributes_of", "complete_layer", "describe_variables", "name_classes", "name_labels"]

_STEP, _ONE = "step", "1"

_ABOUT: Mapping[str, tuple[str, str]] = {
    "sample": ("place in test.beton or the interim folder", _ONE),
    "time": ("end of the step, from the onset of the stimulus", _STEP),
    "time_ms": ("end of the step, from the onset of the stimulus", "ms"),
    "step": ("step of the trial, counted from its first", _ONE),
    "image": ("image of the trial, in the order in which they are shown", _ONE),
    "class": ("class of each output, in the dataset's own order", _ONE),
    "class_name": ("name of the class of each output", ""),
    "label": ("class index in the dataset's own order", _ONE),
    "label_name": ("name of the image's class", ""),
    "group_label": ("class index in the group", _ONE),
    "source": ("image file, relative to the data root", ""),
    "image_label": ("class index of each image, in the dataset's own order", _ONE),
    "image_label_name": ("name of the class of each image", ""),
    "image_group_label": ("class index of each image in the group", _ONE),
    "image_source": ("file of each image, relative to the data root", ""),
    "shown": ("image shown, -1 for void", _ONE),
    "contrast_shown": ("multiplier of the image's own contrast, 0 for void", _ONE),
    IMAGE_CONTRAST: ("RMS contrast of the image at its own contrast", _ONE),
    "scores": ("output of the network, before softmax", _ONE),
    "predicted": ("class of the highest score", _ONE),
    "confidence": ("softmax probability of the highest score", _ONE),
    "rank": ("outputs ranked before that of the image's class", _ONE),
    "response": ("response of each unit", _ONE),
    "mean": ("mean response over units", _ONE),
    "std": ("standard deviation of the response over units", _ONE),
    "feature_std": ("standard deviation over channels of their mean response", _ONE),
    "channel": ("channel of the layer", _ONE),
    "token": ("token of the layer", _ONE),
    "y": ("row in the layer's map, from the top", _ONE),
    "x": ("column in the layer's map, from the left", _ONE),
    "unit": ("unit, in the order in which they were chosen", _ONE),
}
"""For each variable of a store its long name, and its unit; texts have none. Units are those of the CF conventions."""

_TIMES = {"time": "time from onset", "time_ms": "time from onset"}
"""Coordinates whose long name is too long for an axis, where xarray writes it, and what is written instead."""

CLASS_NAMES = {"class": "class_name", "label": "label_name", "image_label": "image_label_name"}
"""Coordinates that are indices of classes, and those with the names of the classes."""


def attributes_of(name: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the attributes of a variable of a store.

    Args:
        name: The variable.
        given: Attributes that it has already; they are kept.
    """
    long_name, units = _ABOUT.get(name, ("", ""))
    own = {key: value for key, value in (("long_name", long_name), ("units", units)) if value}
    return {**own, **(given or {})}


def describe_variables(
    dataset: xarray.Dataset, node: str, parameters: Mapping[str, Mapping[str, str]]
) -> xarray.Dataset:
    """Return a node with a long name for each variable and coordinate, and a unit for each but texts.

    Args:
        dataset: The node.
        node: Its name; the root has none.
        parameters: The attributes of each swept parameter.
    """
    described = dataset.copy()
    for name in described.variables:
        variable = described[name]
        given = {**parameters.get(str(name), {}), **variable.attrs}
        if node in REFERENCES and name in described.data_vars:
            given = {"long_name": f"{name}: {REFERENCES[node]}", "units": _ONE, **given}
        attributes = attributes_of(str(name), given)
        if name in _TIMES:
            attributes = {**attributes, "long_name": _TIMES[str(name)], "description": attributes["long_name"]}
        attributes.setdefault("long_name", str(name).replace("_", " "))
        variable.attrs = attributes
    return described


def name_labels(labels: npt.ArrayLike, names: Mapping[int, str]) -> npt.NDArray[np.object_]:
    """Return the name of each label; empty where a label has none.

    Args:
        labels: Class indices, of any shape.
        names: The name of each class.
    """
    distinct, positions = np.unique(np.asarray(labels), return_inverse=True)
    texts = np.array([names.get(int(index), "") for index in distinct], dtype=object)
    return texts[positions].reshape(np.shape(labels))


def name_classes(dataset: xarray.Dataset, names: Mapping[int, str]) -> xarray.Dataset:
    """Return a node with the names of classes beside their indices, unless it has them.

    Args:
        dataset: The node, with its coordinates in memory.
        names: The name of each class; without any, nothing is added.
    """
    added = {
        named: (dataset[index].dims, name_labels(dataset[index].values, names))
        for index, named in CLASS_NAMES.items()
        if names and index in dataset.coords and named not in dataset.variables
    }
    return dataset.assign_coords(added)


def complete_layer(layer: xarray.Dataset) -> xarray.Dataset:
    """Return a layer with `mean` and `std`, computed from `response` if it is all that was stored.

    They are those over space of each channel, as at channel resolution, also for a layer without space, whose mean is
    its response; or over the chosen units, if only some were recorded. They are lazy if the response is.

    Args:
        layer: The layer, with the dimensions `(parameters …, sample, time, …)`.
    """
    if "response" not in layer or "mean" in layer:
        return layer
    response = layer["response"]
    trailing = _trailing(response.dims)
    over = trailing if trailing == ("unit",) else trailing[1:]
    if over:
        mean, std = response.mean(over, skipna=False), response.std(over, skipna=False)
    else:
        mean = response
        std = response.where(response.isnull(), 0)  # it is NaN where there is no response
    what = "the chosen units" if over == ("unit",) else "space"
    mean_name, std_name = f"mean response over {what}", f"standard deviation of the response over {what}"
    return layer.assign(
        mean=mean.assign_attrs(long_name=mean_name, units=_ONE), std=std.assign_attrs(long_name=std_name, units=_ONE)
    )


def _trailing(dimensions: Sequence[Any]) -> tuple[str, ...]:
    """Return the dimensions of a layer after time."""
    names = tuple(str(name) for name in dimensions)
    return names[names.index("time") + 1 :]
