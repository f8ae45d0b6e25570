"""The names of tensors in a file, and of weights in a network, without what training programs wrap around them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

__all__ = ["Entry", "Path", "WantedWeight", "is_beside", "list_entries", "list_wanted", "split_key"]

_MOST_LEVELS = 12

_WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Parts of names that torch.compile, FSDP and activation checkpointing add, wherever a module is wrapped."""

_BESIDE = (
    r"n_averaged|(\w*_)?(criterion|criteria|loss|losses|loss_fn|loss_fct|loss_func|loss_function|metric|metrics|"
    r"accuracy|acc|auroc|ema|ema_model|model_ema|teacher|teacher_model|optimizer|scheduler|queue|queue_ptr)"
)
"""Modules that training programs keep next to a network, by the first part of their names."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A tensor in a file.

    Attributes:
        path: The parts of its full name: the keys on the way to it, and its own name at the dots.
        level: How many of them lead to the mapping that it is in.
        value: The tensor.
    """

    path: Path
    level: int
    value: Tensor


@dataclass(frozen=True)
class WantedWeight:
    """A weight of a network.

    Attributes:
        name: Its name in `network.state_dict()`.
        path: The parts of that name, without wrappers.
        value: The weight that the network has.
        tie: The same number for all names of one tensor.
    """

    name: str
    path: Path
    value: Any
    tie: int

    @property
    def is_optional(self) -> bool:
        """Whether a file may lack it: what is no tensor, and how many batches a normalization has seen."""
        return self.path[-1] == "num_batches_tracked" or not isinstance(self.value, Tensor)


def split_key(text: str) -> Path:
    """Return the parts of a dotted name without wrappers."""
    return tuple(part for part in text.split(".") if part and part not in _WRAPPERS)


def list_entries(content: Any) -> list[Entry]:
    """List every tensor in what a file holds, in its order.

    Wrappers are dropped from the names, unless two tensors would then have the same one.
    """
    for split in (split_key, _split_all):
        entries = list(_walk(content, (), frozenset(), split))
        if len({entry.path for entry in entries}) == len(entries):
            break
    return entries


def _split_all(text: str) -> Path:
    return tuple(text.split("."))


def _walk(content: Any, path: Path, above: frozenset[int], split: Callable[[str], Path]) -> Iterator[Entry]:
    items: Iterable[tuple[Any, Any]]
    if isinstance(content, Mapping):
        items = content.items()
    elif isinstance(content, list | tuple):
        items = enumerate(content)
    else:
        return
    if len(above) > _MOST_LEVELS or id(content) in above:
        return
    for key, value in items:
        own = (*path, *split(str(key)))
        if isinstance(value, Tensor):
            yield Entry(own, len(path), value)
        else:
            yield from _walk(value, own, above | {id(content)}, split)


def list_wanted(network: nn.Module) -> list[WantedWeight]:
    """List what `network.state_dict()` holds, with the names that share one tensor."""
    ties: dict[Any, int] = {}
    return [
        WantedWeight(name, split_key(name), value, ties.setdefault(_identity(value), len(ties)))
        for name, value in network.state_dict(keep_vars=True).items()
    ]


def _identity(value: Any) -> Any:
    """Return what two names of one tensor have in common; other tensors have another."""
    if not isinstance(value, Tensor) or nn.parameter.is_lazy(value) or value.numel() == 0 or value.is_meta:
        return id(value)
    return value.data_ptr(), value.dtype, value.shape, value.stride()


def is_beside(first: str) -> bool:
    """Whether the first part of a name is one that training programs use for modules next to a network."""
    return re.fullmatch(_BESIDE, first, re.IGNORECASE) is not None
