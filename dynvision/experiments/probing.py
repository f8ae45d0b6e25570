"""A trial step of a network, to see what would be recorded and how much memory it takes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynvision.errors import ConfigError
from dynvision.experiments.budget import Footprint
from dynvision.experiments.reducing import TRAILING, Reduction, store_name
from dynvision.experiments.stepping import AVERAGE, NetworkStepper
from dynvision.experiments.store_layout import SCORES, ArraySpec
from dynvision.experiments.writing import OUTPUT_ARRAYS
from dynvision.models.calling import step_network
from dynvision.stimuli.presentation import Presentation

__all__ = ["Probe", "probe_network"]

NOISE_FRAMES = 24
"""How many frames noise in images takes: while it is drawn, and what is kept of it."""


@dataclass(frozen=True)
class Probe:
    """What one step of a network gives.

    Attributes:
        arrays: The arrays of a store.
        shapes: The shape of each layer's output, channels first, without the batch.
        footprint: The memory that an image takes.
    """

    arrays: dict[str, ArraySpec]
    shapes: dict[str, tuple[int, ...]]
    footprint: Footprint


def probe_network(
    stepper: NetworkStepper,
    presentations: Sequence[Presentation],
    image_shape: Sequence[int],
    images_per_trial: int,
    dtype: str,
) -> Probe:
    """Step a network through a blank frame.

    Args:
        stepper: The network and what is recorded of it.
        presentations: What it will be shown, idle steps included; all of one length.
        image_shape: `[C, H, W]`.
        images_per_trial: How many images a trial shows.
        dtype: The type in which responses are stored.

    Raises:
        ConfigError: If the frames' type does not suit the network, or a layer cannot be recorded.
    """
    frame = torch.zeros(1, *image_shape, dtype=stepper.frames, device=stepper.device)
    is_noisy = any(noise is not None for show in presentations for noise in show.noises)
    evoked, shapes, activations, state = _step_twice(stepper, frame, presentations[0].n_timesteps)
    arrays = _describe_arrays(stepper.reduction, evoked, shapes, dtype)
    footprint = Footprint(
        # Noise in images is drawn in double precision, complex where phases are scrambled, and some of it is kept.
        frames=frame.nbytes * (images_per_trial + 4 + (NOISE_FRAMES if is_noisy else 0)),
        activations=activations + count_bytes(list(evoked.values())),
        state=state,
        responses=sum(int(np.prod(spec.trailing)) * np.dtype(spec.dtype).itemsize for spec in arrays.values()),
    )
    return Probe(arrays, shapes, footprint)


def count_bytes(value: Any) -> int:
    """Count the bytes of all tensors in a value."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(count_bytes(inner) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return sum(count_bytes(inner) for inner in value)
    return count_bytes(vars(value)) if hasattr(value, "__dict__") else 0


def _step_twice(
    stepper: NetworkStepper, frame: Tensor, n_timesteps: int
) -> tuple[dict[str, Tensor], dict[str, tuple[int, ...]], int, int]:
    """Return the arrays of a step, the shapes of layers, and the bytes of both steps' outputs and of the state."""
    sizes: list[int] = []
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(layer: str, output: Tensor) -> dict[str, Tensor]:
        if layer in shapes:
            raise ConfigError(
                f"the layer '{layer}' is used more than once when {type(stepper.network).__name__} makes a step, so "
                "that it has no one response; record a layer before or after it"
            )
        shapes[layer] = _channels_first(output)
        return stepper.reduction(layer, output)

    handles = [
        module.register_forward_hook(lambda _, __, output: sizes.append(count_bytes(output)))
        for module in stepper.network.modules()
        if not list(module.children())
    ]
    try:
        with torch.inference_mode(), stepper.record(keep) as outputs, stepper.precision():
            scores, state = _step(stepper, frame)
            evoked = stepper.name_arrays(outputs, scores)
        # A second step, to see whether the state grows; its outputs count too, as a margin.
        state_bytes = _count_state(stepper, frame, state, n_timesteps)
    finally:
        for handle in handles:
            handle.remove()
    return evoked, shapes, sum(sizes), state_bytes


def _step(stepper: NetworkStepper, frame: Tensor) -> tuple[Tensor, Any]:
    try:
        return step_network(stepper.network, frame, None)
    except RuntimeError as error:
        if "type" not in str(error):
            raise
        weights = {str(p.dtype).removeprefix("torch.") for p in stepper.network.parameters()}
        raise ConfigError(
            f"frames of {str(stepper.frames).removeprefix('torch.')} do not suit {type(stepper.network).__name__}, "
            f"whose weights are {', '.join(sorted(weights))} ({error}). Set 'mixed_precision: true', or 'dtype' to the "
            "type of the weights, under 'run' in config_models.yaml."
        ) from error


def _count_state(stepper: NetworkStepper, frame: Tensor, state: Any, n_timesteps: int) -> int:
    """Count the bytes of a network's state at the end of a trial; if it grows in one step, it grows in every step."""
    with torch.inference_mode(), stepper.precision():
        _, following = step_network(stepper.network, frame, copy.deepcopy(state))
    first, second = count_bytes(state), count_bytes(following)
    return first + max(0, second - first) * n_timesteps


def _describe_arrays(
    reduction: Reduction, evoked: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], dtype: str
) -> dict[str, ArraySpec]:
    """Describe the arrays of a store: those of the layers, and those of the output."""
    chosen = {store_name(name) for name, shape in shapes.items() if reduction.coordinates(name, shape)}
    arrays = {
        name: _describe_array(name, value, dtype, name.rpartition("/")[0] in chosen)
        for name, value in evoked.items()
        if not name.startswith(AVERAGE)
    }
    return arrays | OUTPUT_ARRAYS


def _describe_array(name: str, value: Tensor, dtype: str, is_chosen: bool) -> ArraySpec:
    trailing = tuple(value.shape[1:])
    if name == SCORES:
        return ArraySpec(trailing, ("class",), "float32", is_packed=False)
    dims = ("unit",) if is_chosen else TRAILING[len(trailing)]
    return ArraySpec(trailing, dims, dtype, is_packed=name.endswith("/response"))


def _channels_first(output: Tensor) -> tuple[int, ...]:
    shape = tuple(output.shape[1:])
    return (shape[1], shape[0]) if len(shape) == 2 else shape
