"""The buffers and plain attributes of a network: copying, comparing and changing what it may keep between calls."""

from __future__ import annotations

import contextlib
import copy
import math
import random
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["KeptGenerator", "Key", "Values", "changed_values", "disturb", "preserved", "read_values", "write_values"]

Key = tuple[str, str]
"""The name of a module, and that of its buffer or attribute."""

Values = dict[Key, Any]

_OF_TORCH = frozenset(vars(nn.Module()))
"""Attributes that each module has."""

_FAR = 1_000_003
"""How far a whole number is moved: an odd number, beyond the length of any trial."""

_GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


class _Unknown:
    """In place of a value that is not followed, such as an object of a class of the network's own."""


_UNKNOWN = _Unknown()


@dataclass(frozen=True)
class KeptGenerator:
    """A generator of random numbers of the network's own, with its state."""

    generator: Any
    state: Any


def read_values(network: nn.Module) -> Values:
    """Copy all buffers and plain attributes of a network and its modules that are numbers, arrays, or such together."""
    values: Values = {}
    for name, module in network.named_modules():
        for attribute, value in [*module._buffers.items(), *vars(module).items()]:
            if attribute not in _OF_TORCH and (copied := _copy(value)) is not _UNKNOWN:
                values[name, attribute] = copied
    return values


def changed_values(before: Values, network: nn.Module) -> list[Key]:
    """Return which buffers and attributes of a network are others than those that were read before, or new."""
    return [k for k, value in read_values(network).items() if k not in before or not _equal(before[k], value)]


def write_values(network: nn.Module, values: Mapping[Key, Any]) -> None:
    """Set buffers and attributes to copies of values that were read."""
    modules = dict(network.named_modules())
    for (name, attribute), value in values.items():
        kept = modules[name]._buffers if attribute in modules[name]._buffers else modules[name].__dict__
        kept[attribute] = _restore(value) if isinstance(value, KeptGenerator) else _copy(value)


@contextlib.contextmanager
def preserved(network: nn.Module) -> Iterator[None]:
    """Put buffers, attributes and gradients of a network back after the block as they were before it."""
    before = read_values(network)
    gradients = {weight: weight.grad for weight in network.parameters()}
    try:
        yield
    finally:
        changed = changed_values(before, network)
        write_values(network, {key: before[key] for key in changed if key in before})
        modules = dict(network.named_modules())
        for name, attribute in (key for key in changed if key not in before):
            modules[name].__dict__.pop(attribute, None)
        for weight in network.parameters():
            weight.grad = gradients.get(weight)


def disturb(value: Any, factor: float = 3.0) -> Any:
    """Return another value of the same kind; `None` if there is none.

    Args:
        value: A number, an array, or such together.
        factor: How far from it, in units of its largest magnitude (of 1, if that is less), and in which direction.
            Whole numbers are counters more often than amounts, so they go farther.
    """
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + int(math.copysign(_FAR, factor))
    if isinstance(value, float):
        return value + factor * max(1.0, abs(value))
    if isinstance(value, Tensor):
        return _disturb_tensor(value, factor)
    if isinstance(value, np.ndarray):
        return _disturb_array(value, factor)
    if isinstance(value, dict):
        return {key: _disturb_or_keep(inner, factor) for key, inner in value.items()}
    if isinstance(value, deque):
        return deque((_disturb_or_keep(inner, factor) for inner in value), value.maxlen)
    if isinstance(value, list | tuple):
        return type(value)(_disturb_or_keep(inner, factor) for inner in value)
    return None


def _disturb_tensor(value: Tensor, factor: float) -> Tensor:
    if value.dtype is torch.bool:
        return ~value
    if not value.is_floating_point():
        far = _FAR if value.element_size() > 2 else 3
        return value + far if factor > 0 else value - far
    finite = value[value.isfinite()]
    scale = max(1.0, float(finite.abs().max())) if finite.numel() else 1.0
    return value + factor * scale * (1 + torch.rand_like(value) / 3)  # not the same for all, which a norm would undo


def _disturb_array(value: Any, factor: float) -> Any:
    kind = value.dtype.kind
    if kind == "b":
        return ~value
    if kind in "iu":
        far = value.dtype.type(_FAR if value.dtype.itemsize > 2 else 3)
        return np.asarray(value + far if factor > 0 else value - far)
    if kind != "f":
        return None
    scale = max(1.0, float(np.abs(value[np.isfinite(value)]).max(initial=0.0)))
    with np.errstate(over="ignore"):
        return np.asarray(value + factor * scale, dtype=value.dtype)


def _disturb_or_keep(value: Any, factor: float) -> Any:
    other = disturb(value, factor)
    return value if other is None else other


def _copy(value: Any, depth: int = 3) -> Any:
    """Copy a value that is followed; anything else gives `_UNKNOWN`, also deep in a list or dict."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | KeptGenerator):
        return value
    if type(value) is Tensor:
        return value.detach().clone()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return value.copy()
    if isinstance(value, _GENERATORS):
        return KeptGenerator(value, _state_of(value))
    if depth == 0 or type(value) not in (list, tuple, dict, deque):
        return _UNKNOWN
    if isinstance(value, dict):
        inner = {key: _copy(each, depth - 1) for key, each in value.items()}
        return _UNKNOWN if any(each is _UNKNOWN for each in inner.values()) else inner
    copied = [_copy(each, depth - 1) for each in value]
    if any(each is _UNKNOWN for each in copied):
        return _UNKNOWN
    return deque(copied, value.maxlen) if isinstance(value, deque) else type(value)(copied)


def _state_of(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return copy.deepcopy(generator.bit_generator.state)
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def _restore(kept: KeptGenerator) -> Any:
    generator = kept.generator
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = kept.state
    elif isinstance(generator, random.Random):
        generator.setstate(kept.state)
    else:
        generator.set_state(kept.state)
    return generator


def _equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.shape == other.shape and one.dtype == other.dtype and _same_numbers(one, other)
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))
    if isinstance(one, KeptGenerator):
        return _equal(one.state, other.state)
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return bool(one == other or (one != one and other != other))


def _same_numbers(one: Tensor, other: Tensor) -> bool:
    if one.layout is not torch.strided or not one.is_floating_point():
        return torch.equal(one, other)
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
