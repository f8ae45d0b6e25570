"""The figure of responses by a column about the images."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.text import Text

from dynvision.analysis.figures.groups import draw_groups
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis, analyse_experiment
from dynvision.config.sections.experiments import Readout
from dynvision.reports.groups import describe_groups
from dynvision.stimuli.presentation import Presentation
from tests.helpers.simulations import simulate

pytestmark = pytest.mark.slow

LAYERS = ("V1", "V2", "V4", "IT")


def make_experiment(folder: Path, durations: tuple[int, ...]) -> ExperimentAnalysis:
    conditions = []
    for contrast, duration in itertools.product((0.2, 0.6, 1.0), durations):
        levels = {"contrast": str(contrast)} | ({"duration": str(duration)} if len(durations) > 1 else {})
        conditions.append((levels, Presentation.duration(24, duration, 2), contrast, contrast))
    return analyse_experiment(simulate(folder, conditions, LAYERS), Readout())


def make_groups(result: ExperimentAnalysis, values: list[object]) -> pd.DataFrame:
    """Responses that grow with contrast, duration and the number of the value."""
    rows = [
        {
            "column": "kind_of_$x$",
            "value": value,
            "condition": row["condition"],
            **{name: row[name] for name in (result.along, result.across) if name},
            "layer": layer,
            "response": (number + 1) * row["contrast"] * row.get("duration", 1),
            "sem": 0.01,
            "n": 4,
        }
        for row in result.tuning.to_dict(orient="records")
        for layer in LAYERS
        for number, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("values", [["faces", "$houses$"], [0, 1, 2], [f"kind {n}" for n in range(40)]])
@pytest.mark.parametrize("durations", [(10,), (2, 10)])
def test_every_group_is_drawn_and_nothing_is_cut_off(
    tmp_path: Path, values: list[object], durations: tuple[int]
) -> None:
    result = make_experiment(tmp_path, durations)
    groups = make_groups(result, values)
    figure = draw_groups(groups, result)
    figure.draw_without_rendering()
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]
    suffix = ", duration 10 steps" if len(durations) > 1 else ""
    assert [axes.get_title(loc="left") for axes in panels] == [f"{layer}{suffix}" for layer in LAYERS]
    last = groups[groups["duration"] == 10] if len(durations) > 1 else groups
    for axes, layer in zip(panels, LAYERS, strict=True):
        box = axes.get_tightbbox()
        assert max(-box.x0, -box.y0, box.x1 - figure.bbox.width, box.y1 - figure.bbox.height) < 3
        part = last[last["layer"] == layer]
        if len(values) > 7:
            (image,) = axes.images
            grid = part.pivot(index="value", columns="contrast", values="response").loc[values]
            assert image.get_array().tolist() == grid.to_numpy().tolist()
            continue
        drawn = [container.lines[0].get_ydata().tolist() for container in axes.containers]
        assert drawn == [part[part["value"] == value]["response"].tolist() for value in values]
    texts = {text.get_text() for text in figure.findobj(Text)}
    assert any("kind of \\$x\\$" in text for text in texts)


def test_the_picture_is_described(tmp_path: Path) -> None:
    groups = make_groups(make_experiment(tmp_path, (10,)), ["faces", "houses"])
    title, alt, caption = describe_groups(groups, "contrast", None)
    assert title == "By kind of $x$"
    assert "each kind of $x$ (faces and houses) against contrast" in alt
    assert "V1: on average strongest to houses (1.2), weakest to faces (0.6)." in alt
    assert "standard errors over images" in caption
