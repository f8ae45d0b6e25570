"""Segments: the stretches that a presentation is made of. NumPy only; no torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.errors import nearest_name

__all__ = ["VOID", "Segment", "check_steps", "fill_trial", "read_program"]

VOID = -1
"""The frame index of a step at which no image is shown."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a trial in which one frame is shown.

    Attributes:
        steps: How long, in time steps.
        frame: Which image of the trial, counted from 0; `VOID` for none.
        contrast: Contrast at the first step, in [0, 1].
        contrast_to: Contrast at the last step of a linear ramp; `None` holds `contrast`.
    """

    steps: int
    frame: int = VOID
    contrast: float = 1.0
    contrast_to: float | None = None

    def __post_init__(self) -> None:
        check_steps("a segment's duration", self.steps)
        for value in (self.contrast, self.contrast if self.contrast_to is None else self.contrast_to):
            _check_contrast(value)

    def contrasts(self) -> npt.NDArray[np.float64]:
        """The contrast at each step of the segment: shape `[steps]`."""
        end = self.contrast if self.contrast_to is None else self.contrast_to
        return np.linspace(self.contrast, end, self.steps)


def read_program(program: Sequence[Mapping[str, Any]]) -> list[Segment]:
    """Read the general form of a presentation that a YAML file can hold.

    Args:
        program: `{void: steps}` or `{image: steps}`, in order; an image takes `contrast`, `contrast_to` (the
            end of a linear ramp) and `which: same | next | <index>`.

    Raises:
        ValueError: A segment is not of that form; the message says which.
    """
    segments: list[Segment] = []
    frame = 0
    for place, entry in enumerate(program):
        segment = _read_segment(place, entry, frame)
        frame = segment.frame if segment.frame != VOID else frame
        segments.append(segment)
    return segments


def fill_trial(n_timesteps: int, segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Fill a trial of `n_timesteps` steps: the segments, then void.

    Raises:
        ValueError: The segments do not fit; the message says by how much.
    """
    check_steps("n_timesteps", n_timesteps, least=1)
    used = sum(segment.steps for segment in segments)
    if used > n_timesteps:
        raise ValueError(
            f"the trial needs {used} steps, but n_timesteps is {n_timesteps}. "
            f"Set n_timesteps to at least {used}, or shorten the stimulus, intro or interval."
        )
    return tuple(s for s in (*segments, Segment(n_timesteps - used)) if s.steps)


def check_steps(name: str, steps: Any, least: int = 0) -> None:
    """Raise where a setting is no number of time steps.

    Raises:
        ValueError: It is no whole number, or smaller than `least`.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < least:
        raise ValueError(f"{name} is a number of time steps, a whole number from {least}, not {steps!r}")


def _read_segment(place: int, entry: Mapping[str, Any], frame: int) -> Segment:
    where = f"program[{place}]"
    valid = {"void"} if "void" in entry else {"image", "contrast", "contrast_to", "which"}
    for key in entry:
        if key not in valid:
            raise ValueError(f"{where}: unknown key '{key}'. {nearest_name(key, sorted(valid))}")
    if "void" in entry:
        return Segment(entry["void"])
    if "image" not in entry:
        raise ValueError(f"{where}: a segment is {{void: steps}} or {{image: steps}}, not {dict(entry)}")
    which = entry.get("which", "same")
    chosen = {"same": frame, "next": frame + 1}.get(which, which) if isinstance(which, str) else which
    if isinstance(chosen, bool) or not isinstance(chosen, int) or chosen < 0:
        raise ValueError(f"{where}: 'which' is same, next or an image's index from 0, not {which!r}")
    return Segment(entry["image"], chosen, entry.get("contrast", 1.0), entry.get("contrast_to"))


def _check_contrast(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"contrast must be a number from 0 to 1, not {value!r}")
