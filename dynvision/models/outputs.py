"""What a network or a layer returns: finding the class scores, or one tensor, in tuples, mappings and dataclasses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dynvision.errors import ConfigError, UnknownNameError, nearest_name

__all__ = ["SCORE_NAMES", "as_plain", "find_part", "first_tensor", "take_scores"]

SCORE_NAMES = ("logits", "out", "output", "scores", "prediction")
"""The names under which networks return class scores among other values; the first one that is there is taken."""


def take_scores(result: Any, network: str, n_dims: int = 2) -> Tensor:
    """Return the class scores in what a network returns.

    A tensor is taken as it is. In a tuple, list, mapping, dataclass, named tuple or another object with attributes,
    the scores are what is called `logits`, `out`, `output`, `scores` or `prediction`, or else the first tensor of
    shape `[B, K]`, also inside such a value within it. Scores of shape `[B, K, 1, 1]` become `[B, K]`; whole numbers
    become real ones.

    Args:
        result: What the network returned.
        network: The name of its class, for messages.
        n_dims: How many dimensions class scores have: 2, or 3 with an axis of the steps.

    Raises:
        ConfigError: If there is no tensor, or it is complex.
    """
    scores = result if isinstance(result, Tensor) else _search(result, 2, n_dims)
    if scores is None:
        raise ConfigError(
            f"{network} returns a {type(result).__name__} without a tensor of class scores. It has to return a tensor "
            f"[images, classes], or one called {', '.join(SCORE_NAMES[:-1])} or {SCORE_NAMES[-1]} among other values."
        )
    if scores.is_complex():
        raise ConfigError(f"{network} gives complex scores; class scores are real numbers. Return their real part.")
    scores = as_plain(scores)
    if n_dims == 2 and scores.dim() == 4 and scores.shape[2:] == (1, 1):
        scores = scores[:, :, 0, 0]
    return scores if scores.is_floating_point() else scores.float()


def first_tensor(value: Any) -> Tensor | None:
    """Return the first tensor in what a layer returns, however deep in it; `None` if there is none."""
    if isinstance(value, Tensor):
        return value
    return next((tensor for inner in parts_of(value).values() if (tensor := first_tensor(inner)) is not None), None)


def find_part(value: Any, parts: tuple[str, ...], layer: str) -> Any:
    """Return a part of what a layer returns, by names or numbers, one for each level.

    Args:
        value: What the layer returned.
        parts: The keys, names or numbers (from 0) of the part.
        layer: The layer, for messages.

    Raises:
        UnknownNameError: If there is no such part.
    """
    for part in parts:
        inner = parts_of(value)
        if part not in inner:
            if not inner:
                raise UnknownNameError(
                    f"the layer '{layer}' has no part '{part}': it returns one {type(value).__name__}. Record "
                    f"'{layer}', or a layer within it by its name."
                )
            raise UnknownNameError(
                f"the output of the layer '{layer}', a {type(value).__name__}, has no part '{part}'. "
                f"{nearest_name(part, inner)}"
            )
        value, layer = inner[part], f"{layer}.{part}"
    return value


def parts_of(value: Any) -> dict[str, Any]:
    """Return the parts of a value by name, or by number as text; none for a tensor, a number or a text."""
    if isinstance(value, Mapping):
        return {str(key): inner for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        names = getattr(value, "_fields", None) or range(len(value))
        return {str(name): inner for name, inner in zip(names, value, strict=True)} | (
            {str(number): inner for number, inner in enumerate(value)}
        )
    if isinstance(value, Tensor | type | str | bytes) or value is None:
        return {}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return dict(vars(value)) if hasattr(value, "__dict__") else {}


def as_plain(tensor: Tensor) -> Tensor:
    """Return a tensor in the usual layout; a sparse or quantized one is written out."""
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor if tensor.layout is torch.strided else tensor.to_dense()


def _search(value: Any, depth: int, n_dims: int) -> Tensor | None:
    """Find class scores: by name, then by shape, then any tensor, whose shape is refused later."""
    parts = {name: inner for name, inner in parts_of(value).items() if inner is not None}
    for name in SCORE_NAMES:
        if name in parts:
            found = parts[name] if isinstance(parts[name], Tensor) else _search(parts[name], depth - 1, n_dims)
            if found is not None:
                return found
    tensors = [inner for inner in parts.values() if isinstance(inner, Tensor)]
    nested = (
        [_search(inner, depth - 1, n_dims) for inner in parts.values() if not isinstance(inner, Tensor)]
        if depth
        else []
    )
    found_all = [*tensors, *(tensor for tensor in nested if tensor is not None)]
    fits = [tensor for tensor in found_all if tensor.dim() == n_dims and tensor.is_floating_point()]
    return next(iter(fits), next(iter(found_all), None))
