"""The subjects of one experiment side by side: one table, one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from dynvision.analysis.figures.style import WIDTH, color_levels, label_parameter, styled, tag_level
from dynvision.analysis.figures.time_courses import draw_level_legend
from dynvision.analysis.figures.tuning import draw_marks, draw_tuned
from dynvision.analysis.measures import OUTPUT
from dynvision.analysis.sweeps import choose_analysis
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis
from dynvision.stimuli.presentation import Presentation

__all__ = ["SUBJECT", "compare_subjects", "draw_comparison"]

SUBJECT = "subject"
"""The column that names the subject."""

_COLUMNS = 3


def compare_subjects(
    tunings: Mapping[str, pd.DataFrame],
    fits: Mapping[str, pd.DataFrame],
    parameters: Sequence[str],
    presentations: dict[str, Presentation],
    dt: float | None = None,
) -> ExperimentAnalysis:
    """Put the subjects of an experiment side by side, as if the subject were a second parameter.

    Args:
        tunings: The tuning table of each subject; a layer that a subject lacks is NaN.
        fits: The table of fits of each.
        parameters: The swept parameters.
        presentations: What was shown in each condition.
        dt: Milliseconds a step, where it is the same for all.
    """
    analysis, along, _ = choose_analysis(parameters)
    tuning, fitted = (
        pd.concat([table.assign(**{SUBJECT: name}) for name, table in tables.items()], ignore_index=True)
        for tables in (tunings, fits)
    )
    tuning, fitted = (t[[SUBJECT, *(c for c in t.columns if c != SUBJECT)]] for t in (tuning, fitted))
    nothing = pd.DataFrame()
    return ExperimentAnalysis(nothing, tuning, fitted, nothing, analysis, along, SUBJECT, dt, presentations)


@styled
def draw_comparison(result: ExperimentAnalysis, parameters: Sequence[str]) -> Figure:
    """Accuracy, the marks of fitted curves, and each layer's number against the swept parameter, a colour a subject.

    With two parameters, accuracy only: a panel for each level of the second.
    """
    colors = color_levels(result.tuning[SUBJECT])
    _, _, across = choose_analysis(parameters)
    panels = _panels(result) if across is None else list(dict.fromkeys(result.tuning[across]))
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 2.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        if across is not None:
            draw_tuned(axes, _at_level(result, across, panel), OUTPUT, "accuracy", colors)
            axes.set_title(tag_level(across, panel, result.has_times_in_ms))
        elif panel in ("layers", "accuracy_mark"):
            kind = "layers" if panel == "layers" else "accuracy"
            curve = result.analysis.curve_of(kind)  # type: ignore[arg-type]
            assert curve is not None
            draw_marks(axes, result.fits, curve, result.layers if kind == "layers" else [OUTPUT], colors, SUBJECT)
            axes.set_ylabel(f"{curve.mark_label}: {label_parameter(result.along, result.has_times_in_ms)}")
            if kind == "accuracy":
                axes.set(title=f"{curve.mark_label} of accuracy", xticks=[])
        else:
            layer = OUTPUT if panel == "accuracy" else panel.removeprefix("layer/")
            draw_tuned(axes, result, layer, "accuracy" if layer == OUTPUT else result.analysis.main, colors)
            axes.set_title("accuracy" if layer == OUTPUT else layer)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    draw_level_legend(figure, SUBJECT, colors, result.has_times_in_ms)
    return figure


def _panels(result: ExperimentAnalysis) -> list[str]:
    marked = set(result.fits.loc[result.fits["value"].notna(), "parameter"])
    panels = ["accuracy"]
    for kind, name in (("accuracy", "accuracy_mark"), ("layers", "layers")):
        curve = result.analysis.curve_of(kind)  # type: ignore[arg-type]
        if curve is not None and curve.mark in marked:
            panels.append(name)
    return panels + [f"layer/{layer}" for layer in result.layers]


def _at_level(result: ExperimentAnalysis, across: str, level: object) -> ExperimentAnalysis:
    import dataclasses

    fits = result.fits[result.fits[across] == level] if across in result.fits else result.fits
    return dataclasses.replace(result, tuning=result.tuning[result.tuning[across] == level], fits=fits)
