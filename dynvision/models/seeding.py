"""The generators of random numbers that a network may draw from: torch's, NumPy's and Python's global ones."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

__all__ = [
    "generator_states",
    "kept_generators",
    "read_generators",
    "seed_everything",
    "seed_torch",
    "seeded",
    "write_generators",
]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all global generators of the CPU while the block runs, then put them back as they were.

    Args:
        seed: The seed, from 0.
    """
    cpu = torch.device("cpu")
    with kept_generators(cpu):
        torch.manual_seed(seed)  # of other devices, too, on which a network may be built
        seed_everything(seed, cpu)
        yield


@contextlib.contextmanager
def kept_generators(device: torch.device) -> Iterator[None]:
    """Put the global generators back after the block as they were before it.

    Args:
        device: Its generator is put back, too.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def seed_everything(number: int, device: torch.device) -> None:
    """Seed the global generators of torch, NumPy and Python.

    Args:
        number: The seed, from 0.
        device: Where the network computes; its generator is seeded, too.
    """
    seed_torch(number, device)
    random.seed(number)
    np.random.seed(np.random.SeedSequence(number).generate_state(4))


def seed_torch(number: int, device: torch.device) -> None:
    """Seed the generators of torch that a network draws from.

    `torch.manual_seed` also keeps a traceback for accelerators that were never used, at every call. That takes longer
    than a small layer, and the tracebacks stay in memory.
    """
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)


def generator_states(device: torch.device) -> list[Any]:
    """Return the states of the global generators, to compare: whoever drew a number left other ones."""
    numpy: Any = np.random.get_state()
    states = [torch.get_rng_state().numpy().tobytes(), random.getstate(), numpy[1].tobytes(), numpy[2:]]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device).numpy().tobytes())
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state().cpu().numpy().tobytes())
    return states


def read_generators(device: torch.device) -> dict[str, Any]:
    """Return the states of the global generators, so that `write_generators` puts them back.

    Args:
        device: Its generator counts, too.
    """
    states = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": np.random.get_state()}
    if device.type == "cuda":
        states["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["device"] = torch.mps.get_rng_state()
    return states


def write_generators(states: dict[str, Any], device: torch.device) -> None:
    """Put the global generators, and that of a device, into states that were read."""
    torch.set_rng_state(states["torch"])
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["device"].cpu(), device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["device"].cpu())
