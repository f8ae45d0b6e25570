from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from dynvision.analysis.figures.comparison import compare_subjects, draw_comparison
from dynvision.analysis.figures.condition import draw_condition, relate_course
from dynvision.analysis.figures.style import (
    MARKERS,
    color_layers,
    color_levels,
    label_parameter,
    pick_levels,
    save_figure,
    tag_level,
)
from dynvision.analysis.figures.summary import draw_figures
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis, analyse_experiment
from dynvision.config.sections.experiments import Readout
from dynvision.stimuli.presentation import Presentation
from tests.helpers.simulations import LEVELS, simulate

pytestmark = pytest.mark.slow

LAYERS = ("V1", "V2", "V4", "IT", "classifier")


def make_experiment(folder: Path, sweep: str) -> ExperimentAnalysis:
    show = Presentation.duration(24, 10, 2)
    conditions = {
        "contrast": [({"contrast": str(c)}, show, c**2 / (c**2 + 0.1), 0.25 + 0.7 * c) for c in (*LEVELS, 0.05 / 2)],
        "duration": [
            ({"duration": str(d)}, Presentation.duration(24, d, 2), 1.0, 0.5) for d in (1, 2, 3, 4, 5, 8, 12, 20)
        ],
        "interval": [({"interval": str(i)}, Presentation.interval(24, 4, 2, i), 1.0, 0.5) for i in (0, 2, 6)],
        "grid": [
            ({"contrast": str(c), "duration": str(d)}, Presentation.duration(24, d, 2), c, c)
            for c in (0.2, 0.6, 1.0)
            for d in (2, 10)
        ],
        "long": [({"contrast": str(c)}, show, c, c) for c in (0.2, 0.5, 1.0)],
        "names": [({"temporal": name}, show, 1.0, 0.5) for name in ("static", "dynamic", "correlated")],
    }
    layers = LAYERS if sweep != "long" else tuple(f"encoder.layer{n}.0.conv1" for n in range(7))
    return analyse_experiment(simulate(folder, conditions[sweep], layers), Readout())


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    sweeps = ("contrast", "duration", "interval", "grid", "names", "long")
    return {sweep: make_experiment(tmp_path_factory.mktemp(sweep), sweep) for sweep in sweeps}


def legends_of(figure: Figure) -> list[Legend]:
    return [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend() is not None)]


@pytest.mark.parametrize("sweep", ["contrast", "duration", "interval", "grid", "names", "long"])
def test_figures_name_their_axes_and_nothing_lies_over_another_or_outside(experiments, sweep):
    figures = draw_figures(experiments[sweep])
    assert list(figures) == ["summary", "time_courses", "tuning", *(["heat_map"] if sweep == "grid" else [])]
    for name, figure in figures.items():
        figure.draw_without_rendering()
        figure.draw_without_rendering()
        width, height = figure.bbox.width, figure.bbox.height
        drawn = [axes for axes in figure.axes if axes.axison and axes.get_visible()]
        for axes in drawn:
            box = axes.get_tightbbox()
            over = max(-box.x0, -box.y0, box.x1 - width, box.y1 - height)
            assert over < 3, f"{name}: {axes.get_title(loc='left')} is cut off by {over:.0f} pixels"
        panels = [axes for axes in drawn if len(axes.get_yticks()) and not hasattr(axes, "_colorbar")]
        assert all(axes.get_ylabel() for axes in panels if axes.get_subplotspec().colspan.start == 0), name
        for legend in legends_of(figure):
            box = legend.get_window_extent()
            assert not any(box.overlaps(axes.bbox) for axes in drawn), name
            assert box.x0 > -1, name
            assert box.x1 < width + 1, name


def test_names_of_layers_and_levels_are_never_read_as_formulas(tmp_path):
    show = Presentation.duration(24, 10, 2)
    conditions = [({"temporal": name}, show, 1.0, 0.5) for name in ("$frac{", "$x^2$", "<b>")]
    result = analyse_experiment(simulate(tmp_path, conditions, ("$frac{", "$y$", "a|b")), Readout())
    drawn = set()
    for figure in draw_figures(result).values():
        figure.draw_without_rendering()
        drawn |= {text.get_text() for text in figure.findobj(Text)}
    assert {"\\$frac{", "\\$y\\$", "\\$x^2\\$", "<b>", "a|b"} <= drawn


def test_a_figure_is_the_same_bytes_each_time_and_1600_pixels_wide(experiments, tmp_path):
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        for name, figure in draw_figures(experiments["contrast"]).items():
            save_figure(figure, folder, name)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(f"{n}.{ending}" for n in ("summary", "time_courses", "tuning") for ending in ("png", "svg"))
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    with Image.open(tmp_path / "a" / "summary.png") as image:
        assert image.width == 1600
    assert "<dc:date>" not in (tmp_path / "a" / "summary.svg").read_text()


def test_every_condition_is_drawn_in_every_panel_in_its_colour(experiments):
    result = experiments["duration"]
    figure = draw_figures(result)["time_courses"]
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left") in LAYERS}
    assert list(panels) == list(LAYERS)
    wanted = {tuple(color) for color in color_levels(result.tuning["duration"]).values()}
    for layer, axes in panels.items():
        assert {tuple(line.get_color()) for line in axes.get_lines()} == wanted
        rows = result.courses[(result.courses["layer"] == layer) & (result.courses["duration"] == 20)]
        means = rows[rows["measure"] == "mean"]["value"]
        assert any(np.array_equal(line.get_ydata(), means) for line in axes.get_lines())


def test_bars_under_the_axis_last_as_long_as_the_stimulus(experiments):
    figure = draw_figures(experiments["duration"])["time_courses"]
    strip = figure.axes[1]
    bars = [(patch.get_x(), patch.get_width()) for patch in strip.patches]
    # Steps of 5 ms; time is 0 at the onset.
    assert bars == [(0, 5 * d) for d in (1, 2, 3, 4, 5, 8, 12, 20)]
    assert strip.get_shared_x_axes().joined(strip, figure.axes[0])
    contrast = draw_figures(experiments["contrast"])["time_courses"].axes[1]
    assert len(contrast.patches) == 1


def test_a_fitted_curve_is_marked_at_c50_with_its_value(experiments):
    result = experiments["contrast"]
    figure = draw_figures(result)["tuning"]
    axes = next(axes for axes in figure.axes if axes.get_title(loc="left") == "V1")
    fit = result.fits.query("layer == 'V1' and parameter == 'c50'").iloc[0]
    assert f"{fit['value']:.3g}" in axes.texts[0].get_text()
    marks = [line for line in axes.get_lines() if line.get_marker() == "^"]
    assert [float(np.ravel(line.get_xdata())[0]) for line in marks] == [fit["value"]]
    lowest, highest = (getattr(result.tuning["response/V1"], end)() for end in ("min", "max"))
    assert axes.get_ylim()[0] > lowest - 0.2 * (highest - lowest), "the dashed line moves the axis"


def test_c50_outside_of_what_was_shown_is_written_as_a_bound_and_not_marked(experiments):
    result = experiments["contrast"]
    fits = result.fits.copy()
    fits.loc[(fits["layer"] == "V1") & (fits["parameter"] == "c50"), "value"] = 2.0
    figure = draw_figures(dataclasses.replace(result, fits=fits))["tuning"]
    axes = next(axes for axes in figure.axes if axes.get_title(loc="left") == "V1")
    assert axes.texts[0].get_text() == "$c_{50}$ > 1"
    assert not [line for line in axes.get_lines() if line.get_marker() == "^"]
    marks = next(axes for axes in figure.axes if "of each layer" in axes.get_title(loc="left"))
    assert [text.get_text() for text in marks.texts] == ["> 1"]
    assert max(line.get_ydata()[0] for line in marks.get_lines() if line.get_marker() in MARKERS) < 1


def test_subjects_are_compared_in_one_table_and_one_figure(experiments, tmp_path):
    first, second = experiments["contrast"], make_experiment(tmp_path, "contrast")
    fewer = second.tuning[[name for name in second.tuning.columns if not name.endswith("/IT")]]
    result = compare_subjects(
        {"a": first.tuning, "b": fewer}, {"a": first.fits, "b": second.fits}, ["contrast"], first.presentations
    )
    assert list(result.tuning.columns[:3]) == ["subject", "condition", "contrast"]
    assert result.tuning.groupby("subject").size().to_dict() == {"a": 8, "b": 8}
    assert result.tuning.query("subject == 'b'")["response/IT"].isna().all()
    figure = draw_comparison(result, ["contrast"])
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"a", "b"}
    save_figure(figure, tmp_path, "subjects")


def test_colours_differ_and_are_given_in_the_order_of_the_levels():
    for colors in (color_levels(range(8)), color_levels(["b", "a"]), color_layers("abcdefghijklm")):
        assert len({tuple(np.ravel(color)) for color in colors.values()}) == len(colors)
    assert list(color_levels([0.4, 0.1, 0.4])) == [0.4, 0.1]


def test_labels_carry_the_unit():
    assert label_parameter("stim", False) == "stimulus duration (steps)"
    assert label_parameter("interval", True) == "interval (ms)"
    assert label_parameter("contrast", True) == "contrast"
    assert [tag_level("duration", d, False) for d in (1, 5)] == ["duration 1 step", "duration 5 steps"]
    assert tag_level("noise_type", "salt_and_pepper", False) == "salt and pepper"


def test_a_legend_of_many_levels_names_the_first_the_last_and_some_between():
    assert pick_levels([1, 2, 3]) == [1, 2, 3]
    picked = pick_levels(list(range(100)))
    assert (picked[0], picked[-1], len(picked)) == (0, 99, 12)


def panel(figure: Figure, title: str):
    return next(axes for axes in figure.axes if axes.get_title(loc="left").replace("$c_{50}$", "c50") == title)


def with_numbers(result: ExperimentAnalysis, **columns: object) -> ExperimentAnalysis:
    """The same experiment with other numbers; `__` stands for the slash of a column's name."""
    return dataclasses.replace(
        result, tuning=result.tuning.assign(**{name.replace("__", "/"): value for name, value in columns.items()})
    )


def test_numbers_of_all_layers_have_error_bars_where_a_layer_responds_and_no_point_where_it_does_not(experiments):
    null = np.where(experiments["contrast"].tuning["contrast"] <= 0.1, 100.0, 0.0)
    result = with_numbers(experiments["contrast"], response_null__V1=null, latency_ms_sem__V1=0.5)
    axes = panel(draw_figures(result)["tuning"], "latency")
    lines = [container.lines for container in axes.containers]
    assert len(lines) == len(LAYERS)
    points, _, (bars,) = lines[0]
    assert sorted(points.get_xdata()) == sorted(level for level in LEVELS if level > 0.1)
    heights = [float(np.ptp(segment[:, 1])) for segment in bars.get_segments()]
    assert heights == pytest.approx([1.0] * len(heights))


def test_a_panel_without_points_says_why(experiments):
    nothing = {f"response_null__{layer}": 1e6 for layer in LAYERS}
    figure = draw_figures(with_numbers(experiments["contrast"], **nothing))["tuning"]
    assert [text.get_text() for text in panel(figure, "latency").texts] == ["no response above rest"]
    unknown = {f"{name}__V1": np.nan for name in ("response", "response_sem", "response_null")}
    result = with_numbers(experiments["contrast"], accuracy=np.nan, accuracy_sem=np.nan, **unknown)
    figure = draw_figures(dataclasses.replace(result, fits=result.fits.iloc[:0]))["tuning"]
    assert [text.get_text() for text in panel(figure, "V1").texts] == ["no finite response"]
    assert [text.get_text() for text in panel(figure, "accuracy").texts] == ["no accuracy"]
    assert panel(figure, "V1").get_xlim() == (min(result.tuning["contrast"]), 1.0)


def test_marks_that_are_all_the_same_lie_inside_of_the_panel(experiments):
    result = experiments["contrast"]
    fits = result.fits.copy()
    is_mark = (fits["parameter"] == "c50") & (fits["measure"] == "response")
    fits.loc[is_mark, ["value", "low", "high"]] = 0.2
    axes = panel(draw_figures(dataclasses.replace(result, fits=fits))["tuning"], "c50 of each layer")
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > 0.205


def test_bounds_do_not_lie_on_each_other_or_on_marks(experiments):
    result = experiments["contrast"]
    outside, far = result.fits.copy(), result.fits.copy()
    of_v1 = (outside["layer"] == "V1") & (outside["parameter"] == "c50") & (outside["measure"] == "response")
    for table in (outside, far):
        table.loc[of_v1, ["value", "low", "high"]] = 2.0, 1.5, 3.0
    fits = {"a": outside, "b": result.fits, "c": far}
    compared = compare_subjects(dict.fromkeys(fits, result.tuning), fits, ["contrast"], result.presentations)
    figure = draw_comparison(compared, ["contrast"])
    figure.draw_without_rendering()
    axes = panel(figure, "c50 of each layer")
    boxes = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == ["> 1", "> 1"]
    assert not boxes[0].overlaps(boxes[1])
    marks = [line for line in axes.get_lines() if line.get_marker() == "o"]
    highest = max(axes.transData.transform((0, line.get_ydata()[0]))[1] for line in marks)
    assert highest < min(box.y0 for box in boxes)


@pytest.mark.parametrize(("is_late", "rises"), [(True, True), (True, False), (False, True), (False, False)])
def test_the_text_of_a_fit_lies_where_the_curve_does_not(experiments, is_late, rises):
    result = experiments["contrast"]
    contrasts = result.tuning["contrast"].to_numpy()
    c50, sign = (0.7 if is_late else 0.06), (1 if rises else -1)
    response = sign * contrasts**2 / (contrasts**2 + c50**2)
    fits = result.fits.copy()
    of_v1 = (fits["layer"] == "V1") & (fits["measure"] == "response")
    for name, number in (("r_max", sign), ("c50", c50), ("n", 2.0), ("b", 0.0)):
        fits.loc[of_v1 & (fits["parameter"] == name), ["value", "low", "high"]] = number, number * 0.9, number * 1.1
    changed = with_numbers(result, response__V1=response, response_sem__V1=0.0, response_null__V1=np.nan)
    figure = draw_figures(dataclasses.replace(changed, fits=fits))["tuning"]
    figure.draw_without_rendering()
    axes = panel(figure, "V1")
    box = axes.texts[0].get_window_extent()
    points = axes.transData.transform(np.column_stack([contrasts, response]))
    assert not any(box.contains(*point) for point in points)


def test_a_dashed_line_reaches_from_the_axis_to_the_curve_whatever_is_drawn_after_it(experiments):
    result = experiments["contrast"]
    large = result.tuning.assign(**{"response/V1": -100 * result.tuning["response/V1"]})
    fits = {"a": result.fits, "b": result.fits.iloc[:0]}
    compared = compare_subjects({"a": result.tuning, "b": large}, fits, ["contrast"], result.presentations)
    axes = panel(draw_comparison(compared, ["contrast"]), "V1")
    dashed = [line for line in axes.findobj(Line2D) if line.get_linestyle() == "--"]
    assert len(dashed) == 1
    assert min(dashed[0].get_ydata()) <= axes.get_ylim()[0]


def test_layers_are_compared_in_their_order_also_if_a_subject_lacks_some(experiments):
    result = experiments["contrast"]
    fewer = result.tuning[[name for name in result.tuning.columns if name.partition("/")[2] not in ("V4", "IT")]]
    for tunings in ({"a": fewer, "b": result.tuning}, {"a": result.tuning, "b": fewer}):
        fits = dict.fromkeys(tunings, result.fits)
        assert compare_subjects(tunings, fits, ["contrast"], result.presentations).layers == list(LAYERS)


def test_the_axis_of_time_reaches_to_the_end_of_the_longest_trial(tmp_path):
    trials = [({"tsteps": str(steps)}, Presentation.duration(steps, 4, 2), 1.0, 0.5) for steps in (10, 40)]
    figure = draw_figures(analyse_experiment(simulate(tmp_path, trials), Readout()))["time_courses"]
    assert figure.axes[0].get_xlim() == (-2 * 5, 38 * 5)


def test_a_picture_of_a_single_sample_warns_of_nothing(experiments):
    single = {f"{name}__{layer}": np.nan for layer in LAYERS for name in ("response_sem", "response_null")}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_figures(with_numbers(experiments["contrast"], **single))


def test_a_step_that_is_not_finite_does_not_hide_the_others_of_a_condition():
    courses = {"V1": [0.0, -4.0, float("nan"), 2.0], "V2": [float("nan")] * 4}
    course, unknown = (relate_course(values) for values in courses.values())
    np.testing.assert_array_equal(course, [0, -1, np.nan, 0.5])
    assert np.isnan(unknown).all()
    picture = draw_condition(courses, [0.5] * 4, "title")
    assert {color for _, color in picture.getcolors(maxcolors=1 << 16)} > {(0, 114, 178)}  # the line of V1
