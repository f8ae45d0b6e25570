from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from dynvision.analysis.figures.style import save_figure
from dynvision.analysis.figures.summary import draw_figures
from dynvision.analysis.naka_rushton import naka_rushton
from dynvision.analysis.psychometric import psychometric
from dynvision.analysis.sweeps import ANALYSES, GENERIC, choose_analysis
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis, analyse_experiment
from dynvision.config.sections.experiments import Readout
from dynvision.reports.tables import list_main_numbers
from dynvision.reports.terminal import describe_numbers
from dynvision.stimuli.presentation import Presentation
from tests.helpers.simulations import LEVELS, Condition, simulate
from tests.helpers.stores import leaky_response


def analyse(folder: Path, conditions: Sequence[Condition]) -> ExperimentAnalysis:
    return analyse_experiment(simulate(folder, conditions), Readout())


def contrast_conditions(levels: Sequence[float], drive: Callable[[float], float]) -> list[Condition]:
    show = Presentation.duration(40, 30, 2)
    return [({"contrast": str(c)}, show, drive(c), 0.5) for c in levels]


@pytest.mark.parametrize(
    ("parameters", "analysis", "along", "across"),
    [
        (["contrast"], "stimulus_contrast", "contrast", None),
        (["stimulus_contrast"], "stimulus_contrast", "stimulus_contrast", None),
        (["stim"], "stimulus_duration", "stim", None),
        (["interval"], "interval_duration", "interval", None),
        (["ssnr"], "ssnr", "ssnr", None),
        (["contrast", "duration"], "stimulus_contrast", "contrast", "duration"),
        (["duration", "contrast"], "stimulus_duration", "duration", "contrast"),
        (["noise_type", "ssnr"], "ssnr", "ssnr", "noise_type"),
        (["intro"], None, "intro", None),
        (["noise_type", "intro"], None, "noise_type", "intro"),
    ],
)
def test_the_swept_parameter_chooses_the_analysis(parameters, analysis, along, across):
    wanted = GENERIC if analysis is None else ANALYSES[analysis]
    columns = ["accuracy", "response/V1", "recovery/V1", "integral/V1"]
    assert choose_analysis(parameters, columns) == (wanted, along, across)
    assert choose_analysis(parameters, ["accuracy"]) == (wanted, along, across)


@pytest.mark.slow
def test_an_interval_before_a_single_showing_is_analysed_as_any_other_parameter(tmp_path):
    """A foreperiod may have that name; there is no second response then, and so no recovery."""
    conditions = [({"interval": str(i)}, Presentation.duration(30, 5, i), 1.0, 0.5) for i in (1, 4, 8)]
    result = analyse(tmp_path, conditions)
    assert result.analysis == GENERIC
    assert set(draw_figures(result)) == {"summary", "time_courses", "tuning"}
    assert "V1: response" in describe_numbers(result.tuning, result.fits, ["interval"])
    assert len(list_main_numbers(result.tuning, ["interval"]).rows) == 3


@pytest.mark.slow
def test_a_contrast_sweep_gives_back_the_response_function_of_each_layer(tmp_path):
    show = Presentation.duration(40, 30, 2)
    gains = {"V1": leaky_response(show.frames >= 0, 0.5).max(), "IT": leaky_response(show.frames >= 0, 0.25).max()}
    result = analyse(
        tmp_path, contrast_conditions(LEVELS, lambda c: float(naka_rushton(np.array(c), 4.0, 0.25, 2.0, 0.5)))
    )
    for layer, gain in gains.items():
        fit = result.fits.query(f"layer == '{layer}' and measure == 'response'").set_index("parameter")
        assert fit.loc["c50", "value"] == pytest.approx(0.25, rel=0.01)
        assert fit.loc["n", "value"] == pytest.approx(2.0, rel=0.01)
        assert fit.loc["r_max", "value"] == pytest.approx(4.0 * gain, rel=0.01)
        assert fit.loc["b", "value"] == pytest.approx(0.5 * gain, rel=0.02)
        sustained = result.fits.query(f"layer == '{layer}' and measure == 'sustained'").set_index("parameter")
        assert sustained.loc["c50", "value"] == pytest.approx(0.25, rel=0.01)
    assert (result.fits.query("layer == 'output'")["note"].str.contains("not fitted")).all()


@pytest.mark.slow
def test_latency_is_given_in_steps_and_ms_and_does_not_depend_on_the_strength(tmp_path):
    result = analyse(tmp_path, contrast_conditions(LEVELS[:5], lambda c: c))
    half = np.interp(0.5, 1 - 0.5 ** np.arange(31), np.arange(31))
    np.testing.assert_allclose(result.tuning["latency/V1"], half, rtol=1e-4)
    np.testing.assert_allclose(result.tuning["latency_ms/V1"], 5 * half, rtol=1e-4)
    assert (result.tuning["latency/IT"] > result.tuning["latency/V1"]).all()


@pytest.mark.slow
def test_a_duration_sweep_gives_the_response_summed_over_time(tmp_path):
    """A leaky integrator's response adds up to its drive: ``Σ x = drive · duration``, when the trial is long enough."""
    shows = {d: Presentation.duration(120, d, 2) for d in (1, 2, 5, 10)}
    result = analyse(tmp_path, [({"duration": str(d)}, show, 3.0, 0.5) for d, show in shows.items()])
    np.testing.assert_allclose(result.tuning["integral/V1"], 3.0 * np.array(list(shows)), rtol=1e-4)
    np.testing.assert_allclose(result.tuning["doubling/V1"], [np.nan, 2, np.nan, 2], rtol=1e-4)
    assert result.fits.empty
    assert list(result.fits.columns[:2]) == ["layer", "measure"]


@pytest.mark.slow
def test_durations_of_whole_frames_of_a_screen_are_doubled_and_linear_summation_is_still_two(tmp_path):
    durations = (17, 33, 67, 133, 267)
    shows = {d: Presentation.duration(400, d, 2) for d in durations}
    result = analyse(tmp_path, [({"duration": str(d)}, show, 3.0, 0.5) for d, show in shows.items()])
    np.testing.assert_allclose(result.tuning["doubling/V1"], [np.nan, 2, 2, 2, 2], rtol=1e-4)


@pytest.mark.slow
def test_an_interval_sweep_gives_recovery_and_the_plain_ratio_of_the_peaks(tmp_path):
    """A leaky integrator is linear: it recovers at once, and its plain ratio counts what is left of the first peak."""
    shows = {i: Presentation.interval(80, 10, 2, i) for i in (1, 5, 50)}
    result = analyse(tmp_path, [({"interval": str(i)}, show, 2.0, 0.5) for i, show in shows.items()])
    index = result.tuning["adaptation/IT"].to_numpy()
    assert (np.diff(index) < 0).all()
    assert index[-1] == pytest.approx(1, abs=1e-4)
    for name in ("recovery", "recovery_integral"):
        np.testing.assert_allclose(result.tuning[f"{name}/IT"], 1, atol=1e-3)
    assert result.tuning["latency/V1"].nunique() == 1  # it is that of one showing, whatever follows


@pytest.mark.slow
def test_a_noise_sweep_gives_the_half_point_of_accuracy_for_each_kind_of_noise(tmp_path):
    show = Presentation.duration(12, 6, 2)
    signals, halves = [0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0], {"gaussian": 0.2, "uniform": 0.4}
    conditions = [
        ({"noise_type": name, "ssnr": str(s)}, show, 1.0, float(psychometric(np.array(s), half, 2.0, 0.0, 0.25)))
        for name, half in halves.items()
        for s in signals
    ]
    result = analyse(tmp_path, conditions)
    assert (result.along, result.across) == ("ssnr", "noise_type")
    fits = result.fits[result.fits["parameter"] == "half_point"].set_index("noise_type")
    for name, half in halves.items():
        assert fits.loc[name, "value"] == pytest.approx(half, rel=0.1)
        assert fits.loc[name, "low"] < half < fits.loc[name, "high"]


@pytest.mark.slow
def test_two_parameters_are_fitted_along_the_first_for_each_level_of_the_second(tmp_path):
    conditions = [
        ({"contrast": str(c), "duration": str(d)}, Presentation.duration(30, d, 2), float(c**2 / (c**2 + h**2)), 0.5)
        for c in LEVELS
        for d, h in ((5, 0.2), (20, 0.4))
    ]
    result = analyse(tmp_path, conditions)
    fits = result.fits.query("parameter == 'c50' and layer == 'V1' and measure == 'response'").set_index("duration")[
        "value"
    ]
    assert fits.to_dict() == pytest.approx({5: 0.2, 20: 0.4}, rel=0.01)


@pytest.mark.slow
def test_levels_may_be_names_and_nothing_is_fitted_to_them(tmp_path):
    show = Presentation.duration(10, 4, 2)
    conditions = [({"temporal": name}, show, 1.0, 0.5) for name in ("static", "dynamic")]
    result = analyse(tmp_path, conditions)
    assert result.tuning["temporal"].tolist() == ["static", "dynamic"]
    assert result.fits.empty


@pytest.mark.slow
def test_levels_of_which_one_is_a_name_are_all_names(tmp_path):
    show = Presentation.duration(10, 4, 2)
    result = analyse(tmp_path, [({"program": name}, show, 1.0, 0.5) for name in ("1", "mask", "2")])
    assert result.tuning["program"].tolist() == ["1", "mask", "2"]
    result.tuning.to_parquet(tmp_path / "tuning.parquet")


@pytest.mark.slow
@pytest.mark.parametrize("level", ["0.0", "1.0"])
def test_an_experiment_of_one_condition_is_measured_and_not_fitted(tmp_path, level):
    result = analyse(tmp_path, contrast_conditions([float(level)], lambda c: c))
    assert result.fits["note"].str.contains("1 level for a curve").all()
    for name, figure in draw_figures(result).items():
        save_figure(figure, tmp_path, name)


def test_courses_carry_the_time_in_ms_and_what_is_shown(tmp_path):
    result = analyse(tmp_path, contrast_conditions([0.5, 1.0], lambda c: c))
    courses = result.courses
    assert result.dt == 5.0
    assert set(courses["measure"]) == {"accuracy", "mean", "sem", "evoked", "evoked_sem"}
    np.testing.assert_array_equal(courses["time_ms"], 5 * courses["time"])
    assert courses[courses["shown"] == 0]["time"].agg(["min", "max"]).tolist() == [1, 30]
    assert set(courses.loc[courses["shown"] < 0, "contrast_shown"]) == {0}


def test_error_of_the_response_is_that_of_its_peak_over_samples(tmp_path):
    result = analyse(tmp_path, contrast_conditions([1.0], lambda c: c))
    rows = result.courses.query("layer == 'V1'").pivot(index="time", columns="measure", values="value")
    assert result.tuning["response_sem/V1"][0] == pytest.approx(rows["evoked_sem"][rows["evoked"].idxmax()])
