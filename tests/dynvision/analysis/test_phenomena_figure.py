"""The picture of phenomena: what it draws, and what it says where there is nothing to draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dynvision.analysis.cortex import CORTEX, find_range
from dynvision.analysis.figures.phenomena import PANELS, draw_phenomena, select_rows
from dynvision.analysis.phenomena import COLUMNS, PHENOMENA, list_phenomena
from dynvision.reports.phenomena import describe_phenomena, picture_phenomena


def rows_of(phenomenon: str, measure: str, values, low=np.nan, high=np.nan, layers=("V1", "V2")) -> pd.DataFrame:
    rows = [
        {"phenomenon": phenomenon, "layer": layer, "measure": measure, "value": value, "low": low, "high": high}
        for layer, value in zip(layers, values, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).assign(note="", experiment="contrast")


def axes_of(table: pd.DataFrame, number: int):
    return draw_phenomena(table).axes[number]


def test_every_panel_and_every_range_is_of_a_phenomenon():
    names = {phenomenon.name for phenomenon in PHENOMENA}
    assert {panel.phenomenon for panel in PANELS} == names
    assert {phenomenon for phenomenon, _ in CORTEX} <= names


def test_a_point_stands_at_each_layers_value_over_the_band_of_cortex():
    axes = axes_of(rows_of("contrast response", "c50", [0.3, 0.9]), 0)
    points = {line.get_xdata()[0] for line in axes.lines if len(line.get_xdata())}
    assert points == {0.3, 0.9}
    (band,) = axes.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((0.1, 0.6))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["V1", "V2"]
    assert "cortex: 0.1 to 0.6" in axes.get_xlabel()


def test_a_value_beyond_the_axis_is_an_arrow_at_its_edge():
    axes = axes_of(rows_of("contrast response", "c50", [0.3, 1e6], 0.2, np.inf), 0)
    assert [line.get_xdata()[0] for line in axes.lines if line.get_marker() == ">"] == [axes.get_xlim()[1]]
    assert axes.get_xlim()[1] <= 10


def test_two_numbers_of_a_layer_differ_in_shape_and_are_named():
    table = pd.concat(
        [rows_of("repetition suppression", f"recovery_{name}", [0.5, 0.9]) for name in ("shortest", "longest")]
    )
    axes = axes_of(table, 4)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["shortest interval", "longest interval"]
    assert len({line.get_marker() for line in axes.lines}) == 2


def test_latencies_have_the_unit_of_their_names():
    for prefix, unit in (("latency_ms", "(ms)"), ("latency", "(steps)")):
        table = rows_of("latency falls with contrast", f"{prefix}_lowest", [8.0, 9.0])
        assert len(select_rows(table, PANELS[3])[0]) == 2
        assert axes_of(table, 3).get_xlabel() == f"latency {unit}"


def test_a_phenomenon_without_a_value_says_why_in_its_panel():
    figure = draw_phenomena(list_phenomena({}))
    said = [" ".join(axes.texts[0].get_text().split()) for axes in figure.axes]
    assert len(said) == len(PANELS)
    assert all(text.startswith("not shown: the subject has no experiment") for text in said)


def test_many_layers_with_hostile_names_are_drawn():
    layers = [f"${'x' * 300}_{number}^<b>" for number in range(40)]
    table = rows_of("onset transient", "transient_ratio", [2.0] * 40, layers=layers)
    draw_phenomena(table).canvas.draw()


def test_the_words_of_the_picture_say_what_lies_in_the_range():
    table = pd.concat([rows_of("contrast response", "c50", [0.3, 1.9]), list_phenomena({})[5:6]], ignore_index=True)
    text = describe_phenomena(table)
    assert "c50 (cortex: 0.1 to 0.6): V1 0.3, inside; V2 1.9, outside" in text
    assert text.endswith("No value: temporal summation.")
    assert "c50 0.1 to 0.6 (Albrecht & Hamilton 1982" in picture_phenomena(table, b"").caption


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.7])
def test_a_value_that_is_not_in_the_range_is_outside(value):
    known = find_range("contrast response", "c50")
    assert known is not None
    assert not known.holds(value)
