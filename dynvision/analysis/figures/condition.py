"""The time courses of one condition, drawn in milliseconds: every condition of an experiment has this picture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynvision.films.canvas import GREY, INK, PAPER, fit_text, load_font
from dynvision.films.timeline import write_number
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import count_time, find_time_zero
from dynvision.stimuli.timeline import find_showings

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["draw_condition", "relate_course"]

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe & Ito (Color universal design, 2008), without yellow; it repeats after seven layers."""

_PANEL, _HEIGHT = 320, 208
_MARGINS = (52, 42, 12, 40)
"""Pixels left of a panel's axes, above, right and below them."""

_FINE = 2
"""How many times finer lines are drawn, so that they are smooth."""

_LEGEND = 6


def draw_condition(
    mean_response: Mapping[str, Sequence[float]],
    accuracy: Sequence[float] | None,
    title: str,
    presentation: Presentation | None = None,
    dt: float | None = None,
) -> Image:
    """Draw one condition: each layer's mean response relative to its largest size, and the accuracy if there is one.

    Args:
        mean_response: For each layer the mean at each step, T values.
        accuracy: At each step, T values; `None` leaves the panel out.
        title: The title of the picture.
        presentation: What was shown when; the bars are its images. By default all steps show the image.
        dt: Milliseconds a step, for the axis; by default it is in steps.
    """
    from PIL import Image, ImageDraw

    n_timesteps = max(map(len, mean_response.values()), default=len(accuracy or ()))
    presentation = Presentation.constant(max(1, n_timesteps)) if presentation is None else presentation
    courses = {name: relate_course(values) for name, values in mean_response.items()}
    panels = [_Panel(0, courses, "mean response / its largest size", presentation, dt, _find_limits(courses))]
    if accuracy is not None:
        shown = {"": np.asarray(accuracy, dtype=np.float64)}
        panels.append(_Panel(_PANEL, shown, "accuracy", presentation, dt, (0.0, 1.02)))
    picture = Image.new("RGB", (_PANEL * len(panels), _HEIGHT), PAPER)
    for panel in panels:
        picture.paste(panel.draw_lines(), (panel.box[0], panel.box[1]))
        panel.draw_axes(ImageDraw.Draw(picture))
    font = load_font(12, is_bold=True)
    text = fit_text(title, font, picture.width - 16)
    ImageDraw.Draw(picture).text((picture.width / 2, 5), text, font=font, fill=INK, anchor="ma")
    return picture


def relate_course(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return a time course relative to its largest size; a step that is not finite does not count.

    Args:
        values: At each step, T values.

    Returns:
        Shape `[T]`, within [−1, 1].
    """
    course = np.asarray(values, dtype=np.float64)
    related: npt.NDArray[np.float64] = course / np.abs(course[np.isfinite(course)]).max(initial=1e-12)
    return related


def _find_limits(courses: Mapping[str, npt.NDArray[np.float64]]) -> tuple[float, float]:
    finite = np.concatenate([np.zeros(1), *(course[np.isfinite(course)] for course in courses.values())])
    low, high = float(finite.min()), max(float(finite.max()), 1e-3)
    margin = 0.04 * (high - low)
    return low - (margin if low < 0 else 0), high + margin


@dataclass(frozen=True, eq=False)
class _Panel:
    """Lines over time, in a part of the picture.

    Attributes:
        left: Where the part begins, in pixels.
        lines: The values at each step, T, by name; an empty name is not in the legend.
        label: What the values are.
        presentation: What was shown when.
        dt: Milliseconds a step, or `None`.
        limits: The lowest and the highest value of the axis.
    """

    left: int
    lines: Mapping[str, npt.NDArray[np.float64]]
    label: str
    presentation: Presentation
    dt: float | None
    limits: tuple[float, float]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the axes in pixels."""
        left, top, right, bottom = _MARGINS
        return self.left + left, top, self.left + _PANEL - right, _HEIGHT - bottom

    @property
    def span(self) -> tuple[float, float]:
        """The time at which the trial begins and ends."""
        zero, scale = find_time_zero(self.presentation), self.dt or 1.0
        return -zero * scale, (self.presentation.n_timesteps - zero) * scale

    def x(self, time: float) -> float:
        """Return where a time is, in pixels."""
        left, _, right, _ = self.box
        return left + (time - self.span[0]) / (self.span[1] - self.span[0]) * (right - left)

    def y(self, value: float) -> float:
        """Return where a value is, in pixels."""
        _, top, _, bottom = self.box
        return bottom - (value - self.limits[0]) / (self.limits[1] - self.limits[0]) * (bottom - top)

    def draw_lines(self) -> Image:
        """Draw what is within the axes."""
        from PIL import Image, ImageDraw

        left, top, right, bottom = self.box
        fine = Image.new("RGB", ((right - left) * _FINE, (bottom - top) * _FINE), PAPER)
        pen = ImageDraw.Draw(fine)
        zero, scale = find_time_zero(self.presentation), self.dt or 1.0
        for start, stop, frame in find_showings(self.presentation.frames):
            # A bar at the axis; the second image of a trial is paler than the first.
            ends = [self._fine_x((step - zero) * scale) for step in (start, stop)]
            bar = [(ends[0], fine.height - 4 * _FINE), (ends[1], fine.height)]
            pen.rectangle(bar, fill="#9A9A9A" if frame % 2 == 0 else "#CFCFCF")
        time = count_time(self.presentation) * scale
        for number, course in enumerate(self.lines.values()):
            self._draw_course(pen, time, course, number)
        return fine.reduce(_FINE)

    def _fine_x(self, time: float) -> float:
        return (self.x(time) - self.box[0]) * _FINE

    def _draw_course(self, pen: Any, time: npt.NDArray[Any], course: npt.NDArray[np.float64], number: int) -> None:
        points: list[tuple[float, float]] = []
        for t, value in [*zip(time.tolist(), course.tolist(), strict=False), (0.0, math.nan)]:
            if math.isfinite(value):
                points.append((self._fine_x(t), (self.y(value) - self.box[1]) * _FINE))
                continue
            if len(points) > 1:
                _draw_line(pen, points, number, _FINE)
            elif points:  # a step between two that are not finite
                pen.circle(points[0], 2 * _FINE, fill=_COLORS[number % len(_COLORS)])
            points = []

    def draw_axes(self, pen: Any) -> None:
        """Draw the axes, their numbers and labels, and the legend."""
        left, top, right, bottom = self.box
        small = load_font(10)
        pen.line([(left, top), (left, bottom), (right, bottom)], fill=INK)
        for time in _find_ticks(*self.span, 7, self.dt is None):
            pen.line([(self.x(time), bottom), (self.x(time), bottom + 3)], fill=INK)
            pen.text((self.x(time), bottom + 5), write_number(time), font=small, fill=INK, anchor="ma")
        for value in _find_ticks(*self.limits, 5, False):
            pen.line([(left - 3, self.y(value)), (left, self.y(value))], fill=INK)
            pen.text((left - 5, self.y(value)), write_number(value), font=small, fill=INK, anchor="rm")
        unit = "steps" if self.dt is None else "ms"
        middle = ((left + right) / 2, bottom + 19)
        pen.text(middle, f"time from onset ({unit})", font=load_font(11), fill=GREY, anchor="ma")
        pen.text((left - 40, top - 8), self.label, font=small, fill=GREY, anchor="ls")
        self._write_legend(pen)

    def _write_legend(self, pen: Any) -> None:
        named, font, (_, top, right, _) = [name for name in self.lines if name], load_font(10), self.box
        shown = named if len(named) <= _LEGEND else [*named[: _LEGEND - 1], f"and {len(named) - _LEGEND + 1} more"]
        for row, name in enumerate(shown):
            y, is_line = top + 4 + 12 * row, name in named
            text = fit_text(name, font, 150)
            pen.text((right - 2, y), text, font=font, fill=INK, anchor="ra", stroke_width=2, stroke_fill=PAPER)
            if is_line:
                start = right - 8 - font.getlength(text)
                _draw_line(pen, [(start - 16, y + 6), (start, y + 6)], row, 1)


def _draw_line(pen: Any, points: Sequence[tuple[float, float]], number: int, scale: int) -> None:
    """Draw a line in the colour of its number; where colours repeat, it is dashed."""
    color, width = _COLORS[number % len(_COLORS)], round(1.6 * scale)
    if number // len(_COLORS) % 2 == 0:
        pen.line(points, fill=color, width=width, joint="curve")
        return
    dash, done = 4.0 * scale, 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        at = 0.0
        while at < length:
            step = min(dash - done % dash, length - at)
            if int(done // dash) % 2 == 0:
                ends = [(x0 + (x1 - x0) * part / length, y0 + (y1 - y0) * part / length) for part in (at, at + step)]
                pen.line(ends, fill=color, width=width)
            at, done = at + step, done + step


def _find_ticks(low: float, high: float, most: int, is_whole: bool) -> list[float]:
    """Return round numbers between two numbers."""
    rough = (high - low) / most
    size = 10 ** math.floor(math.log10(rough))
    gap = next(size * times for times in (1, 2, 5, 10) if size * times >= rough * 0.999)
    gap = max(1.0, gap) if is_whole else gap
    return [number * gap for number in range(math.ceil(low / gap - 1e-9), math.floor(high / gap + 1e-9) + 1)]
