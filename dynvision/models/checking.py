"""Whether a network can be trained and recorded: its outputs, and where it keeps its state."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynvision.errors import ConfigError
from dynvision.models.attributes import preserved
from dynvision.models.calling import evaluating, explaining_failures, has_step, step_network, time_axis_of
from dynvision.models.layers import check_used, count_calls, match_layers, record_layers
from dynvision.models.seeding import seeded
from dynvision.models.states import Examination, examine_network
from dynvision.system.progress import say

__all__ = ["check_layers", "check_network", "check_training", "count_outputs"]

_CLASSES = "Set the argument for the number of classes under args in config_models.yaml."


@torch.no_grad()
def check_network(
    network: nn.Module, n_classes: int, channels_in: int, resolution: int, n_timesteps: int = 8
) -> Examination:
    """Step a network through frames of noise, blank and other frames, and check its outputs.

    Args:
        network: The network; each of its modules stays in its mode, and keeps its buffers and attributes.
        n_classes: How many class scores it should give.
        channels_in: Channels of the images.
        resolution: Width and height of the images in pixels.
        n_timesteps: Steps of a trial; a state of its own is looked for over a longer time.

    Returns:
        What was found out about the network.

    Raises:
        ConfigError: If it does not give one score for each class, or keeps a state of its own between calls. A
            recording can only branch and restart if `step(x, state)` takes and returns the whole state.
    """
    frame = _draw_frame(channels_in, resolution)
    with evaluating(network), preserved(network), seeded(0):
        scores, _ = step_network(network, frame.clone(), None)
        _check_scores(network, scores, len(frame), n_classes)
        examination = examine_network(network, frame, n_timesteps)
    if examination.hidden is not None:
        raise ConfigError(
            f"{type(network).__name__} gives another output for the same frame at another time ({examination.hidden}): "
            "it keeps a state of its own. Give it a method step(x, state) that returns (output, new state), where the "
            "state is all that it remembers."
        )
    _name_unused_step(network)
    return examination


def check_training(network: nn.Module, n_classes: int, channels_in: int, resolution: int) -> None:
    """Make one update's computation on two images, in training mode, and check that it reaches the weights.

    Args:
        network: The network; it is as before in the end, and so are the generators of random numbers.
        n_classes: How many class scores it should give.
        channels_in: Channels of the images.
        resolution: Width and height of the images in pixels.

    Raises:
        ConfigError: If the network fails in training mode, does not give one finite score for each class, or no
            gradient reaches its weights.
    """
    frame, name = _draw_frame(channels_in, resolution), type(network).__name__
    modes = {module: module.training for module in network.modules()}
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    with preserved(network), seeded(0), torch.enable_grad():
        try:
            network.train()
            state, loss = None, torch.zeros(())
            for _ in range(2):
                scores, state = step_network(network, frame.clone(), state)
                _check_scores(network, scores, len(frame), n_classes)
                loss = loss + functional.cross_entropy(scores.float(), torch.arange(len(frame)) % n_classes)
            if not loss.isfinite():
                raise ConfigError(
                    f"{name} gives scores that are not finite for a frame of noise, before any training. Change its "
                    "args in config_models.yaml, or how it draws its weights."
                )
            with explaining_failures(network, frame.shape):
                gradients = torch.autograd.grad(loss, weights, allow_unused=True) if loss.requires_grad else [None]
        finally:
            for module, mode in modes.items():
                module.training = mode
    if all(gradient is None for gradient in gradients):
        raise ConfigError(
            f"no gradient reaches the weights of {name}, so that it cannot be trained: its scores are whole numbers, "
            "detached, or computed without gradients. Return real scores, or set 'training: null' for this model in "
            "config_models.yaml."
        )


@torch.no_grad()
def count_outputs(network: nn.Module, channels: int, resolution: int) -> int:
    """Return how many scores a network gives for a frame.

    Args:
        network: The network.
        channels: Channels of the frame.
        resolution: Width and height of the frame in pixels.

    Raises:
        ConfigError: If the network does not take such frames, or its output is not of the shape `[images, classes]`.
    """
    with evaluating(network), preserved(network), seeded(0):
        scores, _ = step_network(network, torch.zeros(2, channels, resolution, resolution), None)
    _check_scores(network, scores, 2)
    return scores.shape[1]


@torch.no_grad()
def check_layers(network: nn.Module, patterns: Sequence[str], channels: int, resolution: int) -> list[str]:
    """Return the names of the layers that match patterns; see `match_layers`.

    If some name a call or a part of an output, one frame is shown to see whether there is one.

    Args:
        network: The network; it is as before in the end.
        patterns: Names or globs.
        channels: Channels of the images.
        resolution: Width and height of the images in pixels.

    Raises:
        ConfigError: If a pattern matches no layer, no call or no part of an output.
    """
    frame = _draw_frame(channels, resolution)

    def step() -> None:
        with evaluating(network), preserved(network), seeded(0):
            step_network(network, frame.clone(), None)

    calls = count_calls(network, step) if any("#*" in pattern for pattern in patterns) else None
    layers = match_layers(network, patterns, calls)
    modules = {name for name, _ in network.named_modules()}
    if special := [layer for layer in layers if layer not in modules]:
        with record_layers(network, special) as outputs:
            step()
        check_used(network, special, outputs, once=time_axis_of(network) is None)
    return layers


def _check_scores(network: nn.Module, scores: Tensor, n_frames: int, n_classes: int | None = None) -> None:
    """Raise if the output for some frames is not one score for each class and frame."""
    name, shape = type(network).__name__, list(scores.shape)
    if scores.dim() != 2 or len(scores) != n_frames:
        raise ConfigError(
            f"{name} gives an output of shape {shape} for {n_frames} frames, where [images, classes] is needed, here "
            f"[{n_frames}, {'classes' if n_classes is None else n_classes}]. Return the class scores of one step."
        )
    if n_classes is not None and shape[1] != n_classes:
        raise ConfigError(
            f"{name} gives an output of shape {shape[1:]} where {n_classes} class scores are needed. {_CLASSES}"
        )


def _name_unused_step(network: nn.Module) -> None:
    step = getattr(network, "step", None)
    is_shown_whole = time_axis_of(network) is not None
    if callable(step) and not isinstance(step, nn.Module) and not has_step(network) and not is_shown_whole:
        say(
            f"{type(network).__name__}: its method step{inspect.signature(step)} cannot be called as step(x, state), "
            "so that each frame is shown to forward by itself"
        )


def _draw_frame(channels: int, resolution: int) -> Tensor:
    return torch.randn(2, channels, resolution, resolution, generator=torch.Generator().manual_seed(0))
