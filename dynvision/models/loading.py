"""Networks by import path, their weights as safetensors, and stepping them through time."""

from __future__ import annotations

import copy
import fnmatch
import importlib
import inspect
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dynvision.config.models import ModelConfig
from dynvision.errors import ConfigError, DamagedFileError, MissingError, UnknownNameError, nearest_name
from dynvision.models.weights_header import read_weights_metadata
from dynvision.records import Record

__all__ = [
    "build_network",
    "check_network",
    "evaluating",
    "load_weights",
    "match_layers",
    "rebuild_network",
    "record_layers",
    "save_weights",
    "step_network",
]


def build_network(model: ModelConfig, *, n_classes: int, resolution: int, channels_in: int, seed: int) -> nn.Module:
    """Build a network with initial weights that depend on the seed alone.

    Args:
        model: The class by import path and its arguments. `n_classes` (or `num_classes`), `resolution`
            and `channels_in` are filled in where the class takes them and the config does not give them.
        n_classes: Classes to tell apart.
        resolution: Width of the images in pixels.
        channels_in: Channels of the images.
        seed: Seeds the initial weights; the global generator is left as it was.
    """
    module_name, _, class_name = model.class_path.partition(":")
    try:
        kind = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"config_models.yaml: the class '{model.class_path}' cannot be imported ({error}). "
            "Write it as module:Class."
        ) from error
    found = {"n_classes": n_classes, "num_classes": n_classes, "resolution": resolution, "channels_in": channels_in}
    if not (inspect.isclass(kind) and issubclass(kind, nn.Module)) and not inspect.isfunction(kind):
        raise ConfigError(
            f"config_models.yaml: {model.class_path} is no torch.nn.Module, nor a function that makes one"
        )
    taken: dict[str, Any] = dict(inspect.signature(kind).parameters)
    if any(p.kind is p.VAR_KEYWORD for p in taken.values()) and module_name.startswith("torchvision.models"):
        taken = {**taken, "num_classes": None}  # torchvision's builders pass it on to the network
    arguments = {**{k: v for k, v in found.items() if k in taken}, **model.args}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = kind(**arguments)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"config_models.yaml: {model.class_path} does not take these args: {error}") from error
    if not isinstance(network, nn.Module):
        raise ConfigError(f"config_models.yaml: {model.class_path} is no torch.nn.Module")
    return network


def rebuild_network(record: Record, weights: Path) -> nn.Module:
    """Build the network that a record of the models stage describes, with weights that belong to it.

    Args:
        record: The record of the training; its own settings are used, not those of today's config.
        weights: One of the files of that training.

    Raises:
        DamagedFileError: The weights are of another training.
    """
    settings = record.config
    network = build_network(
        ModelConfig(**{"class": settings["class"], "args": settings["args"]}),
        n_classes=len(record.details["classes"]),
        resolution=settings["resolution"],
        channels_in=record.details["channels"],
        seed=settings["seed"],
    )
    load_weights(weights, network)
    header = read_weights_metadata(weights)
    if header is None or header.get("data_version") != record.data_version:
        raise DamagedFileError(
            f"{weights} is of another training than {record.target}. Make it: dynvision make --force {record.target}"
        )
    return network.eval()


@torch.no_grad()
def check_network(network: nn.Module, n_classes: int, channels_in: int, resolution: int) -> None:
    """Step a network through a frame and look at what comes out.

    Raises:
        ConfigError: It does not give one score for each class, or keeps a state of its own between
            calls, where only a `step(x, state)` can be forked and started anew.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    generator = torch.Generator().manual_seed(0)
    frame = torch.randn(2, channels_in, resolution, resolution, generator=generator)
    name = type(network).__name__
    outputs = []
    try:
        for _ in range(2):
            # Noise inside the network is no state: it gets the same draws both times.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                outputs.append(step_network(network, frame.clone(), None)[0].clone())
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"{name} cannot be shown frames of {channels_in} channels and {resolution} pixels ({error}). "
            "Change its args in config_models.yaml."
        ) from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    first, again = outputs
    if tuple(first.shape) != (2, n_classes):
        raise ConfigError(
            f"{name} gives an output of shape {list(first.shape[1:])} where {n_classes} class scores are needed. "
            "Set the argument for the number of classes under args in config_models.yaml."
        )
    if not torch.allclose(first, again, rtol=0, atol=0, equal_nan=True) or not _forks(network, frame):
        raise ConfigError(
            f"{name} gives another output for the same frame the second time: it keeps a state of its own. "
            "Give it a method step(x, state) that returns (output, new state)."
        )


def _forks(network: nn.Module, frame: Tensor) -> bool:
    """Whether a state is all that a network carries: the same step from the same state, before and after others."""
    if not hasattr(network, "step"):
        return True
    modes = {module: module.training for module in network.modules()}
    network.eval()
    results = []
    try:
        with torch.random.fork_rng(devices=[]):
            _, state = step_network(network, frame.clone(), None)
            for _ in range(2):
                torch.manual_seed(0)
                output, _ = step_network(network, frame.flip(0), copy.deepcopy(state))
                results.append(output.clone())
                step_network(network, 2 * frame, None)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return torch.allclose(results[0], results[1], rtol=0, atol=0, equal_nan=True)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Put a network into evaluation mode while the block runs, then each of its modules back into its own mode."""
    modes = {module: module.training for module in network.modules()}
    try:
        yield network.eval()
    finally:
        for module, mode in modes.items():
            module.training = mode


def step_network(network: nn.Module, frame: Tensor, state: Any) -> tuple[Tensor, Any]:
    """Advance a network by one time step; one without a time axis sees each frame afresh."""
    if hasattr(network, "step"):
        return network.step(frame, state)  # type: ignore[operator, no-any-return]
    return network(frame), None


def match_layers(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Find the layers that names or globs mean; `*` stays within one level (`V*` is not `V1.lateral`).

    Raises:
        UnknownNameError: A pattern matches no layer; the message names the nearest.
    """
    names = [name for name, _ in network.named_modules() if name]
    found: list[str] = []
    for pattern in patterns:
        matching = [name for name in names if _matches(name, pattern)]
        if not matching:
            raise UnknownNameError(
                f"no layer of {type(network).__name__} is called '{pattern}'. {nearest_name(pattern, names)}"
            )
        found += [name for name in matching if name not in found]
    return [name for name in names if name in found]


@contextmanager
def record_layers(
    network: nn.Module, layers: Sequence[str], keep_as: Callable[[str, Tensor], Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Keep the latest output of each layer in a dictionary while the block runs.

    What is kept is taken at the moment when the layer returns, and shares no memory with its output: the next layer may
    change that in place, as torchvision's `ReLU(inplace=True)` does.

    Args:
        network: The network.
        layers: Names of modules that return one tensor.
        keep_as: What is kept of a layer's output, by the layer's name; by default a copy.
    """
    outputs: dict[str, Any] = {}

    def hook(name: str) -> Any:
        def keep(module: nn.Module, arguments: Any, output: Any) -> None:
            if not isinstance(output, Tensor):
                raise ConfigError(f"the layer '{name}' returns a {type(output).__name__}, not a tensor; record another")
            outputs[name] = output.detach().clone() if keep_as is None else keep_as(name, output.detach())

        return keep

    handles = [network.get_submodule(name).register_forward_hook(hook(name)) for name in layers]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def save_weights(path: Path, network: nn.Module, metadata: dict[str, Any]) -> None:
    """Write weights as safetensors, whole or not at all, with JSON-ready metadata in the header."""
    from safetensors.torch import save

    from dynvision.system.files import write_bytes

    # Tensors that two modules share are written twice: safetensors holds no ties, and loading makes them again.
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(path, save(weights, {"dynvision": json.dumps(metadata)}))


def load_weights(path: Path, network: nn.Module) -> None:
    """Load weights into a network.

    Raises:
        MissingError: The file is not there.
        DamagedFileError: It is no safetensors file or does not fit the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise MissingError(f"{path} does not exist. Make it: dynvision make {path}")
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise DamagedFileError(
            f"{path} does not fit the network or is damaged ({error}). Rebuild it with --force."
        ) from error


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))
