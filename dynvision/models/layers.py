"""Layers of a network: finding them by name, by call and by part of their output, and keeping what they return."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dynvision.errors import ConfigError, UnknownNameError, nearest_name
from dynvision.models.outputs import as_plain, find_part, first_tensor, parts_of

__all__ = [
    "Layer",
    "LayerOutputs",
    "check_used",
    "count_calls",
    "explain_unused",
    "find_layer",
    "match_layers",
    "record_layers",
]

_CALL_AND_PARTS = re.compile(r"(?:#(?P<call>\d+|\*))?(?P<parts>(?:\.[^.#]+)*)")


@dataclass(frozen=True)
class Layer:
    """What is recorded under one name: `relu`, `relu#2` (its second call in a step), `lstm.1.0` (a part), both.

    Attributes:
        name: The whole name.
        module: The name of the module.
        call: Which call in a step, counted from 1; `None` for the only one.
        parts: The part of what the module returns: keys, names or numbers, one for each level.
    """

    name: str
    module: str
    call: int | None = None
    parts: tuple[str, ...] = ()


class LayerOutputs(dict[str, Any]):
    """What was kept of each layer since the last `clear()`, by the layer's name.

    Attributes:
        calls: How many times each recorded module was called since then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def clear(self) -> None:
        """Forget everything, before the next step."""
        super().clear()
        self.calls.clear()


def match_layers(network: nn.Module, patterns: Sequence[str], calls: Mapping[str, int] | None = None) -> list[str]:
    """Return the names of the layers that match names or globs, in the order of the network.

    Args:
        network: The network.
        patterns: Names or globs. A `*` stays within one level: `V*` does not match `V1.lateral`. After the name may
            follow the call in a step (`relu#2`, `relu#*` for each call), then the part of the output (`lstm.0`,
            `block.hidden`).
        calls: How often each module is called in a step, see `count_calls`; without it, `#*` is refused.

    Raises:
        UnknownNameError: If a pattern matches no layer; the message names the nearest one.
    """
    names = [name for name, _ in network.named_modules() if name]
    chosen: dict[str, list[str]] = {}
    for pattern in patterns:
        matching = _match(pattern, names, calls)
        if not matching:
            raise UnknownNameError(
                f"no layer of {type(network).__name__} is called '{pattern}'. {nearest_name(pattern, names)}"
            )
        for module, layers in matching.items():
            known = chosen.setdefault(module, [])
            known += [layer for layer in layers if layer not in known]
    return [layer for name in names for layer in chosen.get(name, ())]


def find_layer(network: nn.Module, name: str) -> Layer:
    """Find the module, the call and the part that a name of `match_layers` stands for.

    Raises:
        UnknownNameError: If the network has no such module.
    """
    names = {module for module, _ in network.named_modules() if module}
    if name in names:
        return Layer(name, name)
    for head, call, parts in _cuts(name):
        if head in names and call != "*":
            return Layer(name, head, None if call is None else int(call), parts)
    raise UnknownNameError(f"no layer of {type(network).__name__} is called '{name}'. {nearest_name(name, names)}")


@torch.no_grad()
def count_calls(network: nn.Module, step: Callable[[], object]) -> dict[str, int]:
    """Count how often each module is called in a step.

    Args:
        network: The network.
        step: Makes one step of it.
    """
    calls: Counter[str] = Counter()

    def count(name: str) -> Any:
        return lambda *_: calls.update([name])

    handles = [
        module.register_forward_hook(count(name))
        for name, module in network.named_modules()
        if name and not isinstance(module, torch.jit.ScriptModule)
    ]
    try:
        step()
    finally:
        for handle in handles:
            handle.remove()
    return dict(calls)


@contextmanager
def record_layers(
    network: nn.Module, layers: Sequence[str], keep_as: Callable[[str, Tensor], Any] | None = None
) -> Iterator[LayerOutputs]:
    """Keep the latest output of each layer in a dictionary while the block runs.

    The output is copied as soon as the layer returns it, because the next layer may change it in place, as
    torchvision's `ReLU(inplace=True)` does. Of several values (a tuple, a mapping, …) the first tensor is kept, or the
    part that the name says. Calls are counted from the last `clear()` of the dictionary.

    Args:
        network: The network.
        layers: Names, as `match_layers` returns them.
        keep_as: Computes what is kept from the layer's name and its output, and must not return a view of the output;
            by default the output is copied.

    Yields:
        What is kept, by the layer's name; empty before the first step.

    Raises:
        ConfigError: If a layer returns nothing that can be recorded, or not the part that its name says.
    """
    outputs = LayerOutputs()
    by_module: dict[str, list[Layer]] = {}
    for layer in (find_layer(network, name) for name in layers):
        by_module.setdefault(layer.module, []).append(layer)

    def hook(name: str) -> Any:
        def keep(module: nn.Module, arguments: Any, output: Any) -> None:
            outputs.calls[name] += 1
            for layer in by_module[name]:
                if layer.call in (None, outputs.calls[name]):
                    value = _take(layer, output, network)
                    outputs[layer.name] = value.clone() if keep_as is None else keep_as(layer.name, value)

        return keep

    handles, modules = [], dict(network.named_modules())
    try:
        for name in by_module:
            if isinstance(modules[name], torch.jit.ScriptModule):
                raise ConfigError(
                    f"the layer '{name}' is scripted, so that what it returns cannot be seen. Record a layer around "
                    "it, or name the class of the network in place of its scripted form."
                )
            handles.append(modules[name].register_forward_hook(hook(name)))
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def check_used(network: nn.Module, layers: Sequence[str], outputs: LayerOutputs, *, once: bool = True) -> None:
    """Raise if a layer took no part in a step, or was called more than once where its name says no call.

    Args:
        network: The network.
        layers: Names, as `match_layers` returns them.
        outputs: What `record_layers` gathered in one step.
        once: Whether more than one call is refused, too.

    Raises:
        ConfigError: If a layer has not exactly one output.
    """
    name = type(network).__name__
    for layer in (find_layer(network, text) for text in layers):
        count = outputs.calls[layer.module]
        if layer.name not in outputs:
            raise explain_unused(network, layer.name, count)
        if once and layer.call is None and count > 1:
            rest = layer.name[len(layer.module) :]
            raise ConfigError(
                f"the layer '{layer.name}' is used more than once when {name} makes a step, so that it has no one "
                f"response; record '{layer.module}#1{rest}' … '{layer.module}#{count}{rest}' in its place, or a layer "
                "before or after it"
            )


def explain_unused(network: nn.Module, layer_name: str, count: int) -> ConfigError:
    """Return the error of a layer that gave no output in a step.

    Args:
        network: The network.
        layer_name: The layer, as `match_layers` returns it.
        count: How often its module was called.
    """
    name, layer = type(network).__name__, find_layer(network, layer_name)
    if count:
        times = "once" if count == 1 else f"{count} times"
        return ConfigError(
            f"the layer '{layer.name}' is not used when {name} makes a step: '{layer.module}' is called {times}"
        )
    return ConfigError(f"the layer '{layer.name}' is not used when {name} makes a step; record another")


def _take(layer: Layer, output: Any, network: nn.Module) -> Tensor:
    """Return the tensor of an output that is recorded as a layer."""
    if layer.parts and not parts_of(output):
        names = [name for name, _ in network.named_modules() if name]
        raise UnknownNameError(
            f"no layer of {type(network).__name__} is called '{layer.name}', and '{layer.module}' returns one "
            f"{type(output).__name__}, which has no parts. {nearest_name(layer.name, names)}"
        )
    value = first_tensor(find_part(output, layer.parts, layer.module))
    if value is None:
        raise ConfigError(f"the layer '{layer.name}' returns a {type(output).__name__}, not a tensor; record another")
    refused = {"complex numbers": value.is_complex(), "a nested tensor": value.is_nested, "nothing": not value.numel()}
    for what, is_so in refused.items():
        if is_so:
            raise ConfigError(f"the layer '{layer.name}' returns {what}, which cannot be recorded; record another")
    return as_plain(value.detach())


def _match(pattern: str, names: Sequence[str], calls: Mapping[str, int] | None) -> dict[str, list[str]]:
    """Return the layers that match a pattern, by their module."""
    if modules := [name for name in names if _matches(name, pattern)]:
        return {name: [name] for name in modules}
    for head, call, parts in _cuts(pattern):
        modules = [name for name in names if _matches(name, head)]
        if not modules or any("*" in part for part in parts) or (call is None and _is_misspelt(pattern, head, names)):
            continue
        rest = "".join(f".{part}" for part in parts)
        if call == "*" and calls is None:
            raise ConfigError(f"record.layers: '{pattern}': write the number of the call in place of the *")
        return {
            name: [f"{name}#{number}{rest}" for number in range(1, (calls or {}).get(name, 0) + 1)]
            if call == "*"
            else [f"{name}{'' if call is None else f'#{call}'}{rest}"]
            for name in modules
        }
    return {}


def _is_misspelt(pattern: str, head: str, names: Sequence[str]) -> bool:
    """Whether what looks like a part of an output is rather the name of a layer with a slip in it."""
    below = [name for name in names if name.startswith(f"{head}.")]
    return bool(difflib.get_close_matches(pattern, below, 1, 0.8)) and not pattern.rpartition(".")[2].isdigit()


def _cuts(name: str) -> Iterator[tuple[str, str | None, tuple[str, ...]]]:
    """Split a name into module, call and parts in each possible way, the longest module first."""
    for position in reversed(range(1, len(name))):
        if name[position] in ".#" and (found := _CALL_AND_PARTS.fullmatch(name, position)):
            yield name[:position], found["call"], tuple(found["parts"].split(".")[1:])


def _matches(name: str, pattern: str) -> bool:
    parts, wanted = name.split("."), pattern.split(".")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))
