"""How large batches and blocks of time may be. It follows from the settings and the network alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dynvision.errors import ConfigError
from dynvision.experiments.plan import count_states
from dynvision.experiments.walking import NOISE_CACHE_BYTES
from dynvision.experiments.writing import IN_FLIGHT_BYTES

__all__ = ["Footprint", "MemoryPlan", "plan_memory"]

LIBRARY_BYTES = 750_000_000
"""Memory of a process before the first image: torch, FFCV and other libraries."""

BLOCK_BYTES = 48 << 20
"""The wanted size of a block of responses: larger ones are not written faster."""

DEFAULT_BATCH_SIZE = 100


@dataclass(frozen=True)
class Footprint:
    """How many bytes one image takes.

    Attributes:
        frames: The images of its trial, and the frames made of them.
        activations: All outputs inside the network.
        state: What the network passes on to the next step.
        responses: What is recorded of one step.
    """

    frames: int
    activations: int
    state: int
    responses: int


@dataclass(frozen=True)
class MemoryPlan:
    """How many samples a batch has, and how many recorded steps a block."""

    batch_size: int
    block_steps: int


def plan_memory(
    footprint: Footprint, *, budget: float, batch_size: int | None, n_conditions: int, n_timesteps: int
) -> MemoryPlan:
    """Fit a sweep into a memory budget.

    How much memory is free plays no part, so that the same settings give the same plan. A walk through the tree of
    presentations keeps at most 1 + log2(conditions) states of the network, and at most as many blocks of responses.

    Args:
        footprint: What one image takes.
        budget: Peak memory of the process, in GB.
        batch_size: Images a batch; `None` takes 100, or fewer if they do not fit.
        n_conditions: Conditions of the whole experiment, whichever of them are shown.
        n_timesteps: Recorded steps.

    Raises:
        ConfigError: If it does not fit; the message says what does.
    """
    copies = count_states(n_conditions) + 1
    fixed = footprint.frames + footprint.activations + footprint.state * copies
    each_step = footprint.responses * copies
    free = int(budget * 1e9) - LIBRARY_BYTES - IN_FLIGHT_BYTES - NOISE_CACHE_BYTES
    most = free // (fixed + each_step)
    if most < (batch_size or 1):
        needed = math.ceil(10 * budget + ((batch_size or 1) * (fixed + each_step) - free) / 1e8) / 10
        smaller = f"set batch_size to at most {most}, or " if most >= 1 else ""
        raise ConfigError(
            f"a batch of {batch_size or 1} images does not fit into a memory_budget of {budget:g} GB: {smaller}set "
            f"memory_budget to at least {needed:.1f} under 'run' in config_models.yaml, or record less (layers, "
            "resolution, units, dtype: float16)."
        )
    size = min(most, batch_size or DEFAULT_BATCH_SIZE)
    fits = (free - size * fixed) // (size * each_step)
    aim = BLOCK_BYTES // (size * footprint.responses)
    return MemoryPlan(size, max(1, min(n_timesteps, fits, aim)))
