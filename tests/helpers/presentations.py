"""Random presentations that often begin alike."""

from __future__ import annotations

from hypothesis import strategies as st

from dynvision.stimuli.presentation import Presentation

STEPS = 8


@st.composite
def presentations(draw):
    """Presentations of eight steps whose few contrasts and frames make them begin alike often."""
    program = []
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.integers(1, 2))
        if draw(st.booleans()):
            program.append({"void": length})
        else:
            program.append(
                {"image": length, "which": draw(st.sampled_from([0, 1])), "contrast": draw(st.sampled_from([0.5, 1.0]))}
            )
    return Presentation.from_program(program, STEPS)
