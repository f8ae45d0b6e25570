"""The arguments of the networks that come with the project, checked before torch is imported."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from dynvision.errors import check_number, nearest_name

__all__ = [
    "NORMALIZING_AREAS",
    "RCNN_AREAS",
    "check_arguments",
    "check_delayed_normalization",
    "check_normalizing",
    "check_rcnn",
    "known_layers",
    "step_length",
]

RCNN_AREAS = ("V1", "V2", "V4", "IT")

NORMALIZING_AREAS = RCNN_AREAS
"""The areas of a normalizing network, which has the first two of them or more."""

_SHORTEST = 1e-6
"""The shortest time constant and step, in ms."""

_LEAST_CHANGE = 1e-6
"""The least share of its way that a state goes in a step; float32 keeps 7 digits."""


def check_rcnn(
    n_classes: int = 2,
    resolution: int = 32,
    channels_in: int = 3,
    channels: Sequence[int] = (16, 24, 32, 48),
    strides: Sequence[int] = (2, 2, 2, 1),
    tau: float = 10.0,
    dt: float = 5.0,
    max_gain: float = 0.9,
) -> None:
    """Raise if an argument of `dynvision.models.RCNN` is not what it takes; see there.

    Raises:
        ValueError: The message says which, and which values are valid.
    """
    check_number("n_classes", n_classes, 1, 1_000_000, whole=True)
    check_number("resolution", resolution, 1, 4096, whole=True)
    check_number("channels_in", channels_in, 1, 4096, whole=True)
    for name, values, most in (("channels", channels, 4096), ("strides", strides, 64)):
        if isinstance(values, (str, Mapping)) or not isinstance(values, Sequence) or len(values) != len(RCNN_AREAS):
            raise ValueError(f"channels and strides have one entry for each of {', '.join(RCNN_AREAS)}")
        for area, value in zip(RCNN_AREAS, values, strict=True):
            check_number(f"{name} of {area}", value, 1, most, whole=True)
    check_number("tau", tau, _SHORTEST, 1e9)
    check_number("dt", dt, 0, 1e9)
    check_number("max_gain", max_gain)
    if not 0 < dt <= tau:
        raise ValueError(f"dt must be above 0 and at most tau ({tau}), not {dt}: the integration would overshoot")
    if dt < (least := max(tau * _LEAST_CHANGE, _SHORTEST)):
        raise ValueError(f"dt must be at least {least:g} (tau / 1e6), not {dt}: a step would change nothing")
    if not 0 <= max_gain < 1:
        raise ValueError(f"max_gain must be at least 0 and below 1, not {max_gain}: activity could grow for ever")


def check_delayed_normalization(
    tau1: float = 50.0,
    w: float = 0.0,
    tau2: float = 100.0,
    n: float = 2.0,
    sigma: float = 1.0,
    scale: float = 1.0,
    dt: float = 1.0,
    reference: float = 1.0,
    n_classes: int = 2,
) -> None:
    """Raise if an argument of `dynvision.models.DelayedNormalization` is not what it takes; see there.

    Raises:
        ValueError: The message says which, and which values are valid.
    """
    check_number("tau1", tau1, _SHORTEST, 1e9)
    check_number("w", w, 0, 1)
    check_number("tau2", tau2, _SHORTEST, 1e9)
    check_number("n", n, 1e-3, 20)  # (l/σ)ⁿ stays a number for every drive
    check_number("sigma", sigma, 1e-6, 1e6)
    check_number("scale", scale, -1e9, 1e9)
    check_number("dt", dt, _SHORTEST, 1e9)
    check_number("reference", reference, 1e-6, 1e6)
    check_number("n_classes", n_classes, 1, 1_000_000, whole=True)


def check_normalizing(
    n_classes: int = 2,
    resolution: int = 32,
    channels_in: int = 3,
    channels: Sequence[int] = (16, 32),
    strides: Sequence[int] = (2, 2),
    kernel: int = 9,
    exponent: float = 2.0,
    sigma: float = 1.0,
    instantaneous: float = 0.75,
    depression: float = 0.007,
    feedback: float = 0.5,
    tau: float = 10.0,
    tau_pool: float = 50.0,
    tau_depression: float = 150.0,
    dt: float = 5.0,
) -> None:
    """Raise if an argument of `dynvision.models.NormalizingNetwork` is not what it takes; see there.

    Raises:
        ValueError: The message says which, and which values are valid.
    """
    check_number("n_classes", n_classes, 1, 1_000_000, whole=True)
    check_number("resolution", resolution, 1, 4096, whole=True)
    check_number("channels_in", channels_in, 1, 4096, whole=True)
    _check_areas(channels, strides)
    check_number("kernel", kernel, 1, 63, whole=True)
    if kernel % 2 == 0:
        raise ValueError(f"kernel must be odd, not {kernel}: a kernel of even width has no centre")
    check_number("exponent", exponent, 1, 4)
    check_number("sigma", sigma, 1e-6, 1e6)
    check_number("instantaneous", instantaneous, 0.01, 1)  # at 0, no bound of the rates would be left
    check_number("depression", depression, 0, 1e6)
    check_number("feedback", feedback, 0, 1)
    if feedback == 1:
        raise ValueError("feedback must be below 1: it could switch V1 off")
    times = {"tau": tau, "tau_pool": tau_pool, "tau_depression": tau_depression}
    for name, value in times.items():
        check_number(name, value, _SHORTEST, 1e9)
    check_number("dt", dt, 0, 1e9)
    for name in ("tau", "tau_pool"):
        if not 0 < dt <= times[name]:
            raise ValueError(f"dt must be above 0 and at most {name} ({times[name]}), not {dt}: it would overshoot")
    if dt < (least := max(max(times.values()) * _LEAST_CHANGE, _SHORTEST)):
        raise ValueError(
            f"dt must be at least {least:g} (the longest tau / 1e6), not {dt}: a step would change nothing"
        )


def _check_areas(channels: object, strides: object) -> None:
    """Raise if channels and strides are not those of the first two areas or more."""
    lengths = set()
    for values in (channels, strides):
        if isinstance(values, (str, Mapping)) or not isinstance(values, Sequence):
            raise ValueError(
                f"channels and strides are lists, with an entry for each of {', '.join(NORMALIZING_AREAS)}"
            )
        lengths.add(len(values))
    if len(lengths) > 1 or not 2 <= lengths.pop() <= len(NORMALIZING_AREAS):
        raise ValueError(
            f"channels and strides have two to four entries, as many as each other: {', '.join(NORMALIZING_AREAS)}"
        )
    for name, values, most in (("channels", channels, 4096), ("strides", strides, 64)):
        for area, value in zip(NORMALIZING_AREAS, values, strict=False):  # type: ignore[call-overload]
            check_number(f"{name} of {area}", value, 1, most, whole=True)


_CHECKS: dict[str, Callable[..., None]] = {
    "dynvision.models:RCNN": check_rcnn,
    "dynvision.models.rcnn:RCNN": check_rcnn,
    "dynvision.models:DelayedNormalization": check_delayed_normalization,
    "dynvision.models.delayed_normalization:DelayedNormalization": check_delayed_normalization,
    "dynvision.models:NormalizingNetwork": check_normalizing,
    "dynvision.models.normalizing:NormalizingNetwork": check_normalizing,
}

_LAYERS: dict[Callable[..., None], tuple[str, ...]] = {
    check_rcnn: (*RCNN_AREAS, "classifier"),
    check_delayed_normalization: ("response",),
    check_normalizing: (*NORMALIZING_AREAS, "gain", "classifier"),
}


@cache
def _arguments_of(class_path: str) -> Mapping[str, inspect.Parameter]:
    """Return the arguments of a network of the project; found once, as many experiments ask for them."""
    return inspect.signature(_CHECKS[class_path]).parameters


def check_arguments(class_path: str, args: Mapping[str, Any]) -> None:
    """Raise if a network of the project does not take these arguments; those of other classes are not known here.

    Raises:
        ValueError: The message says which argument, and what is valid.
    """
    check = _CHECKS.get(class_path)
    if check is None:
        return
    known = _arguments_of(class_path)
    for name in args:
        if name not in known:
            raise ValueError(f"{class_path} has no argument '{name}'. {nearest_name(name, known)}")
    check(**args)


def step_length(class_path: str, args: Mapping[str, Any]) -> float | None:
    """Return how long a step of a network is, in ms; `None` if neither its arguments nor its class tell.

    Args:
        class_path: The class of the network.
        args: Its arguments; what they leave out has the default of the class.
    """
    given = args.get("dt")
    if given is None and class_path in _CHECKS:
        given = _arguments_of(class_path)["dt"].default
    return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else None


def known_layers(class_path: str) -> tuple[str, ...]:
    """Return the names of the layers of a network of the project; none for other classes."""
    return _LAYERS[_CHECKS[class_path]] if class_path in _CHECKS else ()
