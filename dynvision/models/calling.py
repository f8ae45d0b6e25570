"""Calling a network of somebody else: one step of it, in which mode, and what is said if it fails."""

from __future__ import annotations

import errno
import inspect
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dynvision.errors import ConfigError, DynvisionError
from dynvision.models.outputs import take_scores
from dynvision.system.escaping import show_text
from dynvision.system.failures import find_machine_error, text_of

__all__ = [
    "computing_as_written",
    "describe_failure",
    "evaluating",
    "explaining_failures",
    "has_step",
    "is_of_machine",
    "set_time_axis",
    "show_sequence",
    "step_network",
    "time_axis_of",
]

_SIZE_NAMES = ("image_size", "img_size", "input_size")
"""Attributes in which vision transformers keep the size of image that they want."""


_TIME_AXIS = "_dynvision_time_axis"
"""The attribute of a network that says where the steps are in the sequences that it takes."""

_STEPS_TRIED = 3
"""How often a frame is shown in a row to a network that takes whole sequences, where one frame alone is meant."""


def set_time_axis(network: nn.Module, axis: int | None) -> nn.Module:
    """Note that a network takes whole sequences of frames, with the steps on an axis (0 or 1), and return it."""
    if axis is not None:
        setattr(network, _TIME_AXIS, axis)
    return network


def time_axis_of(network: nn.Module) -> int | None:
    """Return the axis of the steps in the sequences that a network takes; `None` if it takes frame after frame."""
    axis: int | None = vars(network).get(_TIME_AXIS)
    return axis


def show_sequence(network: nn.Module, frames: Tensor) -> Tensor:
    """Show a network a sequence of frames.

    Args:
        network: It takes whole sequences, or frame after frame.
        frames: Shape `[T, B, C, H, W]`.

    Returns:
        The class scores at every step, shape `[T, B, classes]`.

    Raises:
        ConfigError: If the network fails, or does not give scores for every step.
    """
    axis = time_axis_of(network)
    if axis is None:
        state, outputs = None, []
        for frame in frames:
            output, state = step_network(network, frame, state)
            outputs.append(output)
        return torch.stack(outputs)
    frames = _in_type_of(network, frames)
    given = frames if axis == 0 else frames.transpose(0, 1)
    name = type(network).__name__
    with explaining_failures(network, given.shape):
        result = network(given)
    scores = take_scores(result, name, n_dims=3)
    if scores.dim() != 3 or scores.shape[:2] != given.shape[:2]:
        wanted = ["steps", "images"] if axis == 0 else ["images", "steps"]
        raise ConfigError(
            f"{name} gives an output of shape {list(scores.shape)} for a sequence of shape {list(given.shape)}. With "
            f"time_axis: {axis}, [{', '.join(wanted)}, classes] is needed: return the scores of every step, not their "
            "sum or mean over time."
        )
    return scores if axis == 0 else scores.transpose(0, 1)


def step_network(network: nn.Module, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Advance a network by one time step.

    Args:
        network: If it has no method `step(x, state)`, each frame is shown to it anew, without a state. One that takes
            whole sequences is shown the frame a few times in a row, and gives the scores of the last.
        frame: Shape `[B, C, H, W]`. It is shown in the type of the network's weights if that is not float32.
        state: The state after the step before; `None` at the first step.

    Returns:
        The class scores in the output of the network (see `take_scores`), such as `[B, n_classes]`, and the new state.

    Raises:
        ConfigError: If the network fails, or returns anything but scores (from `step`: scores and a state).
    """
    if time_axis_of(network) is not None:
        return show_sequence(network, torch.stack([frame] * _STEPS_TRIED))[-1], None
    name = type(network).__name__
    frame = _in_type_of(network, frame)
    with explaining_failures(network, frame.shape):
        if not has_step(network):
            result = network(frame)
            return take_scores(result, name), None
        result = network.step(frame, state)  # type: ignore[operator]
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        count = f" of {len(result)}" if isinstance(result, (tuple, list)) else ""
        raise ConfigError(
            f"the method step of {name} returns a {type(result).__name__}{count}, where two values are needed: "
            "step(x, state) takes one frame and the state, and returns (output, new state). Rename a method that "
            "means something else."
        )
    output, following = result
    return take_scores(output, name), following


def _in_type_of(network: nn.Module, frame: Tensor) -> Tensor:
    """Return a frame in the type of a network's first real weight; float32 is left to `torch.autocast`."""
    weight = next((weight for weight in network.parameters() if weight.is_floating_point()), None)
    return frame if weight is None or weight.dtype == torch.float32 else frame.to(weight.dtype)


def has_step(network: nn.Module) -> bool:
    """Whether a network has a method that can be called as `step(x, state)`; one of another signature is not used."""
    own: Any = type(network)
    if time_axis_of(network) is not None:
        return False
    if "step" not in vars(network) and "step" not in network._modules and callable(getattr(own, "step", None)):
        return _takes_two(own)
    step = getattr(network, "step", None)
    return callable(step) and not isinstance(step, nn.Module) and _can_be_called(step, 2)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Put a network into evaluation mode while the block runs, then each of its modules back into its own mode.

    It computes as it is written, see `computing_as_written`.
    """
    modes = {module: module.training for module in network.modules()}
    try:
        with computing_as_written():
            yield network.eval()
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def computing_as_written() -> Iterator[None]:
    """Let every module be called, so that its hooks see what it returns, whichever layers are recorded.

    In evaluation PyTorch computes attention in one piece, which skips the modules within and gives other last digits,
    unless one of them has a hook. Compiled functions skip hooks, too.
    """
    is_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    # Nothing is compiled where this module was never imported, which takes long.
    is_compiled = "torch._dynamo" in sys.modules
    try:
        with torch.compiler.set_stance("force_eager") if is_compiled else nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)


@contextmanager
def explaining_failures(network: nn.Module, shape: Sequence[int]) -> Iterator[None]:
    """Turn whatever the code of a network raises into one sentence; a lack of memory stays what it is.

    Args:
        network: The network that computes in the block.
        shape: The shape of the frames that it is given; empty for its method `constrain`.

    Raises:
        ConfigError: If the block raises; it names the network, the shape and the error.
    """
    try:
        yield
    except DynvisionError:
        raise
    except Exception as error:
        if is_of_machine(error):
            raise
        name, size = type(network).__name__, list(shape)
        if not size:
            raise ConfigError(f"the method constrain of {name} fails ({describe_failure(error)}). Mend it.") from error
        what = f"frames of {size[-3]} channels and {size[-1]} pixels" if len(size) > 2 else "frames"
        raise ConfigError(
            f"{name} cannot be shown {what} ({describe_failure(error)}; the shape is {size}). {_advise(network, error)}"
        ) from error


def is_of_machine(error: Exception) -> bool:
    """Whether an error says that the machine refused something, such as memory, and nothing of a network."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError) and error.errno in (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return False
    return find_machine_error(error) is not None


def describe_failure(error: Exception) -> str:
    """Return the class, the text and the place of an error in the code of a user, on one line."""
    text = show_text(" ".join(text_of(error).split()).rstrip(". "), 400)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_of_library(frame.filename)]
    where = f", {Path(own[-1].filename).name} line {own[-1].lineno}" if own else ""
    if not text and own:
        text = show_text((own[-1].line or "").strip(), 200)
    return f"{type(error).__name__}{': ' if text else ''}{text}{where}"


def _is_of_library(path: str) -> bool:
    return "site-packages" in path or path.startswith("<") or Path(__file__).parents[1] in Path(path).parents


def _advise(network: nn.Module, error: Exception) -> str:
    name = type(network).__name__
    step = getattr(network, "step", None)
    if isinstance(error, NotImplementedError) and callable(step):
        return f"The method step of {name} cannot be called as step(x, state), and there is no other."
    called = network.step if has_step(network) else network.forward
    count = 2 if has_step(network) else 1
    if isinstance(error, TypeError) and not _can_be_called(called, count):
        return (
            "A network is called with the frames alone: give its other inputs a default value, or name a class of "
            "your own that passes them on."
        )
    for attribute in _SIZE_NAMES:
        wanted = getattr(network, attribute, None)
        if isinstance(wanted, (int, tuple, list)) and not isinstance(wanted, bool):
            return (
                f"Its {attribute} is {wanted}: change its args in config_models.yaml, or data_resolution in "
                "config_data.yaml."
            )
    return "Change its args in config_models.yaml."


@lru_cache(maxsize=64)
def _takes_two(network: Any) -> bool:
    # Asked at every step, and slow to find out.
    is_bound = isinstance(inspect.getattr_static(network, "step"), staticmethod | classmethod)
    return _can_be_called(network.step, 2 if is_bound else 3)


def _can_be_called(function: Any, count: int) -> bool:
    """Whether a function takes a number of arguments by position; what has no signature is tried."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return True
    return True
