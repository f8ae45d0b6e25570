"""Values and attributes as netCDF can hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["store_attributes", "store_texts"]


def store_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as netCDF can hold them: texts and numbers; all others are JSON text.

    That includes lists, because netCDF does not tell a list of one from its only value.

    Args:
        attributes: Of a file, a group or a variable.
    """
    return {name: value if _is_plain(value) else _as_text(value) for name, value in attributes.items()}


def store_texts(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return values as netCDF can hold them: among texts, a missing value is an empty text and a number its digits.

    Args:
        values: Of any type; only Python objects are changed.
    """
    if values.dtype.kind != "O":
        return values
    texts = [one if isinstance(one, str) else "" if one is None or one != one else str(one) for one in values.ravel()]
    return np.array(texts, dtype=object).reshape(values.shape)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | np.number) and not isinstance(value, bool)


def _as_text(value: Any) -> str:
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return json.dumps(plain, sort_keys=True, default=str)
