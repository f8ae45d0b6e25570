"""A film: what a presentation shows, step by step, as a strip and as an animation."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dynvision.films.animation import Animation, choose_speed
from dynvision.films.canvas import say_averaging
from dynvision.films.choosing import choose_steps
from dynvision.films.encoding import encode_animation, encode_picture, write_film
from dynvision.films.scaling import Scaling
from dynvision.films.strip import Strip
from dynvision.films.timeline import Timeline, write_number

__all__ = ["FORMS", "STRIP_STEPS", "Film"]

STRIP_STEPS = 9
"""Frames of a strip."""

STRIP_WIDTH = 84
"""Pixels of a frame of a strip, about."""

_ANIMATIONS = (".webp", ".gif")

_FILE_BYTES = 3_000_000
"""Bytes of a file that somebody asked for: the frames as they are, unless they are very many."""

FORMS = (".png", *_ANIMATIONS)
"""The endings of files: PNG is the strip, the others are the animation."""


@dataclass(frozen=True, eq=False)
class Film:
    """What some trials of a presentation show. A notebook shows it as a strip and an animation.

    Attributes:
        timeline: When what is shown.
        render: Returns the frame of a step as the network gets it, `[B, C, H, W]`, float32.
        scaling: By what the images are standardized.
        names: For each trial the names of its images.
        title: What the film is of.
    """

    timeline: Timeline
    render: Callable[[int], npt.NDArray[np.float32]]
    scaling: Scaling = field(default_factory=Scaling)
    names: Sequence[Sequence[str]] = ()
    title: str = ""

    def frame(self, step: int) -> npt.NDArray[np.uint8]:
        """Return what a step shows as pixels: `[B, H, W, 3]`, or `[B, H, W]` if there are not three channels.

        Raises:
            IndexError: If there is no such step.
        """
        if not 0 <= step < self.timeline.n_steps:
            raise IndexError(f"there is no step {step}: the trial has {self.timeline.n_steps}, counted from 0")
        return self.scaling.to_pixels(self.render(step))

    def first(self, count: int) -> Film:
        """Return the film of the first trials alone."""
        return replace(self, render=lambda step: self.render(step)[:count], names=self.names[:count])

    @cached_property
    def frames(self) -> npt.NDArray[np.uint8]:
        """All steps as pixels: `[B, T, H, W, 3]`, or `[B, T, H, W]`. Use `frame` if they are too many for memory."""
        return np.stack([self.frame(step) for step in range(self.timeline.n_steps)], axis=1)

    def strip(self, n_steps: int = STRIP_STEPS, width: int = STRIP_WIDTH) -> Strip:
        """Return the strip, which `draw` turns into a Pillow image.

        Args:
            n_steps: How many steps it shows at most.
            width: Pixels of a frame, about.
        """
        steps = choose_steps(self.timeline, max(2, n_steps))
        return Strip(self.timeline, {step: self.frame(step) for step in steps}, self.names, self.title, width)

    @property
    def animation(self) -> Animation:
        """The animation, to be drawn."""
        return Animation(self.timeline, self.frame, self.names, self.title, speed=self.speed)

    @property
    def speed(self) -> str:
        """How fast the animation is, in words."""
        pace = choose_speed(self.timeline)
        if self.timeline.dt is None:
            return f"at {write_number(round(1000 / pace, 1))} steps a second"
        times = pace / self.timeline.dt
        if abs(times - 1) < 1e-9:
            return "at real speed"
        return f"in {write_number(times)}× slow motion" if times > 1 else f"at {write_number(1 / times)}× real speed"

    def encode(self, form: str = "png", most_bytes: int | None = None) -> bytes:
        """Encode the strip (`png`) or the animation (`webp`, `gif`).

        Args:
            form: The format.
            most_bytes: By default 50 kB for a strip and 300 kB for an animation.

        Raises:
            ValueError: If there is no such format.
        """
        if f".{form}" not in FORMS:
            raise ValueError(f"a film is a .png (the strip), .webp or .gif (the animation), not .{form}")
        if f".{form}" in _ANIMATIONS:
            return encode_animation(self.animation, form, most_bytes or 300_000)
        return encode_picture(self.strip().draw(), form, most_bytes or 50_000, self.alt_text)

    def save(self, path: str | Path) -> Path:
        """Write the strip (`.png`) or the animation (`.webp`, `.gif`), by the ending of the path.

        Returns:
            The path.

        Raises:
            ValueError: If it has another ending.
            FileExistsError: If there is a file that is no film of this project.
            DynvisionError: If its folder cannot be made.
            OSError: If it cannot be written.
        """
        target = Path(path).expanduser()
        form = target.suffix.lower()
        if form not in FORMS:
            raise ValueError(f"{target}: a film is a .png (the strip), .webp or .gif (the animation)")
        return write_film(target, self.encode(form[1:], _FILE_BYTES))

    @property
    def alt_text(self) -> str:
        """The film in words, for those who do not see it."""
        count = len(self.render(0))
        steps = f"{self.timeline.n_steps} step{'' if self.timeline.n_steps == 1 else 's'}"
        named = ", ".join(name for names in self.names for name in names)
        start, stop = self.timeline.name_time(0), self.timeline.name_time(self.timeline.n_steps)
        averaging = say_averaging(self.frame(0)[0], STRIP_WIDTH)
        return (
            f"{self.title or 'what is shown'}: {count} trial{'' if count == 1 else 's'}"
            + (f" ({named})" if named else "")
            + f", {steps} from {start} to {stop} {self.timeline.unit}"
            + "".join(f"; {note}" for note in (*self.timeline.notes, *filter(None, [averaging])))
        )

    def __repr__(self) -> str:
        return f"<Film of {self.alt_text}; .save('film.webp') writes it>"

    def _repr_html_(self) -> str:
        about = html.escape(self.alt_text, quote=True)
        parts = (("png", "film strip of "), ("webp", "animation of "))
        images = "".join(
            f'<img style="display:block;max-width:100%;margin-bottom:8px" alt="{name}{about}" '
            f'src="data:image/{form};base64,{base64.b64encode(self.encode(form)).decode()}">'
            for form, name in parts
        )
        return f"<div>{images}</div>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}
