"""Reading the pickles of CIFAR without running anything: plain values and arrays of bytes, nothing else."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.errors import DataError
from dynvision.system.escaping import show_text

__all__ = ["read_pickle"]

_OPCODES = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP"),
        *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
        *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
    }
)
"""What pickles of plain values and arrays consist of. No other class is made, and nothing comes from a registry."""

_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_MOST_TUPLES = 1000
"""An array needs five. Deeper ones overflow the stack when they are hashed."""


def read_pickle(path: Path, array: str | None = None) -> dict[str, Any]:
    """Read a pickled dict of lists, texts, numbers and arrays of bytes; texts of Python 2 are read as Latin-1.

    Nothing that the pickle names is imported or called: the five names by which NumPy's arrays are pickled are
    replaced by stand-ins, and every other name is refused. What is taken into memory stays within a few times the
    size of the file.

    Args:
        path: The file.
        array: The key of the array that is wanted. Other arrays stay unread.

    Returns:
        The dict. The array is uint8, in the shape that the pickle gives.

    Raises:
        DataError: If the file is no such pickle; the message says what it holds.
        OSError: If the file cannot be read.
    """
    content = path.read_bytes()
    try:
        _check_opcodes(content)
        value = _Unpickler(content).load()
        if not isinstance(value, dict):
            raise DataError(f"the pickle holds a {type(value).__name__}; this format has a dict")
        if array is not None and isinstance(value.get(array), _Array):
            value[array] = value[array].read()
        return value
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from error
    except Exception as error:
        raise DataError(f"{path.name}: it is no pickle, or a damaged one ({show_text(error, 200)})") from error


def _check_opcodes(content: bytes) -> None:
    """Look at the instructions of a pickle before any is followed."""
    n_tuples = 0
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if opcode.name not in _OPCODES:
            raise DataError(f"the pickle has the instruction {opcode.name}, which arrays and lists do not need")
        if opcode.name.endswith("PUT") and isinstance(argument, int) and argument > count + 1000:
            raise DataError(f"the pickle has the instruction {opcode.name} {argument}, which is out of range")
        n_tuples += opcode.name in _TUPLES
        if n_tuples > _MOST_TUPLES:
            raise DataError(f"the pickle has more than {_MOST_TUPLES} tuples")


class _Unpickler(pickle.Unpickler):
    """Gives a stand-in for each name that arrays are pickled with, and refuses all others."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self._left = len(content)
        array, dtype = _StandIn("ndarray"), _StandIn("dtype", _Dtype)
        self._names: dict[tuple[str, str], _StandIn] = {
            ("numpy", "ndarray"): array,
            ("numpy", "dtype"): dtype,
            ("numpy.core.multiarray", "_reconstruct"): _StandIn("_reconstruct", lambda *_: _Array()),
            ("numpy._core.multiarray", "_reconstruct"): _StandIn("_reconstruct", lambda *_: _Array()),
            ("_codecs", "encode"): _StandIn("encode", self._encode),
        }

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name."""
        try:
            return self._names[module, name]
        except KeyError:
            shown = show_text(f"{module}.{name}", 200)
            raise DataError(
                f"the pickle names {shown}, which is no part of this format and could run a program"
            ) from None

    def _encode(self, text: str, encoding: str) -> bytes:
        """Encode the bytes of an array, which Python 3 pickles as text for Python 2."""
        if encoding not in ("latin1", "latin-1"):
            raise DataError(f"the pickle asks for the encoding {show_text(encoding, 50)!r}; arrays use 'latin1'")
        self._left -= len(text)
        if self._left < 0:
            raise DataError("the pickle repeats its content until it is larger than the file")
        return text.encode("latin1")


class _StandIn:
    """Stands for a name of NumPy's. It has no attributes that a pickle could replace."""

    __slots__ = ("_make", "_name")

    def __init__(self, name: str, make: Callable[..., Any] | None = None) -> None:
        self._name = name
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        if self._make is None:
            raise DataError(f"the pickle calls numpy.{self._name}, which this format does not need")
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise DataError(f"the pickle changes {self._name}")


class _Dtype:
    """A type of elements: only its name is taken."""

    __slots__ = ("name",)

    def __init__(self, name: Any, *_: Any) -> None:
        self.name = name

    def __setstate__(self, state: Any) -> None:
        """Byte order and fields; an array of bytes has none."""


class _Array:
    """An array: shape, type and bytes, as the pickle gives them."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def read(self) -> npt.NDArray[np.uint8]:
        """Return the array.

        Raises:
            DataError: If it is not uint8, or its shape does not fit its bytes.
        """
        try:
            _, shape, dtype, is_fortran, content = self._state
        except (TypeError, ValueError) as error:
            raise DataError("an array in the pickle has no shape, type and content") from error
        if not isinstance(dtype, _Dtype) or dtype.name not in ("u1", "uint8", "|u1"):
            name = dtype.name if isinstance(dtype, _Dtype) else type(dtype).__name__
            raise DataError(f"an array in the pickle has elements of type {show_text(name, 50)!r}; pixels are uint8")
        raw = content.encode("latin1") if isinstance(content, str) else content
        if not (isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)) or not isinstance(
            raw, bytes
        ):
            raise DataError(f"an array in the pickle has the shape {show_text(shape, 100)} and {type(raw).__name__}")
        needed = int(np.prod(shape, dtype=object))
        if needed != len(raw):
            raise DataError(f"an array in the pickle has the shape {show_text(shape, 100)} and {len(raw):,} bytes")
        return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if is_fortran is True else "C")
