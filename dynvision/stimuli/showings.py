"""When a trial shows images: onsets, where time is 0, and the trials that a condition is compared with.

The response to a step is that at the end of the step: an image that is first shown in step t has acted for one step
when the response of step t is read. Time is counted from the onset of the stimulus, so the response of step t belongs
to the time ``t − onset + 1`` in steps, or ``(t − onset + 1) · dt`` in ms.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import VOID, Segment, find_zero

__all__ = ["count_time", "find_onsets", "find_time_zero", "show_first_only", "show_nothing"]


def find_onsets(presentation: Presentation) -> tuple[int, ...]:
    """Return the first step of each showing of an image.

    If an image follows itself without a gap and without a change, it is shown twice. If its contrast or noise changes,
    the same showing continues.
    """
    onsets, step = [], 0
    before: Segment | None = None
    for segment in presentation.segments:
        continues = before is not None and before.frame == segment.frame and not _is_repeated(before, segment)
        if segment.frame != VOID and segment.steps > 0 and not continues:
            onsets.append(step)
        step += segment.steps
        before = segment if segment.steps > 0 else before
    return tuple(onsets)


def find_time_zero(presentation: Presentation) -> int:
    """Return the step at whose start time is 0: the first onset, or the end of the intro if nothing is shown.

    A stimulus of no duration has its place in the trial: the intro ends there. In a trial that is all void, the intro
    is the first segment; if there is only one, time is 0 at its start.
    """
    return find_zero(presentation.segments)


def count_time(presentation: Presentation) -> npt.NDArray[np.int64]:
    """Return the time of each step's end, in steps from time zero: shape `[T]`.

    Void steps before the stimulus are negative; the last of them ends at 0, where the stimulus begins.
    """
    return np.arange(presentation.n_timesteps) - find_time_zero(presentation) + 1


def show_nothing(presentation: Presentation) -> Presentation:
    """Return the same trial with nothing but void frames, which have the same sensor noise."""
    return dataclasses.replace(presentation, segments=(Segment(presentation.n_timesteps),))


def show_first_only(presentation: Presentation) -> Presentation | None:
    """Return the same trial with the first showing alone, then void; `None` if nothing is shown a second time."""
    onsets = find_onsets(presentation)
    if len(onsets) < 2:
        return None
    kept, left = [], onsets[1]
    for segment in presentation.segments:
        if left <= 0:
            break
        kept.append(segment)
        left -= segment.steps
    return dataclasses.replace(
        presentation, segments=(*kept, Segment(presentation.n_timesteps - sum(s.steps for s in kept)))
    )


def _is_repeated(before: Segment, segment: Segment) -> bool:
    """Whether a segment shows the same as the one before it, so that it starts anew."""
    return dataclasses.replace(before, steps=segment.steps) == segment
