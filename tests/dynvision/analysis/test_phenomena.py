from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from dynvision.analysis.phenomena import COLUMNS, PHENOMENA, Tables, list_phenomena
from dynvision.analysis.sweeps.experiment import analyse_experiment
from dynvision.config.sections.experiments import Readout
from dynvision.stages.summary import SHOWN_IN
from dynvision.stimuli.presentation import Presentation
from tests.helpers.simulations import simulate


def tables_of(folder, parameter: str, conditions) -> Tables:
    stores = simulate(
        folder, [({parameter: level}, show, drive, accuracy) for level, show, drive, accuracy in conditions]
    )
    result = analyse_experiment(stores, Readout())
    return Tables((parameter,), result.tuning, result.fits, result.courses)


def value(table: pd.DataFrame, measure: str, layer: str) -> float:
    return float(table[(table["measure"] == measure) & (table["layer"] == layer)]["value"].iloc[0])


def test_the_stage_reads_the_experiments_that_show_a_phenomenon():
    assert set(SHOWN_IN) == {phenomenon.experiment for phenomenon in PHENOMENA}


def test_without_experiments_every_phenomenon_says_what_is_missing():
    table = list_phenomena({})
    assert tuple(table.columns) == COLUMNS
    assert table["phenomenon"].tolist() == [phenomenon.name for phenomenon in PHENOMENA]
    assert table["value"].isna().all()
    assert table["note"].str.startswith("not shown: the subject has no experiment '").all()


def test_an_experiment_of_that_name_that_sweeps_something_else_is_not_read(tmp_path):
    show = Presentation.duration(12, 6, 2)
    other = tables_of(tmp_path, "intro", [("2", show, 1.0, 0.5), ("3", show, 1.0, 0.5)])
    table = list_phenomena({"contrast": other})
    assert table["value"].isna().all()


@pytest.mark.slow
def test_an_experiment_that_cannot_show_a_phenomenon_is_not_read(tmp_path):
    show = Presentation.duration(12, 6, 2)
    once = tables_of(tmp_path / "once", "interval", [("2", show, 1.0, 0.5), ("3", show, 1.0, 0.5)])
    names = tables_of(tmp_path / "names", "duration", [("short", show, 1.0, 0.5), ("long", show, 1.0, 0.5)])
    single = tables_of(tmp_path / "single", "duration", [("4", show, 1.0, 0.5)])
    table = list_phenomena({"interval": once, "duration": names, "stability": single}).set_index("phenomenon")
    for phenomenon in ("repetition suppression", "temporal summation"):
        assert table.loc[phenomenon, "note"].startswith("not shown"), phenomenon
    assert table.loc["long presentations", "value"].notna().any()


@pytest.mark.slow
def test_phenomena_of_a_leaky_integrator_are_those_of_a_linear_system(tmp_path):
    show = Presentation.duration(60, 40, 2)
    levels = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
    contrast = [(str(c), show, float(4 * c**2 / (c**2 + 0.25**2)), min(1.0, 0.25 + c)) for c in levels]
    duration = [(str(d), Presentation.duration(120, d, 2), 3.0, 0.5) for d in (1, 2, 4)]
    interval = [(str(i), Presentation.interval(100, 10, 2, i), 2.0, 0.5) for i in (1, 60)]
    gap = [(str(g), Presentation.duration(30, 5, 2), 2.0, accuracy) for g, accuracy in ((0, 0.25), (8, 0.75))]
    table = list_phenomena(
        {
            "contrast": tables_of(tmp_path / "contrast", "contrast", contrast),
            "duration": tables_of(tmp_path / "duration", "duration", duration),
            "interval": tables_of(tmp_path / "interval", "interval", interval),
            "masking": tables_of(tmp_path / "masking", "gap", gap),
            "stability": tables_of(
                tmp_path / "stability", "duration", [("50", Presentation.duration(60, 50, 5), 1, 0.5)]
            ),
        }
    )
    assert value(table, "c50", "V1") == pytest.approx(0.25, rel=0.02)
    assert value(table, "r2", "V1") > 0.999
    assert value(table, "transient_ratio", "V1") == pytest.approx(1, abs=1e-3)
    assert value(table, "latency_ms_highest", "IT") == pytest.approx(value(table, "latency_ms_lowest", "IT"), rel=1e-3)
    assert value(table, "recovery_shortest", "V1") == pytest.approx(1, abs=1e-2)
    assert value(table, "doubling_highest", "V1") == pytest.approx(2, rel=1e-3)
    assert value(table, "accuracy_lost", "output") == 0
    assert value(table, "accuracy_shortest", "output") == 0.25
    assert value(table, "accuracy_longest", "output") == 0.75
    assert value(table, "accuracy", "output") == 1
    with_interval = table[table["low"].notna()]
    assert (with_interval["low"] <= with_interval["value"] + 1e-9).all()
    assert np.isfinite(with_interval["high"]).all()


@pytest.mark.parametrize(
    ("in_ms", "notes"), [(False, {"after 1 step", "after 60 steps"}), (True, {"after 1 ms", "after 60 ms"})]
)
def test_a_note_names_the_unit_of_a_duration(tmp_path, in_ms, notes):
    interval = [(str(i), Presentation.interval(100, 10, 2, i), 2.0, 0.5) for i in (1, 60)]
    tables = dataclasses.replace(tables_of(tmp_path, "interval", interval), has_times_in_ms=in_ms)
    listed = list_phenomena({"interval": tables})
    assert set(listed[listed["phenomenon"] == "repetition suppression"]["note"]) == notes
