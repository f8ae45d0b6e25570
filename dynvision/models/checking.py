"""Whether a network can be trained and recorded: its outputs, and where it keeps its state."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from dynvision.errors import ConfigError
from dynvision.models.loading import evaluating, step_network

__all__ = ["check_network", "count_outputs"]


@torch.no_grad()
def check_network(network: nn.Module, n_classes: int, channels_in: int, resolution: int) -> None:
    """Step a network through a frame of noise and check its outputs.

    Args:
        network: The network; each of its modules stays in its mode.
        n_classes: How many class scores it should give.
        channels_in: Channels of the images.
        resolution: Width and height of the images in pixels.

    Raises:
        ConfigError: If it does not give one score for each class, or keeps a state of its own between calls. A
            recording can only branch and restart if `step(x, state)` takes and returns the whole state.
    """
    generator = torch.Generator().manual_seed(0)
    frame = torch.randn(2, channels_in, resolution, resolution, generator=generator)
    name = type(network).__name__
    try:
        with evaluating(network):
            first, again = (_seeded_step(network, frame.clone(), None).clone() for _ in range(2))
    except (RuntimeError, ValueError) as error:
        raise _refuse_frames(network, channels_in, resolution, error) from error
    if tuple(first.shape) != (2, n_classes):
        raise ConfigError(
            f"{name} gives an output of shape {list(first.shape[1:])} where {n_classes} class scores are needed. "
            "Set the argument for the number of classes under args in config_models.yaml."
        )
    if not torch.allclose(first, again, rtol=0, atol=0, equal_nan=True) or not _is_restartable(network, frame):
        raise ConfigError(
            f"{name} gives another output for the same frame the second time: it keeps a state of its own. "
            "Give it a method step(x, state) that returns (output, new state)."
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
    try:
        with evaluating(network):
            scores, _ = step_network(network, torch.zeros(2, channels, resolution, resolution), None)
    except RuntimeError as error:
        raise _refuse_frames(network, channels, resolution, error) from error
    if scores.dim() != 2:
        raise ConfigError(
            f"{type(network).__name__} gives an output of shape {list(scores.shape)} where [images, classes] is needed"
        )
    return scores.shape[1]


def _seeded_step(network: nn.Module, frame: Tensor, state: object) -> Tensor:
    # Noise inside the network is no state: it gets the same draws each time.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return step_network(network, frame, state)[0]


def _is_restartable(network: nn.Module, frame: Tensor) -> bool:
    """Whether the state is all that a network carries: a step from it is the same before and after other steps."""
    if not hasattr(network, "step"):
        return True
    results = []
    with evaluating(network), torch.random.fork_rng(devices=[]):
        _, state = step_network(network, frame.clone(), None)
        for _ in range(2):
            results.append(_seeded_step(network, frame.flip(0), copy.deepcopy(state)).clone())
            step_network(network, 2 * frame, None)
    return torch.allclose(results[0], results[1], rtol=0, atol=0, equal_nan=True)


def _refuse_frames(network: nn.Module, channels: int, resolution: int, error: Exception) -> ConfigError:
    return ConfigError(
        f"{type(network).__name__} cannot be shown frames of {channels} channels and {resolution} pixels ({error}). "
        "Change its args in config_models.yaml."
    )
