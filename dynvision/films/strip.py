"""The film strip: chosen steps side by side, one row for each trial, over the timeline that they are taken from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynvision.films.axis import AXIS_HEIGHT, TimeAxis
from dynvision.films.canvas import FRAME, GREY, INK, PAPER, color_of, fit_text, load_font, say_averaging, scale_picture
from dynvision.films.timeline import Timeline

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Strip", "draw_sheet", "list_names"]

_GAP, _LEFT, _RIGHT, _BAR = 6, 104, 22, 5
_TIMES, _CONNECTORS, _LINE = 20, 20, 17


@dataclass(frozen=True, eq=False)
class Strip:
    """A strip to be drawn.

    Attributes:
        timeline: When what is shown.
        frames: By step, what was shown to each trial: `[B, H, W]` or `[B, H, W, 3]`, uint8.
        names: For each trial the names of its images; none says nothing.
        title: The line above; empty for none.
        width: Pixels of a frame, about.
        said: The notes of the timeline that stand elsewhere, and not under the title.
    """

    timeline: Timeline
    frames: Mapping[int, npt.NDArray[np.uint8]]
    names: Sequence[Sequence[str]] = ()
    title: str = ""
    width: int = 84
    said: tuple[str, ...] = ()

    @property
    def n_trials(self) -> int:
        """How many rows it has."""
        return len(next(iter(self.frames.values())))

    @property
    def steps(self) -> list[int]:
        """The steps that it shows, in order."""
        return sorted(self.frames)

    @cached_property
    def tile_size(self) -> tuple[int, int]:
        """Width and height of a frame in pixels."""
        return scale_picture(next(iter(self.frames.values()))[0], self.width).size

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        width, height = self.tile_size
        wide = max(_LEFT + len(self.frames) * (width + _GAP) - _GAP + _RIGHT, 360)
        tall = self._head + _TIMES + self.n_trials * (height + _BAR + _GAP) + _CONNECTORS + AXIS_HEIGHT
        return wide, tall

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said about what is shown, and about how it is drawn."""
        averaging = say_averaging(next(iter(self.frames.values()))[0], self.width)
        return (*self.timeline.notes[:2], *([averaging] if averaging else []))

    @property
    def _head(self) -> int:
        return 8 + _LINE * (bool(self.title) + len(self._notes))

    @property
    def _notes(self) -> tuple[str, ...]:
        return tuple(note for note in self.notes if note not in self.said)

    def draw(self) -> Image:
        """Draw the strip."""
        from PIL import Image, ImageDraw

        picture = Image.new("RGB", self.size, PAPER)
        pen = ImageDraw.Draw(picture)
        self._write_head(pen)
        axis = TimeAxis(self.timeline, _LEFT, self.size[1] - AXIS_HEIGHT, self.size[0] - _LEFT - _RIGHT)
        for column, step in enumerate(self.steps):
            self._draw_column(picture, pen, column, step, axis)
        for row, names in enumerate(self.names[: self.n_trials]):
            self._write_names(pen, row, names)
        axis.draw(pen)
        return picture

    def _write_head(self, pen: Any) -> None:
        room, y = self.size[0] - 16, 6
        lines = [(self.title, load_font(13, is_bold=True), INK)] if self.title else []
        lines += [(note, load_font(11), GREY) for note in self._notes]
        for text, font, ink in lines:
            pen.text((8, y), fit_text(text, font, room), font=font, fill=ink)
            y += _LINE
        unit = f"time ({self.timeline.unit})"
        pen.text((_LEFT - 10, self._head + _TIMES - 4), unit, font=load_font(11), fill=GREY, anchor="rs")

    def _draw_column(self, picture: Image, pen: Any, column: int, step: int, axis: TimeAxis) -> None:
        width, height = self.tile_size
        left, top = _LEFT + column * (width + _GAP), self._head + _TIMES
        image = int(self.timeline.shown[step])
        is_onset = image >= 0 and (step == 0 or step in self.timeline.bounds)
        font = load_font(11, is_bold=is_onset)
        middle = left + width / 2
        pen.text((middle, top - 4), self.timeline.name_time(step), font=font, fill=INK, anchor="ms")
        for row in range(self.n_trials):
            y = top + row * (height + _BAR + _GAP)
            picture.paste(scale_picture(self.frames[step][row], self.width), (left, y))
            pen.rectangle([(left - 1, y - 1), (left + width, y + height)], outline=FRAME)
            pen.rectangle([(left - 1, y + height + 1), (left + width, y + height + _BAR - 1)], fill=color_of(image))
        bottom = top + self.n_trials * (height + _BAR + _GAP) - _GAP
        # From the frame to the middle of its step on the timeline.
        pen.line([(middle, bottom + 2), (axis.x(step + 0.5), axis.top - 3)], fill=color_of(image), width=1)

    def _write_names(self, pen: Any, row: int, names: Sequence[str]) -> None:
        font, height = load_font(11), self.tile_size[1]
        shown = list_names(names, max(1, (height + _BAR) // 14))
        y = self._head + _TIMES + row * (height + _BAR + _GAP) + height / 2 - 14 * (len(shown) - 1) / 2
        for image, name in enumerate(shown):
            if len(names) > 1 and name == names[image]:
                # The colour stands beside the name: as that of the letters it would be hard to read.
                pen.rectangle([(_LEFT - 8, y - 5), (_LEFT - 5, y + 4)], fill=color_of(image))
            pen.text((_LEFT - 12, y), fit_text(name, font, _LEFT - 18), font=font, fill=INK, anchor="rm")
            y += 14


def list_names(names: Sequence[str], room: int) -> list[str]:
    """Return names, of more than there is room for the first ones and how many are left out."""
    return list(names) if len(names) <= room else [*names[: room - 1], f"… {len(names) - room + 1} more"]


def draw_sheet(strips: Sequence[Strip], title: str) -> Image:
    """Draw strips below one another, as those of the conditions of an experiment.

    Args:
        strips: From first to last; the title of each names its condition.
        title: What the sheet shows.
    """
    from PIL import Image, ImageDraw

    # What holds for all conditions stands once, at the top.
    noted = [strip.notes for strip in strips]
    shared = tuple(note for note in noted[0] if all(note in notes for notes in noted))
    drawn = [replace(strip, said=shared).draw() for strip in strips]
    head, gap = 30 + _LINE * len(shared), 10
    size = (max(picture.width for picture in drawn), head + sum(picture.height + gap for picture in drawn))
    sheet = Image.new("RGB", size, PAPER)
    pen, font = ImageDraw.Draw(sheet), load_font(15, is_bold=True)
    pen.text((8, 6), fit_text(title, font, size[0] - 16), font=font, fill=INK)
    for line, note in enumerate(shared):
        pen.text((8, 27 + _LINE * line), fit_text(note, load_font(11), size[0] - 16), font=load_font(11), fill=GREY)
    y = head
    for picture in drawn:
        pen.line([(8, y - 2), (size[0] - 8, y - 2)], fill="#E4E4E4")
        sheet.paste(picture, (0, y))
        y += picture.height + gap
    return sheet
