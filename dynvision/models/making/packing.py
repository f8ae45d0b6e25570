"""Values of a network as plain ones, which `torch.load` reads without running code of the file."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynvision.models.attributes import KeptGenerator

__all__ = ["UnpackableError", "pack", "unpack"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_SEQUENCES = {"list": list, "tuple": tuple}


class UnpackableError(Exception):
    """A value cannot be written as plain ones."""


def pack(value: Any) -> Any:
    """Return a value that was read by `read_values` as numbers, texts, tensors, and mappings of them.

    Raises:
        UnpackableError: If it is of another class, such as a number of an enumeration.
    """
    if isinstance(value, np.generic | np.ndarray):
        form = "scalar" if isinstance(value, np.generic) else "array"
        return {"is": form, "type": value.dtype.str, "shape": list(value.shape), "of": value.tobytes()}
    if type(value) is Tensor:
        return {"is": "tensor", "on_cpu": value.device.type == "cpu", "of": value}
    if isinstance(value, KeptGenerator):
        on_cpu = not isinstance(value.generator, torch.Generator) or value.generator.device.type == "cpu"
        return {"is": "generator", "class": type(value.generator).__name__, "on_cpu": on_cpu, "of": pack(value.state)}
    if type(value) in _PLAIN:
        return value
    if type(value) is dict:
        return {"is": "dict", "of": [[pack(key), pack(inner)] for key, inner in value.items()]}
    if type(value) is deque:
        return {"is": "deque", "longest": value.maxlen, "of": [pack(inner) for inner in value]}
    if type(value) in _SEQUENCES.values():
        return {"is": type(value).__name__, "of": [pack(inner) for inner in value]}
    raise UnpackableError(f"a value of the class {type(value).__name__}")


def unpack(value: Any, device: torch.device, existing: Any = None) -> Any:
    """Return the value that `pack` was given.

    Args:
        value: What `pack` returned.
        device: Where tensors lie that were not in the memory of the CPU.
        existing: The value in its place, whose generators of random numbers are used.
    """
    if not isinstance(value, dict):
        return value
    form, content = value["is"], value["of"]
    if form in ("array", "scalar"):
        array = np.frombuffer(content, dtype=value["type"]).reshape(value["shape"])
        return array[()] if form == "scalar" else array.copy()
    if form == "tensor":
        return content if value["on_cpu"] else content.to(device)
    if form == "generator":
        generator = existing.generator if isinstance(existing, KeptGenerator) else None
        state = unpack(content, device)
        if generator is None:
            generator = _make_generator(value["class"], state, torch.device("cpu") if value["on_cpu"] else device)
        return KeptGenerator(generator, state)
    if form == "dict":
        before = existing if isinstance(existing, dict) else {}
        pairs = [(unpack(key, device), inner) for key, inner in content]
        return {key: unpack(inner, device, before.get(key)) for key, inner in pairs}
    siblings = list(existing) if isinstance(existing, list | tuple | deque) else []
    inner = [unpack(one, device, siblings[i] if i < len(siblings) else None) for i, one in enumerate(content)]
    return deque(inner, value["longest"]) if form == "deque" else _SEQUENCES[form](inner)


def _make_generator(name: str, state: Any, device: torch.device) -> Any:
    """Make a generator where the network has none yet; its state is set by whoever takes it."""
    if name == "Generator" and isinstance(state, Tensor):
        return torch.Generator(device)
    if name == "Generator":
        return np.random.Generator(getattr(np.random, state["bit_generator"])())
    return np.random.RandomState() if name == "RandomState" else random.Random()
