"""One step of a network, to see what would be recorded and how much memory it takes."""

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
from dynvision.experiments.reducing import TRAILING, store_name
from dynvision.experiments.showing import SCORES, SweepRunner
from dynvision.experiments.store_layout import ArraySpec
from dynvision.experiments.walking import AVERAGE
from dynvision.experiments.writing import OUTPUT_ARRAYS
from dynvision.models.loading import record_layers, step_network

__all__ = ["Probe", "probe_network"]

NOISE_FRAMES = 24
"""Frames that noise in images takes while it is drawn, and what is kept of it."""


@dataclass(frozen=True)
class Probe:
    """What a step gives.

    Attributes:
        arrays: The arrays of a store.
        shapes: The shape of each layer's output, channels first, without the batch.
        footprint: The memory that an image takes.
    """

    arrays: dict[str, ArraySpec]
    shapes: dict[str, tuple[int, ...]]
    footprint: Footprint


def probe_network(runner: SweepRunner, image_shape: Sequence[int], images_per_trial: int, dtype: str) -> Probe:
    """Step a runner's network through a blank frame.

    Args:
        runner: The runner.
        image_shape: `[C, H, W]`.
        images_per_trial: How many images a trial shows.
        dtype: In which responses are stored.

    Raises:
        ConfigError: The frames' type does not suit the network, or a layer cannot be recorded.
    """
    frame = torch.zeros(1, *image_shape, dtype=runner.frames, device=runner.device)
    held: list[int] = []
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(layer: str, output: Tensor) -> dict[str, Tensor]:
        if layer in shapes:
            raise ConfigError(
                f"the layer '{layer}' is used more than once when {type(runner.network).__name__} makes a step, so "
                "that it has no one response; record a layer before or after it"
            )
        shapes[layer] = _channels_first(output)
        return runner.reduce(layer, output)

    handles = [
        module.register_forward_hook(lambda _, __, output: held.append(count_bytes(output)))
        for module in runner.network.modules()
        if not list(module.children())
    ]
    try:
        with torch.inference_mode(), record_layers(runner.network, runner.layers, keep) as outputs, runner.precision():
            scores, state = _step(runner, frame)
            evoked = runner.name_arrays(outputs, scores)
        state_bytes = _count_state(runner, frame, state)
    finally:
        for handle in handles:
            handle.remove()
    chosen = {store_name(name) for name, shape in shapes.items() if runner.reduce.coordinates(name, shape)}
    arrays = {
        name: _spec(name, value, dtype, name.rpartition("/")[0] in chosen)
        for name, value in evoked.items()
        if not name.startswith(AVERAGE)
    }
    arrays |= OUTPUT_ARRAYS
    responses = sum(int(np.prod(spec.trailing)) * np.dtype(spec.dtype).itemsize for spec in arrays.values())
    is_noisy = any(noise is not None for show in runner.presentations for noise in show.noises)
    footprint = Footprint(
        # Noise in images is drawn in double precision, complex where phases are scrambled, and some of it is kept.
        frames=frame.nbytes * (images_per_trial + 4 + (NOISE_FRAMES if is_noisy else 0)),
        activations=sum(held) + count_bytes(list(evoked.values())),
        state=state_bytes,
        responses=responses,
    )
    return Probe(arrays, shapes, footprint)


def _count_state(runner: SweepRunner, frame: Tensor, state: Any) -> int:
    """Bytes of a network's state at the end of a trial: one that grows in a step is taken to grow in every one."""
    with torch.inference_mode(), runner.precision():
        _, following = step_network(runner.network, frame, copy.deepcopy(state))
    first, second = count_bytes(state), count_bytes(following)
    return first + max(0, second - first) * runner.presentations[0].n_timesteps


def count_bytes(value: Any) -> int:
    """Bytes of all tensors in a value."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(count_bytes(inner) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return sum(count_bytes(inner) for inner in value)
    return count_bytes(vars(value)) if hasattr(value, "__dict__") else 0


def _step(runner: SweepRunner, frame: Tensor) -> tuple[Tensor, Any]:
    try:
        return step_network(runner.network, frame, None)
    except RuntimeError as error:
        if "type" not in str(error):
            raise
        weights = {str(p.dtype).removeprefix("torch.") for p in runner.network.parameters()}
        raise ConfigError(
            f"frames of {str(runner.frames).removeprefix('torch.')} do not suit {type(runner.network).__name__}, whose "
            f"weights are {', '.join(sorted(weights))} ({error}). Set 'mixed_precision: true', or 'dtype' to the type "
            "of the weights, under 'run' in config_models.yaml."
        ) from error


def _channels_first(output: Tensor) -> tuple[int, ...]:
    shape = tuple(output.shape[1:])
    return (shape[1], shape[0]) if len(shape) == 2 else shape


def _spec(name: str, value: Tensor, dtype: str, is_chosen: bool) -> ArraySpec:
    trailing = tuple(value.shape[1:])
    if name == SCORES:
        return ArraySpec(trailing, ("class",), "float32", is_packed=False)
    dims = ("unit",) if is_chosen else TRAILING[len(trailing)]
    return ArraySpec(trailing, dims, dtype, is_packed=name.endswith("/response"))
