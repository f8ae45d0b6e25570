"""The page of a simulated experiment, made without a network, with names that would break a page if they could."""

from __future__ import annotations

import json
from pathlib import Path

from dynvision.analysis.figures.style import save_figure
from dynvision.analysis.figures.summary import draw_figures
from dynvision.analysis.sweeps.experiment import analyse_experiment
from dynvision.config.sections.experiments import Readout
from dynvision.records import Record, make_record
from dynvision.reports.composing import Material
from dynvision.reports.content import Link, Picture
from dynvision.reports.provenance import Source
from dynvision.stimuli.presentation import Presentation
from dynvision.system.file_digests import digest_files, list_files
from tests.helpers.simulations import simulate

HOSTILE = "<script>alert('x')</script> & \"quoted\""

LEVELS = (0.02, 0.1, 0.2, 0.4, 0.8, 1.0)

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645"
    "400000000049454e44ae426082"
)
"""A PNG of one pixel."""


def make_material(folder: Path) -> Material:
    """Simulate a contrast experiment, and return what its page is made from.

    Args:
        folder: Where stores and figures are written.
    """
    show = Presentation.duration(24, 10, 2)
    conditions = [({"contrast": str(c)}, show, c**2 / (c**2 + 0.1), 0.25 + 0.7 * c) for c in LEVELS]
    result = analyse_experiment(simulate(folder / "stores", conditions, ("V1", "IT")), Readout())
    drawn = folder / "figures"
    drawn.mkdir()
    for name, figure in draw_figures(result).items():
        save_figure(figure, drawn, name)
    record = make_record(
        "summary/contrast/subject",
        code_version="4",
        config={"readout": {"window": "late"}},
        inputs={"responses/contrast/subject:contrast=0.1": "0" * 32},
        content="content",
        details={"parameters": ["contrast"], "dt": result.dt, "conditions": len(LEVELS), "unanswered": [HOSTILE]},
        files=digest_files(drawn, list_files(drawn)),
    )
    return Material(
        record.target,
        record,
        {"table": result.table, "tuning": result.tuning, "fits": result.fits, "time_courses": result.courses},
        {path.stem: path.read_bytes() for path in drawn.glob("*.svg")},
        [Source("responses/contrast/subject:contrast=0.1", "0" * 32, _responses()), Source("raw/a:train", "1", None)],
        ["contrast"],
        dict(result.presentations),
        f"An experiment. {HOSTILE}",
        [Picture("A strip", "One dark frame.", "As the network got it.", PIXEL, "png", "stimulus.png")],
        [Link("All reports", "../../index.html")],
    )


def _responses() -> Record:
    return make_record(
        "responses/contrast/subject:contrast=0.1",
        code_version="5",
        config=json.loads('{"idle": 3, "seed": 7}'),
        inputs={},
        content="c",
        details={"device": "cpu", "threads": 2, "torch": "2.9", "note": HOSTILE},
    )
