"""What pages and the terminal say of two parameters, of partly labelled images, and of what was never measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from dynvision.analysis.sweeps.experiment import ExperimentAnalysis, analyse_experiment
from dynvision.config.sections.experiments import Readout
from dynvision.records import make_record
from dynvision.reports.index import write_index
from dynvision.reports.tables import list_main_numbers
from dynvision.reports.terminal import describe_numbers
from dynvision.reports.words import describe_picture, list_headlines, say_range
from dynvision.stimuli.presentation import Presentation
from dynvision.system.files import write_json
from tests.helpers.simulations import LEVELS, simulate

pytestmark = pytest.mark.slow


def sweep(folder: Path, durations: tuple[int, ...]) -> ExperimentAnalysis:
    conditions = []
    for contrast in LEVELS:
        for duration in durations:
            levels = {"contrast": str(contrast)} | ({"duration": str(duration)} if len(durations) > 1 else {})
            drive = duration * contrast**2 / (contrast**2 + 0.1)
            conditions.append(
                (levels, Presentation.duration(24, duration, 2), drive, 0.25 + 0.07 * duration * contrast)
            )
    return analyse_experiment(simulate(folder, conditions), Readout())


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> ExperimentAnalysis:
    return sweep(tmp_path_factory.mktemp("grid"), (2, 10))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> ExperimentAnalysis:
    return sweep(tmp_path_factory.mktemp("single"), (10,))


def test_with_two_parameters_a_headline_is_the_range_of_all_conditions(grid: ExperimentAnalysis) -> None:
    values = grid.tuning["accuracy"]
    texts = {fact.name: fact.value for fact in list_headlines(grid)}
    (accuracy,) = [value for name, value in texts.items() if name.startswith("accuracy")]
    assert accuracy == f"{values.min():.3g} to {values.max():.3g}"


def test_the_terminal_names_the_level_of_each_fit(grid: ExperimentAnalysis, single: ExperimentAnalysis) -> None:
    lines = describe_numbers(grid.tuning, grid.fits, ["contrast", "duration"]).splitlines()
    told = [line.split(":")[0] for line in lines if "c50" in line]
    assert told == ["duration 2, V1", "duration 10, V1"]
    assert "\nV1: c50" in describe_numbers(single.tuning, single.fits, ["contrast"])


def test_images_without_a_label_count_for_layers_and_not_for_accuracy(single: ExperimentAnalysis) -> None:
    partly = dataclasses.replace(single, tuning=single.tuning.assign(accuracy_samples=20))
    table = list_main_numbers(partly.tuning, ["contrast"])
    assert table.head[:5] == ["contrast", "accuracy", "chance", "n with a label", "n"]
    assert table.rows[0][3:5] == ["20", "40"]
    assert "Accuracy and its error are over those with a label." in table.note
    facts = {fact.name: fact.value for fact in list_headlines(partly)}
    assert (facts["images or trials in each"], facts["of them with a label"]) == ("40", "20")
    assert "n with a label" not in list_main_numbers(single.tuning, ["contrast"]).head
    assert "n with a label" not in list_main_numbers(single.tuning.drop(columns="accuracy_samples"), ["contrast"]).head


def test_a_condition_without_a_number_does_not_begin_a_course(single: ExperimentAnalysis) -> None:
    accuracy = single.tuning["accuracy"].to_numpy().copy()
    accuracy[0] = np.nan
    alt = describe_picture(dataclasses.replace(single, tuning=single.tuning.assign(accuracy=accuracy)), "tuning")[1]
    assert f"Accuracy: rises from {accuracy[1]:.3g} at 0.1 to" in alt


def test_a_range_of_names_is_said_from_the_lowest_to_the_highest(single: ExperimentAnalysis) -> None:
    named = single.tuning.assign(contrast=[f"level {n}" for n in range(len(LEVELS))])
    assert " to " in say_range(named, "contrast", "accuracy")


def test_the_index_says_accuracy_first_and_nothing_of_two_parameters(
    grid: ExperimentAnalysis, single: ExperimentAnalysis, tmp_path: Path
) -> None:
    for name, result in (("single", single), ("grid", grid)):
        parameters = [result.along, *([result.across] if result.across else [])]
        details = {
            "parameters": parameters,
            "conditions": len(result.tuning),
            "tuning": result.tuning.to_dict(orient="records"),
            "fits": result.fits.astype(object).where(result.fits.notna(), None).to_dict(orient="records"),
        }
        folder = tmp_path / name / "subject"
        folder.mkdir(parents=True)
        record = make_record(
            f"summary/{name}/subject", code_version="5", config={}, inputs={}, content="", details=details, files={}
        )
        write_json(folder / "record.json", record.to_dict())
    page = write_index(tmp_path).read_text()
    assert "V1 c50" in page
    row = page[page.index("V1 c50") - 200 : page.index("V1 c50")]
    assert "accuracy half point" in row or "accuracy" in row
    assert page.count("V1 c50") == 1
