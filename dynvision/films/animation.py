"""The animation: trials side by side as they change, over their timeline with a cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynvision.films.axis import AXIS_HEIGHT, TimeAxis
from dynvision.films.canvas import FRAME, GREY, INK, PAPER, color_of, fit_text, load_font, say_averaging, scale_picture
from dynvision.films.choosing import pick_evenly
from dynvision.films.timeline import Timeline

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Animation", "Moment", "choose_moments", "choose_speed"]

_LENGTH = 5000.0
"""Milliseconds that a loop takes, about."""

_SLOWEST = 250.0
"""Milliseconds that a step takes at most."""

_SHORTEST = 30
"""Milliseconds of a frame that every browser shows as long as it says."""

_GAP, _LEFT, _RIGHT, _HEAD = 8, 92, 20, 26


@dataclass(frozen=True)
class Moment:
    """A frame of the animation.

    Attributes:
        step: The step that it shows.
        stop: The step before which it ends.
        milliseconds: How long it is shown.
    """

    step: int
    stop: int
    milliseconds: int


def choose_speed(timeline: Timeline) -> float:
    """Return how many milliseconds of the animation a step takes.

    With a known `dt` it is a round multiple or a round part of the real time.
    """
    wanted = min(_SLOWEST, _LENGTH / timeline.n_steps)
    if timeline.dt is None:
        return wanted
    rounds = np.outer(10.0 ** np.arange(-6, 7), [1.0, 2.0, 5.0]).ravel()
    return float(timeline.dt * rounds[np.abs(np.log(rounds * timeline.dt / wanted)).argmin()])


def choose_moments(timeline: Timeline, most: int) -> list[Moment]:
    """Choose the frames of the animation: each step or, of a long trial, some evenly, and wherever images change.

    Args:
        timeline: The trial.
        most: How many frames at most; at least 2.
    """
    speed = choose_speed(timeline)
    bounds = pick_evenly(sorted({0, *timeline.bounds}), max(2, most // 2))
    evenly = most if timeline.n_steps <= most else max(2, most - len(bounds))
    starts = pick_evenly(range(timeline.n_steps), evenly)
    if timeline.n_steps > most or len(starts) < timeline.n_steps:
        starts = sorted({*starts, *bounds})
    while len(starts) > 2 and speed * timeline.n_steps / len(starts) < _SHORTEST:
        kept = set(pick_evenly(starts, len(starts) * 3 // 4))
        starts = [start for start in starts if start in kept or start in bounds][: len(starts) - 1]
    stops = [*starts[1:], timeline.n_steps]
    return [
        Moment(start, stop, max(_SHORTEST, round(speed * (stop - start))))
        for start, stop in zip(starts, stops, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Animation:
    """An animation to be drawn.

    Attributes:
        timeline: When what is shown.
        frame: Returns what a step shows to each trial: `[B, H, W]` or `[B, H, W, 3]`, uint8.
        names: For each trial the names of its images; none says nothing.
        title: The line above; empty for none.
        width: Pixels of a trial's image, about.
        speed: How fast it is, in words.
    """

    timeline: Timeline
    frame: Callable[[int], npt.NDArray[np.uint8]]
    names: Sequence[Sequence[str]] = ()
    title: str = ""
    width: int = 128
    speed: str = ""

    @cached_property
    def _first(self) -> npt.NDArray[np.uint8]:
        return self.frame(0)

    @cached_property
    def _tile(self) -> tuple[int, int]:
        return scale_picture(self._first[0], self.width).size

    @property
    def _name_lines(self) -> int:
        return min(3, max(map(len, self.names), default=0))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        wide = len(self._first) * (self._tile[0] + _GAP) - _GAP
        tall = _HEAD + self._tile[1] + 14 * self._name_lines + 46 + AXIS_HEIGHT
        return max(_LEFT + 280 + _RIGHT, wide + 2 * _RIGHT), tall

    def draw(self, moments: Sequence[Moment]) -> Iterator[Image]:
        """Draw frames of the animation, one after the other."""
        from PIL import Image, ImageDraw

        axis = TimeAxis(
            self.timeline, _LEFT, self.size[1] - AXIS_HEIGHT, self.size[0] - _LEFT - _RIGHT, speed=self.speed
        )
        ground = Image.new("RGB", self.size, PAPER)
        pen, bold = ImageDraw.Draw(ground), load_font(12, is_bold=True)
        averaging = say_averaging(self._first[0], self.width)
        title = ", ".join(filter(None, (self.title, averaging)))
        pen.text((10, 6), fit_text(title, bold, self.size[0] - 20), font=bold, fill=INK)
        axis.draw(pen)
        for moment in moments:
            picture = ground.copy()
            self._draw_moment(picture, ImageDraw.Draw(picture), moment, axis)
            yield picture

    def _draw_moment(self, picture: Image, pen: Any, moment: Moment, axis: TimeAxis) -> None:
        (width, height), small = self._tile, load_font(11)
        frames, image = self.frame(moment.step), int(self.timeline.shown[moment.step])
        left = (self.size[0] - len(frames) * (width + _GAP) + _GAP) // 2
        for trial, pixels in enumerate(frames):
            x = left + trial * (width + _GAP)
            picture.paste(scale_picture(pixels, self.width), (x, _HEAD))
            pen.rectangle([(x - 1, _HEAD - 1), (x + width, _HEAD + height)], outline=FRAME)
            pen.rectangle([(x - 1, _HEAD + height + 1), (x + width, _HEAD + height + 4)], fill=color_of(image))
            for line, name in enumerate((self.names[trial] if trial < len(self.names) else ())[:3]):
                ink = INK if line == image else GREY
                text = fit_text(name, small, width - 16)
                if line == image:
                    y, start = _HEAD + height + 11 + 14 * line, x + width / 2 - small.getlength(text) / 2
                    pen.rectangle([(start - 8, y), (start - 4, y + 9)], fill=color_of(image))
                pen.text((x + width / 2, _HEAD + height + 9 + 14 * line), text, font=small, fill=ink, anchor="ma")
        y = _HEAD + height + 14 * self._name_lines + 14
        pen.text((self.size[0] / 2, y), axis.caption(moment.step), font=load_font(12), fill=INK, anchor="ma")
        start, stop = axis.x(moment.step), max(axis.x(moment.step) + 2, axis.x(moment.stop))
        pen.polygon([(start - 3, axis.top - 9), (start + 5, axis.top - 9), (start + 1, axis.top - 3)], fill=INK)
        pen.rectangle([(start, axis.top - 4), (stop - 1, axis.top + axis.height)], outline=INK)
