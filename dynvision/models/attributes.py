"""The buffers and plain attributes of a network: copying, comparing and changing what it may keep between calls."""

from __future__ import annotations

import contextlib
import copy
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


def disturb(value: Any) -> Any:
    """Return another value of the same kind, far from it; `None` if there is none."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1_000_003
    if isinstance(value, Tensor):
        if value.dtype is torch.bool:
            return ~value
        return value + (3 + torch.rand_like(value) if value.is_floating_point() else 1_000_003)
    if isinstance(value, np.ndarray):
        return value + 3 if value.dtype.kind in "fiu" else None
    if isinstance(value, dict):
        return {key: _disturb_or_keep(inner) for key, inner in value.items()}
    if isinstance(value, deque):
        return deque(map(_disturb_or_keep, value), value.maxlen)
    return type(value)(map(_disturb_or_keep, value)) if isinstance(value, list | tuple) else None


def _disturb_or_keep(value: Any) -> Any:
    other = disturb(value)
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
