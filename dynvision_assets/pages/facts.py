"""Facts of a record as short texts, for people: how much there is, and how it was computed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["list_facts", "say_size"]


def list_facts(details: Mapping[str, Any]) -> dict[str, str]:
    """Return what the details of a record say about a target, as text, so that Dagster does not plot it.

    Args:
        details: The details of a record.

    Returns:
        Texts by name; without those of which the record says nothing.
    """
    found = {name: say(details) for name, say in _FACTS.items()}
    return {name: text for name, text in found.items() if text}


def say_size(n_bytes: int) -> str:
    """Say a size in bytes with a unit that leaves few digits: `950 bytes`, `65.0 kB`, `1.2 GB`."""
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    power = min(int(math.log10(n_bytes) // 3), 4)
    return f"{n_bytes / 1000**power:.1f} {' kMGT'[power]}B"


def _say_shown(details: Mapping[str, Any]) -> str:
    if "n_timesteps" not in details:
        return ""
    dt = details.get("dt")
    steps = f"{details['n_timesteps']} steps" + (f" of {dt:g} ms" if dt is not None else "")
    return f"{details['samples']} trials × {steps}"


def _say_guessing(details: Mapping[str, Any]) -> str:
    chance = details.get("chance")
    return "" if chance is None or not math.isfinite(chance) else f"{chance:.3g}"


def _say_readout(details: Mapping[str, Any]) -> str:
    if "readout" not in details or details.get("labels_match") == "none":
        return ""
    return ", ".join(f"{key} {value}" for key, value in details["readout"].items())


def _say_table(details: Mapping[str, Any]) -> str:
    """Say how much a summary holds."""
    swept = details.get("parameters")
    over = f" of {' × '.join(swept)}" if isinstance(swept, list | tuple) and swept else ""
    conditions = f"{details['conditions']} conditions{over}" if "conditions" in details else ""
    return ", ".join(filter(None, (conditions, f"{details['rows']} rows" if "rows" in details else "")))


def _say_network(details: Mapping[str, Any]) -> str:
    count = details.get("parameters")
    return f"{count:,} parameters" if isinstance(count, int) else ""


def _say_computing(details: Mapping[str, Any]) -> str:
    """Say how a target was computed, in one line."""
    images, seconds = details.get("images"), details.get("seconds")
    parts = (
        _count(details, "conditions_together", "conditions together"),
        f"{details['steps_computed']} of {details['steps_naive']} steps a trial" if "steps_naive" in details else "",
        f"on {details['device']}" if "device" in details else "",
        _count(details, "threads", "threads"),
        f"batches of {details['batch_size']}" if "batch_size" in details else "",
        f"{seconds:.3g} s" if seconds is not None else "",
        f"{images / seconds:.3g} images a second" if images and seconds else "",
    )
    return ", ".join(filter(None, parts))


def _count(details: Mapping[str, Any], name: str, noun: str) -> str:
    """Say a number with its noun, which is a plural; of one thing, without its `s`."""
    number = details.get(name)
    if number is None:
        return ""
    head, _, tail = noun.partition(" ")
    return f"{number} {head.removesuffix('s') if number == 1 else head}{' ' + tail if tail and number != 1 else ''}"


def _say_bytes(details: Mapping[str, Any]) -> str:
    return say_size(details["bytes"]) if details.get("bytes") is not None else ""


_FACTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "shown": _say_shown,
    "chance": _say_guessing,
    "readout": _say_readout,
    "subjects": lambda details: ", ".join(details.get("subjects", ())),
    "contents": _say_table,
    "network": _say_network,
    "size": _say_bytes,
    "computed": _say_computing,
}
"""The facts by their names in the UI, in order."""
