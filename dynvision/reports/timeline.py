"""What was shown when: a drawing of the conditions in the colour of the text, and the same as a table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from xml.sax.saxutils import escape

import numpy as np

from dynvision.analysis.figures.style import pick_levels
from dynvision.reports.content import Picture, Table
from dynvision.reports.numbers import format_number
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.showings import find_time_zero
from dynvision.stimuli.timeline import find_showings
from dynvision.system.escaping import show_text

__all__ = ["draw_conditions", "list_conditions"]

_MOST = 16
_ROW, _LEFT, _WIDTH, _TOP = 26.0, 130.0, 440.0, 6.0
_LONGEST = 22


def draw_conditions(presentations: Mapping[str, Presentation], dt: float | None) -> Picture:
    """Draw when each condition shows an image, and at which contrast.

    Args:
        presentations: What each condition shows, by its name.
        dt: Milliseconds a step, if they are known.
    """
    chosen = {name: presentations[name] for name in pick_levels(list(presentations), _MOST)}
    zeros = {name: find_time_zero(p) for name, p in chosen.items()}
    first = -max(zeros.values())
    last = max(p.n_timesteps - zeros[name] for name, p in chosen.items())
    scale = _WIDTH / max(last - first, 1)
    parts = []
    for number, (name, presentation) in enumerate(chosen.items()):
        base = _TOP + _ROW * (number + 1) - 5
        shift = _LEFT - (first + zeros[name]) * scale
        parts.append(_text(_LEFT - 8, base, _shorten(name), "end"))
        parts.append(_line(shift, base, shift + presentation.n_timesteps * scale, base))
        parts += _bars(presentation, shift, base, scale)
    bottom = _TOP + _ROW * len(chosen) + 4
    parts += _draw_axis(first, last, scale, bottom, dt)
    height = bottom + 36
    content = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 20}" height="{height}" '
        f'viewBox="0 0 {_LEFT + _WIDTH + 20} {height}" fill="currentColor" stroke="none" '
        f'font-family="inherit" font-size="11">{"".join(parts)}</svg>'
    )
    left_out = len(presentations) - len(chosen)
    caption = (
        "One row for each condition. A bar stands where an image is shown; its height is the contrast, and a full bar "
        "is the image's own. The bars of a second image of a trial are paler. Time is 0 at the onset of the stimulus."
    )
    if left_out:
        caption += f" {len(chosen)} of {len(presentations)} conditions are drawn."
    return Picture(
        "When each condition shows an image", _describe(chosen, dt), caption, content.encode(), takes_color=True
    )


def list_conditions(presentations: Mapping[str, Presentation], *, has_one_subject: bool = True) -> Table:
    """List what each condition shows: steps from the onset, contrast, noise.

    Args:
        presentations: What each condition shows, by its name.
        has_one_subject: Whether it is shown to one subject. Several may differ in sensor noise, which is left out.
    """
    rows = []
    for name, presentation in presentations.items():
        zero = find_time_zero(presentation)
        prefix = "image {}: " if int(presentation.frames.max()) > 0 else ""
        showings = [
            f"{prefix.format(frame + 1)}{start - zero} to {stop - zero}"
            for start, stop, frame in find_showings(presentation.frames)
        ]
        noises = dict.fromkeys(
            f"{noise.temporal} {noise.kind}, ssnr {noise.ssnr:g}" for noise in presentation.noises if noise is not None
        )
        rows.append(
            [
                name,
                "; ".join(showings) or "nothing",
                _contrast_text(presentation),
                "; ".join(noises) or "none",
                format_number(presentation.n_timesteps),
                *([format_number(presentation.sensor_noise)] if has_one_subject else []),
            ]
        )
    head = [
        "condition",
        "image shown, in steps from onset",
        "contrast",
        "noise in the image",
        "steps",
        *(["sensor noise (SD)"] if has_one_subject else []),
    ]
    return Table("What each condition shows", head, rows, words=(1, 2, 3), is_folded=len(rows) > 6)


def _describe(chosen: Mapping[str, Presentation], dt: float | None) -> str:
    """Say what is seen in the drawing."""
    timings = {
        tuple((start - find_time_zero(p), stop - find_time_zero(p)) for start, stop, _ in find_showings(p.frames))
        for p in chosen.values()
    }
    steps = sorted({p.n_timesteps for p in chosen.values()})
    length = f"{steps[0]} steps" if len(steps) == 1 else f"{steps[0]} to {steps[-1]} steps"
    if dt is not None:
        length += f" of {dt:g} ms"
    text = f"Timeline of {len(chosen)} conditions, trials of {length}. "
    if len(timings) == 1:
        (timing,) = timings
        shown = ", and again ".join(f"from step {start} to {stop}" for start, stop in timing)
        text += f"All show an image {shown}." if timing else "Nothing is shown."
    else:
        text += "They differ in when an image is shown; the table below lists the steps."
    contrasts = [c for p in chosen.values() for c in p.contrasts[p.frames >= 0]]
    if contrasts and min(contrasts) < max(contrasts):
        text += f" Contrast ranges from {min(contrasts):g} to {max(contrasts):g}."
    return text


def _contrast_text(presentation: Presentation) -> str:
    values = presentation.contrasts[presentation.frames >= 0]
    if not len(values):
        return "–"
    runs = [key for key, _ in itertools.groupby(values.round(6).tolist())]
    return ", ".join(f"{v:g}" for v in runs) if len(runs) <= 4 else f"{min(runs):g} to {max(runs):g}"


def _bars(presentation: Presentation, shift: float, base: float, scale: float) -> list[str]:
    bars = []
    for start, stop, frame in find_showings(presentation.frames):
        heights = np.asarray(presentation.contrasts[start:stop]) * (_ROW - 8)
        steps = [(start + i, float(h)) for i, h in enumerate(heights)]
        path = f"M{shift + start * scale:.2f},{base:g}"
        for _, run in itertools.groupby(steps, key=lambda step: step[1]):
            stretch = list(run)
            y = base - max(stretch[0][1], 0.6)
            path += f"L{shift + stretch[0][0] * scale:.2f},{y:.2f}H{shift + (stretch[-1][0] + 1) * scale:.2f}"
        bars.append(f'<path d="{path}V{base:g}Z" fill-opacity="{0.85 if frame % 2 == 0 else 0.45}"/>')
    return bars


def _draw_axis(first: int, last: int, scale: float, y: float, dt: float | None) -> list[str]:
    parts = [_line(_LEFT, y, _LEFT + _WIDTH, y)]
    span = max(last - first, 1)
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if span / s <= 8)
    for tick in range(-(-first // step) * step, last + 1, step):
        x = _LEFT + (tick - first) * scale
        parts += [_line(x, y, x, y + 4), _text(x, y + 16, f"{tick * (dt or 1):g}".replace("-", "−"), "middle")]
    parts.append(_text(_LEFT + _WIDTH / 2, y + 31, f"time from onset ({'steps' if dt is None else 'ms'})", "middle"))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<path d="M{x1:.2f},{y1:.2f}L{x2:.2f},{y2:.2f}" stroke="currentColor" stroke-width="1" stroke-opacity="0.6"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.2f}" y="{y:.2f}" text-anchor="{anchor}">{escape(show_text(text))}</text>'


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
