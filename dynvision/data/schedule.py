"""Presentations: what is shown at each time step of a trial. NumPy only; no torch here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynvision.data.noise import Noise
from dynvision.data.segments import VOID, Segment, check_steps, fill_trial, read_program
from dynvision.errors import unknown_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["VOID", "Presentation", "Segment"]


@dataclass(frozen=True)
class Presentation:
    """What a trial shows at each of its T time steps.

    The timeline of `Presentation.interval(12, stimulus_duration=3, intro_duration=1,
    interval_duration=2)`::

        step    0 1 2 3 4 5 6 7 8 9 …
        frame   · 0 0 0 · · 0 0 0 · · ·      (· is void)
        label  -1 l l l -1 -1 l l l -1 -1 -1

    A shown image x appears as `r + c · (x − r)` with contrast c and reference r: Michelson
    contrast relative to a mean grey of r (Michelson, Studies in Optics, 1927). Where
    `sensor_noise` is above 0, every frame, void or not, gets Gaussian noise of that standard
    deviation that does not scale with contrast and differs from step to step.

    Attributes:
        segments: The trial from its first step to its last.
        void_value: Pixel value of a void frame, in units of the (normalized) image.
        non_label_index: The label of a void step.
        contrast_reference: Pixel value towards which contrast fades: mean grey.
        sensor_noise: Standard deviation of the added noise, in units of the (normalized) image.
        noise_seed: Seed of that noise; the same sample at the same step always gets the same noise.
        stimulus_noise: Noise in the shown image itself, before its contrast is set; see `Noise`.
    """

    segments: tuple[Segment, ...]
    void_value: float = 0.0
    non_label_index: int = -1
    contrast_reference: float = 0.0
    sensor_noise: float = 0.0
    noise_seed: int = 0
    stimulus_noise: Noise | None = None

    def __post_init__(self) -> None:
        if not self.segments or self.n_timesteps == 0:
            raise ValueError("a presentation needs at least one time step")
        for name in ("void_value", "contrast_reference", "sensor_noise"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} must be a finite number, not {getattr(self, name)}")
        if self.sensor_noise < 0:
            raise ValueError(f"sensor_noise is a standard deviation and cannot be {self.sensor_noise}")
        if isinstance(self.noise_seed, bool) or not 0 <= self.noise_seed < 2**64:
            raise ValueError(f"noise_seed must be a whole number from 0, not {self.noise_seed}")

    @classmethod
    def constant(cls, n_timesteps: int = 1, *, stimulus_contrast: float = 1.0, **settings: Any) -> Presentation:
        """Show the image at every step."""
        check_steps("n_timesteps", n_timesteps, least=1)
        return cls((Segment(n_timesteps, 0, stimulus_contrast),), **settings)

    @classmethod
    def duration(
        cls,
        n_timesteps: int,
        stimulus_duration: int,
        intro_duration: int = 0,
        *,
        stimulus_contrast: float = 1.0,
        **settings: Any,
    ) -> Presentation:
        """Show the image once: `intro_duration` void steps, the stimulus, void until the end."""
        image = Segment(_positive("stimulus_duration", stimulus_duration), 0, stimulus_contrast)
        return cls(fill_trial(n_timesteps, [_void("intro_duration", intro_duration), image]), **settings)

    @classmethod
    def contrast(
        cls,
        n_timesteps: int,
        stimulus_duration: int,
        intro_duration: int = 0,
        stimulus_contrast: float = 1.0,
        **settings: Any,
    ) -> Presentation:
        """Show the image once at `stimulus_contrast`, in [0, 1]."""
        return cls.duration(
            n_timesteps, stimulus_duration, intro_duration, stimulus_contrast=stimulus_contrast, **settings
        )

    @classmethod
    def interval(
        cls,
        n_timesteps: int,
        stimulus_duration: int,
        intro_duration: int = 0,
        interval_duration: int = 0,
        *,
        stimulus_contrast: float = 1.0,
        **settings: Any,
    ) -> Presentation:
        """Show the image twice with `interval_duration` void steps between."""
        return cls.repetition(
            n_timesteps,
            stimulus_duration,
            intro_duration,
            interval_duration,
            stimulus_contrast=stimulus_contrast,
            **settings,
        )

    @classmethod
    def repetition(
        cls,
        n_timesteps: int,
        stimulus_duration: int,
        intro_duration: int = 0,
        interval_duration: int = 0,
        repetitions: int = 2,
        *,
        stimulus_contrast: float = 1.0,
        **settings: Any,
    ) -> Presentation:
        """Show the image `repetitions` times with `interval_duration` void steps between."""
        check_steps("repetitions", repetitions, least=1)
        image = Segment(_positive("stimulus_duration", stimulus_duration), 0, stimulus_contrast)
        gap = _void("interval_duration", interval_duration)
        shown = [image, *[gap, image] * (repetitions - 1)]
        return cls(fill_trial(n_timesteps, [_void("intro_duration", intro_duration), *shown]), **settings)

    @classmethod
    def noise(
        cls,
        n_timesteps: int,
        stimulus_duration: int,
        intro_duration: int = 0,
        noise_type: str = "gaussian",
        ssnr: float = 0.5,
        temporal: str = "static",
        persistence: float = 0.8,
        spatial_scale: float = 0.0,
        *,
        stimulus_contrast: float = 1.0,
        noise_seed: int = 0,
        **settings: Any,
    ) -> Presentation:
        """Show the image once in noise; the settings are those of `Noise`."""
        noise = Noise(noise_type, ssnr, temporal, persistence, spatial_scale, noise_seed)
        settings = {"stimulus_noise": noise, "noise_seed": noise_seed, **settings}
        return cls.duration(
            n_timesteps, stimulus_duration, intro_duration, stimulus_contrast=stimulus_contrast, **settings
        )

    @classmethod
    def from_program(
        cls, program: Sequence[Mapping[str, Any]], n_timesteps: int | None = None, **settings: Any
    ) -> Presentation:
        """Build a presentation from the general form that a YAML file can hold.

        Args:
            program: Segments in order: `{void: steps}` or `{image: steps}`; an image takes
                `contrast`, `contrast_to` (the end of a linear ramp) and `which: same | next | <index>`.
            n_timesteps: Total length; the rest is void. By default the program's own length.
            settings: Any attribute of `Presentation` but `segments`.
        """
        segments = read_program(program)
        total = sum(s.steps for s in segments) if n_timesteps is None else n_timesteps
        return cls(fill_trial(total, segments), **settings)

    @property
    def n_timesteps(self) -> int:
        """T, the number of time steps."""
        return sum(segment.steps for segment in self.segments)

    @cached_property
    def frames(self) -> npt.NDArray[np.int64]:
        """Which image is shown at each step: shape `[T]`, `VOID` where none is."""
        return np.concatenate([np.full(s.steps, s.frame, dtype=np.int64) for s in self.segments])

    @cached_property
    def contrasts(self) -> npt.NDArray[np.float64]:
        """The contrast at each step: shape `[T]`; meaningless at void steps."""
        return np.concatenate([s.contrasts() for s in self.segments])

    @property
    def n_images(self) -> int:
        """K, how many different images a trial needs; at least 1."""
        return max(1, int(self.frames.max()) + 1)

    def preceded_by(self, idle: int) -> Presentation:
        """The same presentation after `idle` more void steps."""
        if idle == 0:
            return self
        return dataclasses.replace(self, segments=(Segment(idle), *self.segments))

    def step_key(self, t: int) -> tuple[Any, ...]:
        """What is shown at step `t`, such that equal keys at equal times mean equal frames."""
        shown: tuple[Any, ...] = (VOID,)
        if self.frames[t] != VOID:
            shown = (int(self.frames[t]), float(self.contrasts[t]), self.stimulus_noise)
        return (*shown, self.void_value, self.contrast_reference, self.sensor_noise, self.noise_seed)

    def labels(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Labels over time, `non_label_index` in void steps.

        Args:
            labels: Shape `[B]`, or `[B, K]` for several images a trial.

        Returns:
            Shape `[B, T]`, int64.
        """
        by_frame = labels.reshape(len(labels), -1)
        void = np.full((len(labels), 1), self.non_label_index, dtype=np.int64)
        return np.concatenate([by_frame, void], axis=1).astype(np.int64)[:, self.frames]

    def describe(self) -> str:
        """Draw the timeline as text: a sign a step, `·` for void, else the number of the image shown.

        The second line is contrast in tenths, `X` for full contrast.
        """
        shown = "".join("·" if frame == VOID else str(frame % 10) for frame in self.frames)
        tenths = ["X" if c >= 0.95 else str(int(c * 10 + 0.5)) for c in self.contrasts]
        contrast = "".join("·" if f == VOID else c for f, c in zip(self.frames, tenths, strict=True))
        ruler = "".join(f"{t:<10d}" for t in range(0, self.n_timesteps, 10))
        lines = [f"step      {ruler.rstrip()}", f"image     {shown}", f"contrast  {contrast}"]
        if self.sensor_noise:
            lines.append(f"sensor noise of standard deviation {self.sensor_noise:g} at every step")
        if self.stimulus_noise is not None:
            noise = self.stimulus_noise
            lines.append(f"{noise.temporal} {noise.kind} noise in the image, ssnr {noise.ssnr:g}")
        return "\n".join(lines)

    def plot(self, dt: float | None = None) -> Figure:
        """Draw contrast over time, one colour for each image of the trial.

        Args:
            dt: Milliseconds a step, for the axis; by default it is in steps.
        """
        from dynvision.analysis.figures import draw_presentation

        return draw_presentation(self, dt)

    def window(self, name: str | Sequence[int]) -> slice:
        """The steps of a named window.

        Args:
            name: `stimulus` (first to last shown step), `late` (its last third), `outro` (after
                it), `all`, or `[start, stop]` in steps.
        """
        if not isinstance(name, str):
            start, stop = name
            if stop > self.n_timesteps:
                raise ValueError(f"the window {list(name)} ends after the last of {self.n_timesteps} steps")
            return slice(start, stop)
        shown = np.flatnonzero(self.frames != VOID)
        first, last = (int(shown[0]), int(shown[-1]) + 1) if len(shown) else (0, self.n_timesteps)
        windows = {
            "stimulus": slice(first, last),
            "late": slice(last - math.ceil((last - first) / 3), last),
            "outro": slice(last, self.n_timesteps),
            "all": slice(0, self.n_timesteps),
        }
        if name not in windows:
            raise unknown_name("window", name, windows)
        if windows[name].start == windows[name].stop:
            raise ValueError(f"the window '{name}' is empty: the stimulus lasts until the end. Choose another window.")
        return windows[name]


def _void(name: str, steps: int) -> Segment:
    check_steps(name, steps)
    return Segment(steps)


def _positive(name: str, steps: int) -> int:
    check_steps(name, steps, least=1)
    return steps
