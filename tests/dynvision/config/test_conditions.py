from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.config.conditions import all_conditions, describe_parameters, parse_condition, presentation_of
from dynvision.config.sections.experiments import ExperimentConfig, Subject
from dynvision.errors import UnknownNameError

CONTRASTS = [0.1, 0.2, 0.5, 1.0]


def make_experiment(contrasts=CONTRASTS, durations=None, **settings) -> ExperimentConfig:
    names = "contrast" if durations is None else ["contrast", "duration"]
    arguments = {"tsteps": 30, "intro": 1, "contrast": contrasts, "stim": 20 if durations is None else durations}
    return ExperimentConfig(parameter=names, data_loader="StimulusContrast", data_args={**arguments, **settings})


ONE, TWO = make_experiment(), make_experiment(durations=[1, 5, 20])


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(1, 29), min_size=1, max_size=5, unique=True),
    st.randoms(use_true_random=False),
)
def test_text_of_a_condition_is_read_back_in_any_order(contrasts, durations, order):
    experiment = make_experiment(contrasts, durations)
    conditions = all_conditions(experiment)
    assert len(conditions) == len(contrasts) * len(durations)
    assert len({str(c) for c in conditions}) == len(conditions)
    for condition in conditions:
        text = str(condition)
        assert parse_condition(experiment, text) == condition
        parts = text.split(",")
        order.shuffle(parts)
        assert parse_condition(experiment, ",".join(parts)) == condition
        shown = presentation_of(experiment, condition)
        assert shown.segments[1].contrast == float(condition["contrast"])
        assert shown.segments[1].steps == int(condition["duration"])


def test_first_parameter_varies_slowest():
    texts = [str(c) for c in all_conditions(TWO)]
    assert texts[:4] == [f"contrast=0.1,duration={d}" for d in (1, 5, 20)] + ["contrast=0.2,duration=1"]


def test_bare_level_is_enough_where_one_parameter_is_swept():
    assert parse_condition(ONE, "0.5") == {"contrast": "0.5"}


@pytest.mark.parametrize(("level", "nearest"), [("0.45", "0.5"), ("0.9", "1.0"), ("0.11", "0.1"), ("7", "1.0")])
def test_unknown_level_names_the_nearest_by_value(level, nearest):
    with pytest.raises(
        UnknownNameError, match=rf"here: unknown level of 'contrast' '{level}'\. Did you mean '{nearest}'\?"
    ):
        parse_condition(ONE, f"contrast={level}", "here")
    with pytest.raises(UnknownNameError, match=rf"Did you mean '{nearest}'\?"):
        parse_condition(ONE, level)


def test_unknown_parameter_names_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown parameter 'contrst'\. Did you mean 'contrast'\?"):
        parse_condition(TWO, "contrst=0.5,duration=5")


def test_missing_parameter_shows_how_to_write_it():
    expected = r"here: 'contrast=0\.5' gives no level for 'duration'\. Write it like 'contrast=0\.1,duration=1'\."
    with pytest.raises(UnknownNameError, match=expected):
        parse_condition(TWO, "contrast=0.5", "here")


def test_parameter_given_twice_is_an_error():
    with pytest.raises(UnknownNameError, match="contrast"):
        parse_condition(ONE, "contrast=0.1,contrast=0.5")


@given(st.text(max_size=12))
def test_any_other_text_is_an_error_for_the_user(text):
    try:
        condition = parse_condition(ONE, text)
    except UnknownNameError:
        return
    assert condition in all_conditions(ONE)


def test_sensor_noise_is_the_subjects_unless_the_experiment_sets_its_own():
    subject = Subject(model="rcnn", dataset="gratings", sensor_noise=3.0)
    condition = {"contrast": "0.5"}
    assert presentation_of(ONE, condition).sensor_noise == 0
    assert presentation_of(ONE, condition, subject).sensor_noise == 3.0
    assert presentation_of(make_experiment(sensor_noise=0.5), condition, subject).sensor_noise == 0.5


def test_parameters_are_described_with_their_units():
    described = describe_parameters(make_experiment(durations=[1, 3]))
    assert {name: about["units"] for name, about in described.items()} == {"duration": "step", "contrast": "1"}
    assert described["contrast"]["long_name"] == "swept parameter: stimulus contrast"


def test_durations_are_in_ms_where_a_step_has_a_duration():
    program = [{"void": "$before"}, {"image": 10, "contrast": "$strength"}]
    experiment = ExperimentConfig(
        parameter=["before", "strength"],
        data_loader="StimulusProgram",
        data_args={"program": program, "dt": 5.0, "before": [0, 10], "strength": [0.5, 1.0]},
    )
    units = {name: about["units"] for name, about in describe_parameters(experiment).items()}
    assert units == {"before": "ms", "strength": "1"}
