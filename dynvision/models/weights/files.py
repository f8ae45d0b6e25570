"""Reading a file of weights without running code that it holds."""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dynvision.errors import DamagedFileError
from dynvision.models.weights.formats import SAVE_AGAIN, find_format
from dynvision.system.failures import as_unreadable, last_line

__all__ = ["Unknown", "find_unknown", "read_weights"]

_AGAIN = "Download or copy it again."

_MOST_CLASSES = 200
"""How many different classes a file may name beside its tensors."""


class Unknown:
    """Stands for an object in a file whose class is not loaded: it takes anything and keeps nothing."""

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _UnknownMapping:
    """Stands for a class of mappings that is not loaded: its entries are kept."""

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        return OrderedDict()


class _UnknownList(list):  # type: ignore[type-arg]
    """Stands for a class of lists that is not loaded: its items are kept."""

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        return list.__new__(cls)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        pass


def read_weights(path: Path) -> Any:
    """Read everything that a file of weights holds: safetensors, or what `torch.save` wrote, old or new.

    Torch's own reader for weights alone reads it. Other objects in it (settings, a scheduler, numbers of NumPy) are
    replaced with an `Unknown`, so none of their code is loaded or run.

    Args:
        path: The file. Its format is found by its content.

    Returns:
        Usually nested mappings with tensors in them.

    Raises:
        MissingError: If the file does not exist.
        DamagedFileError: If it is of another kind, damaged, or needs code to be read.
    """
    kind = find_format(path)
    try:
        return _read_safetensors(path) if kind == "safetensors" else _read_torch(path, mmap=kind == "zip")
    except OSError as error:
        text = f"the checkpoint {path} cannot be read: {error}"
        raise as_unreadable(error, text) or DamagedFileError(text) from error
    except pickle.UnpicklingError as error:
        what = "is written with another pickle protocol than 2" if _is_of_protocol(error) else "holds more than tensors"
        raise DamagedFileError(
            f"the checkpoint {path} {what}, and it is not safe to run code from a pickle: {SAVE_AGAIN}."
        ) from error
    except Exception as error:  # What a damaged file makes a reader raise has no common class.
        raise DamagedFileError(f"the checkpoint {path} cannot be read: {last_line(str(error))}. {_AGAIN}") from error


def find_unknown(content: Any, key: str = "") -> str:
    """Say which object of a file was not read because it is code, if one may be the network; else an empty text.

    Args:
        content: What `read_weights` returned.
        key: The key of the content in the file.
    """
    if isinstance(content, Unknown):
        kind = type(content)
        return f"{f'{key!r} in it' if key else 'it'} is a {kind.__module__}.{kind.__qualname__} as code"
    if not isinstance(content, Mapping):
        return ""
    names = ("model", "net", "network", "module", "ema", "teacher", "student")
    return next((text for name in names if (text := find_unknown(content.get(name), name))), "")


def _is_of_protocol(error: pickle.UnpicklingError) -> bool:
    return "Unsupported operand" in str(error)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # it is no mapping
        kept_as: Mapping[str, str] = file.metadata() or {}
    # `safetensors.torch.save_model` keeps a tensor that has several names once, and writes down under which.
    return {**{name: weights[kept] for name, kept in kept_as.items() if kept in weights}, **weights}


def _read_torch(path: Path, *, mmap: bool) -> Any:
    stand_ins: dict[str, type] = {}
    options: dict[str, Any] = {"map_location": "cpu", "weights_only": True}
    for _ in range(_MOST_CLASSES):
        try:
            with warnings.catch_warnings(), _allowing(stand_ins.values()), path.open("rb") as file:
                warnings.simplefilter("ignore")
                if mmap and path.suffix != ".safetensors":  # torch would go by that name
                    return torch.load(path, mmap=True, **options)
                return torch.load(file, **options)
        except pickle.UnpicklingError as error:
            if not _add_stand_in(stand_ins, str(error)):
                raise
    raise pickle.UnpicklingError("too many classes")


def _add_stand_in(stand_ins: dict[str, type], refusal: str) -> bool:
    """Add what stands for the class that torch refuses to load; return whether there is one that is not yet there."""
    base: type
    if named := re.search(r"GLOBAL (\S+) was not an allowed global", refusal):
        name, base = named[1] if "." in named[1] else f"builtins.{named[1]}", Unknown
    elif named := re.search(r"Can only SETITEMS? for .* but got <class '([^']+)'>", refusal):
        name, base = named[1], _UnknownMapping
    elif named := re.search(r"Can only append to lists, but got <class '([^']+)'>", refusal):
        name, base = named[1], _UnknownList
    else:
        return False
    if name in stand_ins and issubclass(stand_ins[name], base):
        return False
    module, _, attribute = name.rpartition(".")
    stand_ins[name] = type(attribute, (base,), {"__module__": module, "__qualname__": attribute})
    return True


@contextmanager
def _allowing(classes: Any) -> Iterator[None]:
    """Let torch load these classes and no further ones while the block runs."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(list(classes))
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
