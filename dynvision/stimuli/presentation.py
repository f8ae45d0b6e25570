"""Presentations: what is shown at each time step of a trial. NumPy only, no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dynvision.stimuli.noise import Noise
from dynvision.stimuli.segments import (
    VOID,
    Segment,
    check_repeats,
    check_steps,
    count_steps,
    fill_trial,
    find_zero,
    read_program,
)
from dynvision.stimuli.timeline import describe_timeline, draw_presentation, find_window
from dynvision.stimuli.trial_steps import TrialSteps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dynvision.films.film import Film

__all__ = ["PRESENTATIONS", "VOID", "Presentation", "Segment"]


@dataclass(frozen=True)
class Presentation(TrialSteps):
    """What a trial shows at each of its T time steps.

    The timeline of `Presentation.interval(12, stimulus_duration=3, intro_duration=1,
    interval_duration=2)`::

        step    0 1 2 3 4 5 6 7 8 9 …
        frame   · 0 0 0 · · 0 0 0 · · ·      (· is void)
        label  -1 l l l -1 -1 l l l -1 -1 -1

    A shown image x appears as `r + c · (x − r)` with contrast c and reference r: c multiplies the contrast that the
    image has of its own around the grey r, whichever way that is measured (Michelson's or RMS contrast; see
    `rms_contrast`). If `sensor_noise` is above 0, every frame, void or not, gets Gaussian noise of that standard
    deviation that does not scale with contrast and differs from step to step.

    Attributes:
        segments: The trial from its first step to its last.
        void_value: Pixel value of a void frame, in units of the (normalized) image.
        non_label_index: The label of a void step.
        contrast_reference: Pixel value towards which contrast fades: mean grey.
        sensor_noise: Standard deviation of the added noise, in units of the (normalized) image.
        noise_seed: Seed of that noise; the same sample at the same step always gets the same noise.
        dt: Milliseconds a step; `None` if time is in steps only.

    The constructors take durations in steps, or in milliseconds if `dt` is given; `n_timesteps` is always in steps.

    Raises:
        ValueError: If there is no time step, or a setting is outside its bounds.
    """

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
        dt: float | None = None,
        **settings: Any,
    ) -> Presentation:
        """Show the image once: `intro_duration` void steps, the stimulus, void until the end."""
        intro = Segment(count_steps("intro_duration", intro_duration, dt))
        image = Segment(count_steps("stimulus_duration", stimulus_duration, dt, least=1), 0, stimulus_contrast)
        return cls(fill_trial(n_timesteps, [intro, image]), dt=dt, **settings)

    @classmethod
    def contrast(
        cls,
        n_timesteps: int,
        stimulus_duration: int,
        intro_duration: int = 0,
        stimulus_contrast: float = 1.0,
        **settings: Any,
    ) -> Presentation:
        """Show the image once at `stimulus_contrast` times its own contrast, in [0, 1]."""
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
        dt: float | None = None,
        **settings: Any,
    ) -> Presentation:
        """Show the image `repetitions` times with `interval_duration` void steps between."""
        check_repeats("repetitions", repetitions)
        image = Segment(count_steps("stimulus_duration", stimulus_duration, dt, least=1), 0, stimulus_contrast)
        gap = Segment(count_steps("interval_duration", interval_duration, dt))
        intro = Segment(count_steps("intro_duration", intro_duration, dt))
        return cls(fill_trial(n_timesteps, [intro, image, *[gap, image] * (repetitions - 1)]), dt=dt, **settings)

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
        dt: float | None = None,
        **settings: Any,
    ) -> Presentation:
        """Show the image once in noise; the settings are those of `Noise`."""
        noise = Noise(noise_type, ssnr, temporal, persistence, spatial_scale, noise_seed)
        intro = Segment(count_steps("intro_duration", intro_duration, dt))
        steps = count_steps("stimulus_duration", stimulus_duration, dt, least=1)
        image = Segment(steps, 0, stimulus_contrast, noise=noise)
        return cls(fill_trial(n_timesteps, [intro, image]), noise_seed=noise_seed, dt=dt, **settings)

    @classmethod
    def from_program(
        cls,
        program: Sequence[Mapping[str, Any]],
        n_timesteps: int | None = None,
        *,
        dt: float | None = None,
        **settings: Any,
    ) -> Presentation:
        """Build a presentation from the general form that a YAML file can hold.

        Backward masking, for example, is
        `[{image: 2}, {image: 10, which: other}]`, and rapid serial presentation
        `[{repeat: 6, program: [{image: 3, which: next}, {void: 1}]}]`.

        Args:
            program: Segments in order: `{void: steps}`, `{image: steps}` with `contrast`, `contrast_to` (the
                end of a linear ramp), `which: same | next | other | <index>` and `noise: {kind: …, ssnr: …}`, or
                `{repeat: times, program: […]}`; see `read_program`.
            n_timesteps: Total length in steps; the remaining steps are void. By default the program's own length.
            dt: Milliseconds a step: the program's durations are then in milliseconds.
            settings: Any attribute of `Presentation` except `segments`.

        Raises:
            ValueError: If the program is wrong; the message says where.
        """
        segments = read_program(program, dt)
        if not segments:
            raise ValueError("the program has no segments; it needs at least one, such as {image: 20}")
        total = sum(s.steps for s in segments) if n_timesteps is None else n_timesteps
        return cls(fill_trial(total, segments), dt=dt, **settings)

    def describe(self) -> str:
        """Draw the timeline as text; see `describe_timeline`."""
        return describe_timeline(self.frames, self.contrasts, self.noises, self.sensor_noise, self.dt)

    def plot(self, dt: float | None = None) -> Figure:
        """Draw contrast over time, one colour for each image of the trial; time is 0 at the onset of the stimulus.

        Args:
            dt: Milliseconds a step, for the axis; by default the presentation's own, else it is in steps.
        """
        return draw_presentation(self.frames, self.contrasts, self.dt if dt is None else dt, find_zero(self.segments))

    def show(
        self,
        image: Any,
        *,
        normalize: tuple[Sequence[float], Sequence[float]] | None = None,
        names: Sequence[str] = (),
        resolution: int | None = None,
        title: str = "",
    ) -> Film:
        """Show an image, or a few, as a network would get them: with their contrast, noise and void.

        A notebook shows the result as a film strip and an animation; `.save("film.webp")` writes it, and `.frames` are
        its pixels. If a trial shows several images, they are taken in order: the first trial has the first of them.

        Args:
            image: A path, a Pillow image, an array `[H, W]`, `[H, W, C]` or `[C, H, W]`, a tensor `[C, H, W]` or
                `[B, C, H, W]`, or a list of these. Whole numbers are pixels from 0 to 255, fractions pixels from 0 to
                1. Fractions that leave this range are taken as standardized already.
            normalize: Mean and deviation of each channel, by which the images are standardized. By default those of the
                images themselves; of standardized images, black and white are two deviations from mean grey.
            names: What the images are, in order.
            resolution: Width and height in pixels; by default their own, but at most 256.
            title: The line above.

        Raises:
            ValueError: If it is no image, the images differ in size, or there are too few for a trial.
            OSError: If a file cannot be read.
        """
        from dynvision.stimuli.rendering import film_pictures

        return film_pictures(self, image, normalize=normalize, names=names, resolution=resolution, title=title)

    def window(self, name: str | Sequence[int], image: int | None = None) -> slice:
        """Find the steps of a window: `stimulus`, `late`, `outro`, `all` or `[start, stop]`; see `find_window`."""
        return find_window(self.frames, name, image)


PRESENTATIONS: dict[str, Callable[..., Presentation]] = {
    "Standard": Presentation.constant,
    "StimulusDuration": Presentation.duration,
    "StimulusContrast": Presentation.contrast,
    "StimulusInterval": Presentation.interval,
    "StimulusRepetition": Presentation.repetition,
    "StimulusNoise": Presentation.noise,
    "StimulusProgram": Presentation.from_program,
}
"""The constructors of presentations by the names of their loaders, as config files and `get_data_loader` write them.

A new loader is a constructor and a line here: the data loaders are made from this table.
"""
