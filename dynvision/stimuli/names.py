"""Presentations by the names of their loaders, as config files and `get_data_loader` write them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dynvision.errors import nearest_name, unknown_name
from dynvision.stimuli.noise import NOISELEVEL
from dynvision.stimuli.presentation import PRESENTATIONS, Presentation

__all__ = [
    "ARGUMENT_ALIASES",
    "OTHER_MEANINGS",
    "canonical_argument",
    "describe_unknown",
    "make_presentation",
    "presentation_arguments",
]

ARGUMENT_ALIASES = {
    "n_timesteps": ("tsteps", "dsteps", "data_timesteps"),
    "stimulus_duration": ("stim", "duration"),
    "intro_duration": ("intro",),
    "interval_duration": ("interval",),
    "stimulus_contrast": ("contrast",),
    "void_value": ("non_input_value", "voidinput"),
    "non_label_index": ("voidid",),
    "noise_type": ("noisetype",),
    "temporal": ("tempmode", "temporal_mode"),
}
"""The names of a presentation's settings, and the other names of each."""

OTHER_MEANINGS = {
    "repeat": "In DynVision 0.1.0 'repeat' was the number of time steps that an image is shown: write n_timesteps, "
    "with the loader 'Standard'. Here an image is shown several times, with gaps: write repetitions, the number of "
    "showings.",
    "noiselevel": NOISELEVEL,
}
"""Names that DynVision 0.1.0 uses in another sense, and what to write instead."""

_CANONICAL = {alias: name for name, aliases in ARGUMENT_ALIASES.items() for alias in aliases}


def canonical_argument(name: str) -> str:
    """Return the full name of a presentation's setting (`stim` → `stimulus_duration`)."""
    return _CANONICAL.get(name, name)


def presentation_arguments() -> list[str]:
    """List every setting that some presentation takes, with its aliases."""
    names = [p for build in PRESENTATIONS.values() for p in _settings_of(build)]
    full = list(dict.fromkeys(names))
    return full + [alias for name in full for alias in ARGUMENT_ALIASES.get(name, ())]


def describe_unknown(loader: str, setting: str, valid: Iterable[str]) -> str:
    """Say that a loader has no such setting, and which one to write: the nearest, or the one that is meant."""
    advice = OTHER_MEANINGS.get(setting) or nearest_name(setting, valid)
    return f"{loader} has no setting '{setting}'. {advice}"


@functools.cache
def _parameters_of(build: Callable[..., Presentation]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(build).parameters


@functools.cache
def _settings_of(build: Callable[..., Presentation]) -> list[str]:
    parameters = _parameters_of(build)
    shared = [f.name for f in dataclasses.fields(Presentation) if f.name != "segments"]
    return [p for p, spec in parameters.items() if spec.kind is not spec.VAR_KEYWORD] + shared


def make_presentation(name: str, **settings: Any) -> Presentation:
    """Build a presentation by the name of its loader, with full names or aliases for its settings.

    Raises:
        UnknownNameError: If no loader has this name.
        TypeError: If a setting is unknown or missing; the message names the nearest.
        ValueError: If a setting has an impossible value.
    """
    short = name.removesuffix("DataLoader")
    if short not in PRESENTATIONS:
        raise unknown_name("data_loader", name, PRESENTATIONS)
    build = PRESENTATIONS[short]
    parameters = _parameters_of(build)
    valid = _settings_of(build)
    full: dict[str, Any] = {}
    for key, value in settings.items():
        if canonical_argument(key) in full:
            raise TypeError(f"{name} is given '{canonical_argument(key)}' twice, once under another of its names")
        full[canonical_argument(key)] = value
    for key in full:
        if key not in valid:
            aliases = [a for v in valid for a in ARGUMENT_ALIASES.get(v, ())]
            raise TypeError(describe_unknown(name, key, valid + aliases))
    required = [p for p, spec in parameters.items() if spec.default is spec.empty and p in valid]
    if missing := [p for p in required if p not in full]:
        raise TypeError(f"{name} needs the setting '{missing[0]}'")
    return build(**full)
