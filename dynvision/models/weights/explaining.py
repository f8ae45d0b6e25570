"""Saying what of a file does not fit a network."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Sequence

from torch import nn

from dynvision.models.weights.fitting import Reading
from dynvision.system.escaping import show_text

__all__ = ["describe_misfit", "join_first", "list_readings"]

_MOST_NAMES = 5
_MOST_COMPARED = 2_000


def describe_misfit(reading: Reading, network: nn.Module) -> str:
    """Say which weights of a reading are missing, unexpected, or of another shape, with the nearest names.

    Args:
        reading: The reading of which most fits.
        network: The network.

    Returns:
        The end of a sentence, without a full stop.
    """
    parts = [f"{len(reading.values)} of {len(network.state_dict())} fit" + _under(reading)]
    if reading.missing:
        parts.append(
            f"missing: {join_first(_with_nearest(reading.missing, list(reading.unexpected)), reading.missing)}"
        )
    if reading.unexpected:
        shown = (f"{show_text(name, 200)} {list(value.shape)}" for name, value in reading.unexpected.items())
        parts.append(f"unexpected: {join_first(shown, reading.unexpected)}")
    if reading.unlike:
        parts.append(f"of another shape or type: {join_first(reading.unlike.values(), reading.unlike)}")
    return "; ".join(parts)


def list_readings(readings: Iterable[Reading]) -> str:
    """List the first few readings by what their names begin with."""
    return join_first(dict.fromkeys(_show_key(reading) for reading in readings))


def _show_key(reading: Reading) -> str:
    """Return the prefix of a reading as a value in YAML."""
    return f"'{show_text(reading.title, 200)}'"


def _under(reading: Reading) -> str:
    return f" if the names are read under {_show_key(reading)}" if reading.prefix else ""


def join_first(shown: Iterable[str], names: Iterable[str] | None = None) -> str:
    """List the first few texts, and say how many more there are.

    Args:
        shown: The texts; no more of them are made than are listed.
        names: What is counted, if not the texts themselves.
    """
    if names is None:
        names = shown = list(shown)
    first, count = list(itertools.islice(shown, _MOST_NAMES)), len(list(names))
    return ", ".join(first) + (f" and {count - _MOST_NAMES} more" if count > _MOST_NAMES else "")


def _with_nearest(names: Sequence[str], others: Sequence[str]) -> Iterable[str]:
    for name in names:
        near = difflib.get_close_matches(name, others[:_MOST_COMPARED], 1, 0.6)
        yield show_text(name, 200) + (f" (nearest: {show_text(near[0], 200)})" if near else "")
