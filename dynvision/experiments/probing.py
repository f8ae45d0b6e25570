"""A trial step of a network, to see what would be recorded and how much memory it takes."""

from __future__ import annotations

from collections import deque
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
from dynvision.experiments.stores.layout import SCORES, ArraySpec
from dynvision.experiments.writing import OUTPUT_ARRAYS
from dynvision.models.calling import step_network
from dynvision.models.layers import check_used, record_layers
from dynvision.models.seeding import generator_states, kept_generators
from dynvision.models.states import copy_state
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
    """Step a network through a blank frame, and tell the stepper what was found out about the network.

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
    with torch.inference_mode(), kept_generators(stepper.device), stepper.precision():
        if stepper.time_axis is None:
            stepper.image_axes = _find_image_axes(stepper, frame)
        evoked, shapes, activations, state = _step_twice(stepper, frame, presentations[0].n_timesteps)
    arrays = _describe_arrays(stepper.reduction, evoked, shapes, dtype)
    n_whole = 0 if stepper.time_axis is None else presentations[0].n_timesteps
    footprint = Footprint(
        # Noise in images is drawn in double precision, complex where phases are scrambled, and some of it is kept.
        frames=frame.nbytes * (images_per_trial + 4 + n_whole + (NOISE_FRAMES if is_noisy else 0)),
        activations=activations + count_bytes(list(evoked.values())),
        state=state,
        responses=sum(int(np.prod(spec.trailing)) * np.dtype(spec.dtype).itemsize for spec in arrays.values()),
    )
    return Probe(arrays, shapes, footprint)


def count_bytes(value: Any) -> int:
    """Count the bytes of all tensors in a value."""
    size, pending, seen = 0, [value], set()
    while pending:
        inner = pending.pop()
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        if isinstance(inner, Tensor):
            size += inner.nbytes
        elif isinstance(inner, dict):
            pending += inner.values()
        elif isinstance(inner, (list, tuple, deque)):
            pending += inner
        elif hasattr(inner, "__dict__") and not isinstance(inner, type):
            pending.append(vars(inner))
    return size


def _find_image_axes(stepper: NetworkStepper, frame: Tensor) -> dict[str, int]:
    """Return the axis of each layer's output that grows with the number of images.

    Raises:
        ConfigError: If a layer has none, or more than one.
    """
    shapes: dict[int, dict[str, tuple[int, ...]]] = {}
    for count in (2, 3):
        found: dict[str, tuple[int, ...]] = {}

        def keep(layer: str, output: Tensor, found: dict[str, tuple[int, ...]] = found) -> dict[str, Tensor]:
            found[layer] = tuple(output.shape)
            return {}

        with record_layers(stepper.network, stepper.layers, keep) as outputs:
            _step(stepper, frame.expand(count, *frame.shape[1:]).clone())
        check_used(stepper.network, stepper.layers, outputs)
        shapes[count] = found
    axes: dict[str, int] = {}
    for layer, of_two in shapes[2].items():
        of_three = shapes[3][layer]
        growing = [axis for axis, (two, three) in enumerate(zip(of_two, of_three, strict=False)) if two != three]
        if len(of_two) != len(of_three) or [(of_two[axis], of_three[axis]) for axis in growing] != [(2, 3)]:
            raise ConfigError(
                f"the layer '{layer}' gives outputs of shape {list(of_two)} for 2 images and {list(of_three)} for 3, "
                "which have no axis of the images; record another"
            )
        axes[layer] = growing[0]
    return axes


def _step_twice(
    stepper: NetworkStepper, frame: Tensor, n_timesteps: int
) -> tuple[dict[str, Tensor], dict[str, tuple[int, ...]], int, int]:
    """Return the arrays of a step, the shapes of layers, and the bytes of both steps' outputs and of the state."""
    sizes: list[int] = []
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(layer: str, output: Tensor) -> dict[str, Tensor]:
        shapes[layer] = _channels_first(output)
        return stepper.reduction(layer, output)

    handles = [
        module.register_forward_hook(lambda _, __, output: sizes.append(count_bytes(output)))
        for module in stepper.network.modules()
        if not list(module.children()) and not isinstance(module, torch.jit.ScriptModule)
    ]
    before, stepper.n_images = generator_states(stepper.device), len(frame)
    try:
        if stepper.time_axis is not None:
            frames = frame.expand(n_timesteps, *frame.shape).clone()
            with stepper.record() as outputs:
                scores, kept = next(stepper.show_whole(frames, outputs, [0], keep))
                # What layers return is copied for all steps, before it is reduced step by step.
                return stepper.name_arrays(kept, scores), shapes, 2 * sum(sizes), 0
        with stepper.record(keep) as outputs:
            scores, state = _step(stepper, frame)
            evoked = stepper.name_arrays(outputs, scores)
        # A second step, to see whether the state grows; its outputs count too, as a margin.
        _, following = step_network(stepper.network, frame, copy_state(state))
    finally:
        for handle in handles:
            handle.remove()
    stepper.draws_random = bool(stepper.draws_random) or generator_states(stepper.device) != before
    first, second = count_bytes(state), count_bytes(following)
    # If the state grows in one step, it grows in every step.
    return evoked, shapes, sum(sizes), first + max(0, second - first) * n_timesteps


def _step(stepper: NetworkStepper, frame: Tensor) -> tuple[Tensor, Any]:
    try:
        return step_network(stepper.network, frame.clone(), None)
    except ConfigError as error:
        weights = {str(p.dtype).removeprefix("torch.") for p in stepper.network.parameters()}
        frames = str(stepper.frames).removeprefix("torch.")
        if weights <= {frames} or "type" not in str(error.__cause__):
            raise
        raise ConfigError(
            f"frames of {frames} do not suit {type(stepper.network).__name__}, whose weights are "
            f"{', '.join(sorted(weights))} ({error.__cause__}). Set 'mixed_precision: true', or 'dtype' to the type of "
            "the weights, under 'run' in config_models.yaml."
        ) from error


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
