"""Building networks from import paths, keeping their weights as safetensors, and stepping them through time."""

from __future__ import annotations

import copy
import fnmatch
import inspect
import json
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dynvision.config.models import ModelConfig
from dynvision.errors import ConfigError, DamagedFileError, DynvisionError, MissingError, UnknownNameError, nearest_name
from dynvision.models.downloads import explain_fetching, make_without_fetching
from dynvision.models.weights.filling import fill_network
from dynvision.records import Record
from dynvision.system.files import write_bytes
from dynvision.system.json_values import restore_whole_keys

_WRONG_ARGUMENTS = (
    TypeError,
    ValueError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
)
"""What the constructor of a network may raise because of its arguments."""

__all__ = [
    "build_network",
    "evaluating",
    "load_weights",
    "match_layers",
    "rebuild_network",
    "record_layers",
    "save_weights",
    "step_network",
]


def build_network(
    model: ModelConfig, *, n_classes: int, resolution: int, channels_in: int, seed: int, fetch: bool = True
) -> nn.Module:
    """Build a network with initial weights that depend on the seed alone.

    Args:
        model: The class by import path and its arguments. `n_classes` (or `num_classes`), `resolution` and
            `channels_in` are passed too, if the class takes them and the config does not give them.
        n_classes: Classes to tell apart.
        resolution: Width of the images in pixels.
        channels_in: Channels of the images.
        seed: Seeds the initial weights; the global generator is left as it was.
        fetch: Let the class fetch weights from the network. It need not if all of them are loaded afterwards.

    Raises:
        ConfigError: If the class cannot be imported, is no network, or does not take the arguments.
        MissingError: If it cannot fetch weights.
    """
    make = _import_builder(model.class_path)
    known = {"n_classes": n_classes, "num_classes": n_classes, "resolution": resolution, "channels_in": channels_in}
    parameters: dict[str, Any] = dict(inspect.signature(make).parameters)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if takes_any and model.class_path.startswith("torchvision.models"):
        parameters = {**parameters, "num_classes": None}  # torchvision's functions pass it on to the network
    arguments = {**{name: value for name, value in known.items() if name in parameters}, **copy.deepcopy(model.args)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            network = make(**arguments) if fetch else make_without_fetching(make, arguments)
        except DynvisionError:
            raise
        except Exception as error:
            if refusal := explain_fetching(model.class_path, error):
                raise refusal from error
            if not isinstance(error, _WRONG_ARGUMENTS):
                raise
            reason = str(error) or type(error).__name__
            raise ConfigError(f"config_models.yaml: {model.class_path} does not take these args: {reason}") from error
    if not isinstance(network, nn.Module):
        raise ConfigError(f"config_models.yaml: {model.class_path} is no torch.nn.Module")
    return network


def _import_builder(path: str) -> Callable[..., Any]:
    """Import a class of networks, or a function that makes one, from `module:Name`."""
    try:
        builder = pkgutil.resolve_name(path)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"config_models.yaml: the class '{path}' cannot be imported ({error}). Write it as module:Class."
        ) from error
    if not (inspect.isclass(builder) and issubclass(builder, nn.Module)) and not inspect.isfunction(builder):
        raise ConfigError(f"config_models.yaml: {path} is no torch.nn.Module, nor a function that makes one")
    return builder


def rebuild_network(record: Record, weights: Path) -> nn.Module:
    """Build the network that a record of the models stage describes, with weights of that training.

    Args:
        record: The record of the training. Its own settings are used, not those of the current config.
        weights: One of the files of that training.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        ConfigError: If the class cannot be imported or does not take the arguments any more.
        DamagedFileError: If the file is missing, damaged or belongs to another training.
    """
    path, settings = record.check_files(weights.parent).check(weights.name), record.config
    network = build_network(
        ModelConfig(
            **{"class": settings["class"], "args": restore_whole_keys(settings["args"], settings.get("whole_keys", ()))}
        ),
        n_classes=len(record.details["classes"]),
        resolution=settings["resolution"],
        channels_in=record.details["channels"],
        seed=settings["seed"],
        fetch=False,
    )
    load_weights(path, network)
    return network.eval()


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
    """Advance a network by one time step.

    Args:
        network: If it has no method `step`, each frame is shown to it anew, without a state.
        frame: Shape `[B, C, H, W]`. It is shown in the type of the network's weights if that is not float32.
        state: The state after the step before; `None` at the first step.

    Returns:
        The output of the network, such as class scores `[B, n_classes]`, and the new state.
    """
    frame = _in_type_of(network, frame)
    if hasattr(network, "step"):
        return network.step(frame, state)  # type: ignore[operator, no-any-return]
    return network(frame), None


def _in_type_of(network: nn.Module, frame: Tensor) -> Tensor:
    """Return a frame in the type of a network's first real weight; float32 is left to `torch.autocast`."""
    weight = next((weight for weight in network.parameters() if weight.is_floating_point()), None)
    return frame if weight is None or weight.dtype == torch.float32 else frame.to(weight.dtype)


def match_layers(network: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Return the names of the layers that match names or globs, in the order of the network.

    Args:
        network: The network.
        patterns: Names or globs. A `*` stays within one level: `V*` does not match `V1.lateral`.

    Raises:
        UnknownNameError: If a pattern matches no layer; the message names the nearest one.
    """
    names = [name for name, _ in network.named_modules() if name]
    chosen: set[str] = set()
    for pattern in patterns:
        matching = [name for name in names if _matches(name, pattern)]
        if not matching:
            raise UnknownNameError(
                f"no layer of {type(network).__name__} is called '{pattern}'. {nearest_name(pattern, names)}"
            )
        chosen.update(matching)
    return [name for name in names if name in chosen]


@contextmanager
def record_layers(
    network: nn.Module, layers: Sequence[str], keep_as: Callable[[str, Tensor], Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Keep the latest output of each layer in a dictionary while the block runs.

    The output is copied as soon as the layer returns it, because the next layer may change it in place, as
    torchvision's `ReLU(inplace=True)` does.

    Args:
        network: The network.
        layers: Names of modules that return one tensor.
        keep_as: Computes what is kept from the layer's name and its output, and must not return a view of the output;
            by default the output is copied.

    Yields:
        What is kept, by the layer's name; empty before the first step.

    Raises:
        ConfigError: If a layer returns anything but one tensor.
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
    """Write weights as safetensors, whole or not at all.

    Args:
        path: The file; it is replaced.
        network: Whose weights are written.
        metadata: JSON-ready values for the header of the file.

    Raises:
        OSError: If the file cannot be written.
    """
    from safetensors.torch import save

    # A tensor that two modules share is written twice, because safetensors cannot store ties. Loading restores them.
    weights = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
    write_bytes(path, save(weights, {"dynvision": json.dumps(metadata)}))


def load_weights(path: Path, network: nn.Module) -> None:
    """Load weights into a network.

    Raises:
        MissingError: If the file does not exist.
        DamagedFileError: If it is no safetensors file or does not fit the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise MissingError(f"{path} does not exist. Make it: dynvision make {path}")
    try:
        fill_network(network, load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise DamagedFileError(
            f"{path} does not fit the network or is damaged ({error}). Rebuild it with --force."
        ) from error


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))
