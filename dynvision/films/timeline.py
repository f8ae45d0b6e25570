"""The timeline under a film: which image is shown when, and at what contrast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Timeline"]


@dataclass(frozen=True, eq=False)
class Timeline:
    """What a trial shows at each of its T steps.

    Attributes:
        shown: Which image of the trial, counted from 0; negative for none: shape `[T]`.
        contrasts: What the image's own contrast is multiplied by, in [0, 1]: shape `[T]`.
        changes: The steps at which something else is shown than at the step before, in order.
        zero: The step at whose start time is 0.
        dt: Milliseconds a step; `None` leaves time in steps.
        notes: What else is to be said about what is shown, such as its noise.
    """

    shown: npt.NDArray[np.int64]
    contrasts: npt.NDArray[np.float64]
    changes: tuple[int, ...] = ()
    zero: int = 0
    dt: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_steps(self) -> int:
        """T, the number of steps."""
        return len(self.shown)

    @property
    def n_images(self) -> int:
        """How many different images a trial shows."""
        return max(1, int(self.shown.max()) + 1)

    @property
    def unit(self) -> str:
        """The unit of time."""
        return "steps" if self.dt is None else "ms"

    @property
    def bounds(self) -> tuple[int, ...]:
        """The steps at which an image appears or disappears, in order."""
        return tuple((np.flatnonzero(np.diff(self.shown)) + 1).tolist())

    def after(self, start: int) -> Timeline:
        """Return the timeline from a step on."""
        if start == 0:
            return self
        changes = tuple(step - start for step in self.changes if step > start)
        return Timeline(self.shown[start:], self.contrasts[start:], changes, self.zero - start, self.dt, self.notes)

    def time(self, step: float) -> float:
        """Return the time at which a step starts, from the onset of the stimulus, in `unit`."""
        return (step - self.zero) * (1.0 if self.dt is None else self.dt)

    def name_time(self, step: float) -> str:
        """Write the time at which a step starts."""
        return write_number(self.time(step))

    def contrast(self, step: int) -> float:
        """Return the contrast at a step; 0 where nothing is shown."""
        return float(self.contrasts[step]) if self.shown[step] >= 0 else 0.0


def write_number(value: float) -> str:
    """Write a number in few digits, with a true minus sign."""
    return f"{round(value, 6) + 0.0:.5g}".replace("-", "−")
