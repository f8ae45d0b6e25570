"""The timeline as a picture: contrast over time, one colour for each image of the trial."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dynvision.films.canvas import GREY, INK, PALE, color_of, load_font
from dynvision.films.timeline import Timeline, write_number

__all__ = ["AXIS_HEIGHT", "TimeAxis"]

AXIS_HEIGHT = 62
"""Pixels of an axis with its numbers and its label."""

_TICKS = 9
"""The most numbers at an axis."""


@dataclass(frozen=True)
class TimeAxis:
    """A timeline at a position of a picture.

    Attributes:
        timeline: What is drawn.
        left: Where it starts, in pixels.
        top: Where a contrast of 1 is.
        width: Pixels of the whole trial.
        height: Pixels of a contrast of 1.
        speed: How fast time goes by, in words; empty for a still picture.
    """

    timeline: Timeline
    left: int
    top: int
    width: int
    height: int = 26
    speed: str = ""

    def x(self, step: float) -> float:
        """Return where a step starts, in pixels."""
        return self.left + self.width * step / self.timeline.n_steps

    def draw(self, pen: Any) -> None:
        """Draw contrast over time, the axis with its numbers, and what the axis is of."""
        bottom, small = self.top + self.height, load_font(11)
        pen.line([(self.left, self.top), (self.left + self.width, self.top)], fill="#EBEBEB")
        for start, stop, image, contrast in self._stretches():
            height = max(2, round(contrast * self.height))
            box = [(self.x(start), bottom - height), (max(self.x(start) + 1, self.x(stop) - 1), bottom - 1)]
            pen.rectangle(box, fill=color_of(image) if contrast > 0 else PALE)
        pen.line([(self.left, bottom), (self.left + self.width, bottom)], fill=INK)
        for step in self._ticks():
            x = self.x(step)
            pen.line([(x, bottom), (x, bottom + 4)], fill=INK)
            pen.text((x, bottom + 6), self.timeline.name_time(step), font=small, fill=INK, anchor="ma")
        for value, y in (("1", self.top), ("0", bottom)):
            pen.text((self.left - 6, y), value, font=small, fill=INK, anchor="rm")
        middle = (self.left - 20, self.top + self.height // 2)
        pen.text(middle, "contrast", font=small, fill=GREY, anchor="rm")
        label = f"time from onset ({self.timeline.unit})" + (f", shown {self.speed}" if self.speed else "")
        pen.text((self.left + self.width // 2, bottom + 20), label, font=small, fill=GREY, anchor="ma")

    def _stretches(self) -> list[tuple[int, int, int, float]]:
        """Return `(start, stop, image, contrast)` of everything that is shown."""
        timeline, found = self.timeline, []
        starts = sorted({0, *timeline.bounds, *timeline.changes})
        for start, stop in zip(starts, [*starts[1:], timeline.n_steps], strict=True):
            if timeline.shown[start] >= 0:
                found.append((start, stop, int(timeline.shown[start]), timeline.contrast(start)))
        return found

    def _ticks(self) -> list[float]:
        """Return the steps at which round numbers of time lie."""
        timeline = self.timeline
        scale = 1.0 if timeline.dt is None else timeline.dt
        first, last = timeline.time(0), timeline.time(timeline.n_steps)
        most = max(2, min(_TICKS, self.width // 48))
        rough = (last - first) / most
        size = 10 ** math.floor(math.log10(rough))
        gap = next(size * times for times in (1, 2, 5, 10) if size * times >= rough * 0.999)
        gap = gap if timeline.dt is not None else max(1.0, gap)
        numbers = range(math.ceil(first / gap - 1e-9), math.floor(last / gap + 1e-9) + 1)
        return [number * gap / scale + timeline.zero for number in numbers]

    def caption(self, step: int) -> str:
        """Say what is shown at a step."""
        timeline = self.timeline
        time = f"{timeline.name_time(step)} {timeline.unit}"
        return (
            f"{time}, void" if timeline.shown[step] < 0 else f"{time}, contrast {write_number(timeline.contrast(step))}"
        )
