"""Segments: the stretches of a trial that a presentation is made of. NumPy only, no torch."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.errors import check_number, nearest_name
from dynvision.stimuli.noise import NOISELEVEL, Noise

__all__ = ["VOID", "Segment", "check_repeats", "check_steps", "count_steps", "fill_trial", "find_zero", "read_program"]

VOID = -1
"""The frame index of a step at which no image is shown."""

_IMAGE_KEYS = ("image", "contrast", "contrast_to", "which", "noise")
_NOISE_KEYS = ("kind", "ssnr", "temporal", "persistence", "spatial_scale", "seed")
_NOISE_ALIASES = {"noise_type": "kind", "noisetype": "kind", "tempmode": "temporal", "temporal_mode": "temporal"}
_MOST_STEPS = 1_000_000
"""A trial longer than this is a typing error."""

_MOST_SEGMENTS = 20_000
_MOST_IMAGES = 10_000
"""Images that one trial shows."""

_LONGEST_STEP = 1e6
_SHORTEST_STEP = 1e-6
"""Milliseconds."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a trial in which one frame is shown.

    Attributes:
        steps: How long, in time steps.
        frame: Which image of the trial, counted from 0; `VOID` for none.
        contrast: What the image's own contrast is multiplied by at the first step, in [0, 1].
        contrast_to: Contrast at the last step of a linear ramp; `None` keeps `contrast`.
        noise: Noise in the shown image, before its contrast is set.
        other_class: Whether the image is of another class than the trial's first, image 0. It then is so wherever the
            trial shows it.
    """

    steps: int
    frame: int = VOID
    contrast: float = 1.0
    contrast_to: float | None = None
    noise: Noise | None = None
    other_class: bool = False

    def __post_init__(self) -> None:
        check_steps("a segment's duration", self.steps)
        check_number(
            f"a segment's frame (an image, counted from 0, or {VOID} for void)",
            self.frame,
            VOID,
            _MOST_IMAGES,
            whole=True,
        )
        for value in (self.contrast, self.contrast if self.contrast_to is None else self.contrast_to):
            check_number("contrast", value, 0, 1)
        if self.other_class and self.frame < 1:
            raise ValueError("the trial's first image (0) cannot be of another class than itself")

    def contrasts(self) -> npt.NDArray[np.float64]:
        """The contrast at each step of the segment: shape `[steps]`."""
        end = self.contrast if self.contrast_to is None else self.contrast_to
        return np.linspace(self.contrast, end, self.steps)


def read_program(program: Sequence[Mapping[str, Any]], dt: float | None = None) -> list[Segment]:
    """Read the general form of a presentation that a YAML file can hold.

    - `{void: 10}`: nothing is shown.
    - `{image: 20}`: an image; with `contrast`, `contrast_to` (the end of a linear ramp), `which: same | next | other |
      <index>` (which of the trial's images), and `noise: {kind: …, ssnr: …}` with the settings of `Noise`. `next` is
      the one after the latest that was shown, of any class; `other` is one that was not shown yet, of another class
      than the trial's first image, which has the index 0 and may be shown later.
    - `{repeat: 5, program: […]}`: the inner program several times; `which: next` counts on from one time to the next.

    Args:
        program: The segments in order.
        dt: Milliseconds a step, if durations are in milliseconds; by default they are in steps.

    Raises:
        ValueError: If a segment has another form; the message says which.
    """
    segments: list[Segment] = []
    _read_into(segments, program, "program", dt)
    others = {s.frame for s in segments if s.other_class}
    return [dataclasses.replace(s, other_class=True) if s.frame in others else s for s in segments]


def fill_trial(n_timesteps: int, segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Fill a trial of `n_timesteps` steps: the segments, then void.

    Raises:
        ValueError: If the segments do not fit; the message says by how much.
    """
    check_steps("n_timesteps", n_timesteps, least=1)
    used = sum(segment.steps for segment in segments)
    if used > n_timesteps:
        raise ValueError(
            f"the trial needs {used} steps, but n_timesteps is {n_timesteps}. "
            f"Set n_timesteps to at least {used}, or shorten the stimulus, intro or interval."
        )
    # An image of no duration stays: it marks the end of the intro, where time is 0.
    return tuple(s for s in (*segments, Segment(n_timesteps - used)) if s.steps or s.frame != VOID)


def find_zero(segments: Sequence[Segment]) -> int:
    """Return the step at whose start time is 0; see `dynvision.stimuli.showings.find_time_zero`."""
    step = 0
    for segment in segments:
        if segment.frame != VOID:
            return step
        step += segment.steps
    return segments[0].steps if len(segments) > 1 else 0


def count_steps(name: str, duration: Any, dt: float | None = None, least: int = 0) -> int:
    """Count the time steps of a duration.

    Args:
        name: What the duration is of, for the message.
        duration: In milliseconds if `dt` is given, otherwise in steps.
        dt: Milliseconds a step.
        least: The fewest steps that make sense.

    Raises:
        ValueError: If it is no whole number of steps, or fewer than `least`.
    """
    if dt is None:
        check_steps(name, duration, least)
        return int(duration)
    if isinstance(dt, bool) or not isinstance(dt, numbers.Real) or not 0 < dt < math.inf:
        raise ValueError(f"dt is the length of a time step in milliseconds, a number above 0, not {_show(dt)}")
    check_number("dt (the length of a time step in milliseconds)", dt, _SHORTEST_STEP, _LONGEST_STEP)
    most = _MOST_STEPS * _LONGEST_STEP
    check_number(f"{name} (a duration in milliseconds, because dt is given)", duration, -most, most)
    steps = round(duration / dt)
    if abs(duration / dt - steps) > 1e-6:
        below = math.floor(duration / dt) * dt
        raise ValueError(
            f"{name} of {duration:g} ms is no whole number of steps of {dt:g} ms; "
            f"the nearest are {below:g} and {below + dt:g} ms"
        )
    check_steps(name, steps, least)
    return steps


def check_steps(name: str, steps: Any, least: int = 0) -> None:
    """Raise if a setting is no number of time steps.

    Raises:
        ValueError: If it is no whole number, smaller than `least`, or larger than any trial.
    """
    check_number(f"{name} (in time steps)", steps, least, whole=True)
    if steps > _MOST_STEPS:
        raise ValueError(f"{name} of {steps} time steps is longer than any trial ({_MOST_STEPS} at most)")


def check_repeats(name: str, count: Any) -> None:
    """Raise if a setting does not say how often something is shown.

    Raises:
        ValueError: If it is no whole number from 1, or larger than the number of steps of any trial.
    """
    check_number(name, count, 1, _MOST_STEPS, whole=True)


def _read_into(segments: list[Segment], program: Any, where: str, dt: float | None) -> None:
    if isinstance(program, (str, Mapping)) or not isinstance(program, Sequence):
        raise ValueError(f"{where} is a list of segments such as {{void: 2}} and {{image: 20}}, not {_show(program)}")
    for number, entry in enumerate(program):
        here = f"{where}[{number}]"
        if not isinstance(entry, Mapping):
            raise ValueError(f"{here}: a segment is {{void: steps}} or {{image: steps}}, not {_show(entry)}")
        if "repeat" in entry:
            _check_keys(here, entry, ("repeat", "program"))
            times = entry["repeat"]
            check_repeats(f"{here}: repeat", times)
            if "program" not in entry:
                raise ValueError(f"{here}: the program to repeat is missing: {{repeat: {times}, program: [...]}}")
            for _ in range(times):
                before = len(segments)
                _read_into(segments, entry["program"], f"{here}.program", dt)
                if len(segments) == before:
                    raise ValueError(f"{here}: the program to repeat is empty; give it segments such as {{void: 2}}")
        else:
            segments.append(_read_segment(here, entry, segments, dt))
        if len(segments) > (most := min(_MOST_STEPS, _MOST_SEGMENTS)):
            raise ValueError(f"{where}[{number}]: the program has more than {most} segments")


def _read_segment(where: str, entry: Mapping[str, Any], before: Sequence[Segment], dt: float | None) -> Segment:
    if "void" in entry:
        _check_keys(where, entry, ("void",))
        return Segment(count_steps(f"{where}: void", entry["void"], dt))
    _check_keys(where, entry, _IMAGE_KEYS)
    if "image" not in entry:
        raise ValueError(f"{where}: a segment is {{void: steps}} or {{image: steps}}, not {_show(dict(entry))}")
    # The latest image that was shown, which may lie many void segments back.
    shown = next((s.frame for s in reversed(before) if s.frame != VOID), -1)
    which = entry.get("which", "same")
    chosen = {"same": max(shown, 0), "next": shown + 1}.get(which, which) if isinstance(which, str) else which
    if which == "other":
        chosen = max((s.frame for s in before if s.frame > 0), default=0) + 1
    if isinstance(chosen, bool) or not isinstance(chosen, int) or chosen < 0:
        raise ValueError(f"{where}: 'which' is same, next, other or an image's index from 0, not {_show(which)}")
    steps = count_steps(f"{where}: image", entry["image"], dt)
    noise = None if entry.get("noise") is None else _read_noise(f"{where}.noise", entry["noise"])
    return Segment(steps, chosen, entry.get("contrast", 1.0), entry.get("contrast_to"), noise, which == "other")


def _read_noise(where: str, settings: Any) -> Noise:
    if isinstance(settings, Noise):
        return settings
    if not isinstance(settings, Mapping):
        raise ValueError(f"{where} is {{kind: gaussian, ssnr: 0.5}}, not {_show(settings)}")
    full: dict[Any, Any] = {}
    for key, value in settings.items():
        name = _NOISE_ALIASES.get(key, key)
        if name in full:
            raise ValueError(f"{where} gives '{name}' twice, once under another of its names")
        full[name] = value
    if "noiselevel" in full:
        raise ValueError(f"{where}: unknown key 'noiselevel'. {NOISELEVEL}")
    _check_keys(where, full, _NOISE_KEYS)
    for key in ("kind", "ssnr"):
        if key not in full:
            raise ValueError(f"{where} needs '{key}', as in {{kind: gaussian, ssnr: 0.5}}")
    return Noise(**full)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _check_keys(where: str, entry: Mapping[str, Any], valid: Sequence[str]) -> None:
    for key in entry:
        if key not in valid:
            raise ValueError(f"{where}: unknown key '{key}'. {nearest_name(str(key), [*valid, 'void', 'repeat'])}")
