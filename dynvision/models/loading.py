"""Building networks from import paths, and keeping their weights as safetensors."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dynvision.config.sections.models import ModelConfig
from dynvision.errors import ConfigError, DamagedFileError, DynvisionError, MissingError
from dynvision.models.calling import describe_failure, evaluating, is_of_machine, set_time_axis, step_network
from dynvision.models.downloads import explain_fetching, make_without_fetching
from dynvision.models.layers import match_layers, record_layers
from dynvision.models.seeding import seeded
from dynvision.models.weights.filling import fill_network
from dynvision.records import Record
from dynvision.system.files import write_bytes
from dynvision.system.imports import explain_import
from dynvision.system.json_values import restore_whole_keys

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
    model: ModelConfig, *, n_classes: int | None, resolution: int, channels_in: int, seed: int, fetch: bool = True
) -> nn.Module:
    """Build a network with initial weights that depend on the seed alone.

    The network is shown a blank frame once, so that layers that are made at the first frame, such as `nn.LazyLinear`,
    draw their weights under the seed, too.

    Args:
        model: The class by import path and its arguments. `n_classes` (or `num_classes`), `resolution` and
            `channels_in` are passed too, if the class takes them and the config does not give them.
        n_classes: Classes to tell apart; `None` leaves the network its own number of outputs.
        resolution: Width of the images in pixels.
        channels_in: Channels of the images.
        seed: Seeds the generators of torch, NumPy and Python; they are left as they were.
        fetch: Let the class fetch weights from the network. It need not if all of them are loaded afterwards.

    Raises:
        ConfigError: If the class cannot be imported, is no network, does not take the arguments or the frames, or
            draws its weights from another generator.
        MissingError: If it cannot fetch weights.
    """
    known = _known_arguments(n_classes, resolution, channels_in)
    # Where all weights are loaded afterwards, it does not matter what they are drawn from.
    first = _digest(_build(model, known, seed)) if fetch else None
    network = _build(model, known, seed, fetch=fetch)
    if first is not None and _digest(network) != first:
        raise ConfigError(
            f"config_models.yaml: {model.class_path} has other weights when it is built again with the same seed. Draw "
            "them from the global generators of torch, NumPy or Python, which are seeded before, and from nothing else."
        )
    return network


def _known_arguments(n_classes: int | None, resolution: int, channels_in: int) -> dict[str, Any]:
    """Return what a class is told if it takes it."""
    known: dict[str, Any] = {"resolution": resolution, "channels_in": channels_in}
    return known if n_classes is None else known | {"n_classes": n_classes, "num_classes": n_classes}


def _build(model: ModelConfig, known: Mapping[str, Any], seed: int, *, fetch: bool = True) -> nn.Module:
    """Build a network once, and show it a blank frame; `fetch` lets the class fetch weights from the network."""
    make = _import_builder(model.class_path)
    parameters: dict[str, Any] = dict(inspect.signature(make).parameters)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if takes_any and model.class_path.startswith("torchvision.models"):
        parameters = {**parameters, "num_classes": None}  # torchvision's functions pass it on to the network
    arguments = {**{name: value for name, value in known.items() if name in parameters}, **copy.deepcopy(model.args)}
    with seeded(seed):
        try:
            network = make(**arguments) if fetch else make_without_fetching(make, arguments)
        except DynvisionError:
            raise
        except Exception as error:
            if refusal := explain_fetching(model.class_path, error):
                raise refusal from error
            if is_of_machine(error) and not isinstance(error, MemoryError | RuntimeError):
                raise
            raise ConfigError(
                f"config_models.yaml: {model.class_path} does not take these args: {describe_failure(error)}"
            ) from error
        if not isinstance(network, nn.Module):
            raise ConfigError(f"config_models.yaml: {model.class_path} is no torch.nn.Module")
        network = set_time_axis(use_originals(network), model.time_axis)
        frame = torch.zeros(1, known["channels_in"], known["resolution"], known["resolution"])
        _show_first(network, frame)
    return network


@torch.no_grad()
def _show_first(network: nn.Module, frame: Tensor) -> None:
    """Show a network its first frame, at which lazy layers are made."""
    with evaluating(network):
        step_network(network, frame, None)
    lazy = [name for name, value in [*network.named_parameters(), *network.named_buffers()] if is_lazy(value)]
    if lazy:
        raise ConfigError(
            f"{type(network).__name__} does not use '{lazy[0]}' when it is shown a frame, so that the shape of these "
            "weights stays unknown. Remove that layer, or give it its size."
        )


def use_originals(network: nn.Module) -> nn.Module:
    """Return a network in which no module is compiled: what is compiled skips the hooks that record layers.

    The names of layers and weights are those of the network without `torch.compile`.
    """
    original: nn.Module = getattr(network, "_orig_mod", network)
    for module in original.modules():
        if module._compiled_call_impl is not None:
            module._compiled_call_impl = None
        for name, child in module.named_children():
            if (inner := getattr(child, "_orig_mod", child)) is not child:
                setattr(module, name, use_originals(inner))
    return original


def _digest(network: nn.Module) -> str:
    """Digest all weights and buffers of a network."""
    digest = hashlib.blake2b()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _import_builder(path: str) -> Callable[..., Any]:
    """Import a class of networks, or a function that makes one, from `module:Name`."""
    try:
        builder = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"config_models.yaml: the class '{path}' cannot be imported: {explain_import(path, error)}"
        ) from error
    except Exception as error:
        if is_of_machine(error):
            raise
        raise ConfigError(
            f"config_models.yaml: the module of '{path}' fails when it is imported ({describe_failure(error)}). Mend "
            "it, or name another."
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
    args, details = restore_whole_keys(settings["args"], settings.get("whole_keys", ())), record.details
    n_classes = details["n_classes"] if "n_classes" in details else len(details["classes"])
    network = _build(
        ModelConfig(**{"class": settings["class"], "args": args, "time_axis": settings.get("time_axis")}),
        _known_arguments(n_classes, settings["resolution"], details["channels"]),
        settings["seed"],
        fetch=False,
    )
    load_weights(path, network)
    return network.eval()


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
