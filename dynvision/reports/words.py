"""What an experiment shows, in words: headlines, the texts of pictures for those who do not see them, and notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dynvision.analysis.courses import NUMBERS
from dynvision.analysis.figures.panels import choose_layer
from dynvision.analysis.figures.summary import MOST_VALUES
from dynvision.analysis.figures.time_courses import MOST_LINES
from dynvision.analysis.fits import format_estimate, is_shown
from dynvision.analysis.measures import OUTPUT, find_responses
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis
from dynvision.reports.content import Fact
from dynvision.reports.numbers import format_number
from dynvision.reports.tables import count_labelled

__all__ = ["MOST_NAMED", "describe_picture", "list_headlines", "list_notes", "list_words", "say_range"]

MOST_NAMED = 6
"""Names that a sentence lists."""

Described = tuple[str, str, str]


def list_headlines(result: ExperimentAnalysis) -> list[Fact]:
    """Return the numbers that matter most: accuracy, the mark of each fitted curve, and how much was shown."""
    facts = [Fact("conditions", str(len(result.tuning))), Fact("images or trials in each", _samples(result.tuning))]
    if result.has_accuracy:
        facts += _say_labelled(result.tuning)
        chance = format_number(result.tuning["chance"].iloc[0])
        facts.append(Fact(f"accuracy (chance {chance})", say_range(result.tuning, result.along, "accuracy")))
    main = result.analysis.main
    for layer in result.layers[:3]:
        facts.append(Fact(f"{layer}: {NUMBERS[main].label}", say_range(result.tuning, result.along, f"{main}/{layer}")))
    facts += [
        Fact(f"{_name(layer)}: {_plain(parameter)}", estimate)
        for layer, measure, parameter, estimate in _marks(result)
        if measure in (main, "accuracy")
    ][:4]
    return facts


def _say_labelled(tuning: pd.DataFrame) -> list[Fact]:
    """Say of how many trials accuracy is read, if some have no label."""
    counts = sorted({int(n) for n in count_labelled(tuning)[count_labelled(tuning) < tuning["samples"]]})
    ends = [str(counts[0])] if len(counts) == 1 else [f"{counts[0]} to {counts[-1]}"] if counts else []
    return [Fact("of them with a label", text) for text in ends]


def say_range(tuning: pd.DataFrame, along: str, column: str) -> str:
    """Say a number at the first and the last level of a parameter, such as `0.265 → 1`, or its range."""
    values = tuning[column].to_numpy(np.float64)
    if not np.isfinite(values).any():
        return "none"
    levels = tuning[along]
    # With a second parameter there are several conditions at each level.
    if pd.api.types.is_numeric_dtype(levels) and not levels.duplicated().any():
        ends = [values[int(np.argmin(levels.to_numpy()))], values[int(np.argmax(levels.to_numpy()))]]
        return " → ".join(map(format_number, ends)) if len(values) > 1 else format_number(values[0])
    return f"{format_number(np.nanmin(values))} to {format_number(np.nanmax(values))}"


def describe_picture(result: ExperimentAnalysis, name: str) -> Described:
    """Describe a picture of an experiment.

    Args:
        result: The experiment.
        name: One of `dynvision.analysis.figures.summary.name_figures`.

    Returns:
        Its title, what is seen in it, and how it is read.
    """
    return _DESCRIPTIONS[name](result)


def _describe_summary(result: ExperimentAnalysis) -> Described:
    layer, along = choose_layer(result), result.along
    panels = f"Time courses of {layer} at {_levels(result.tuning, along)}; its {_label(result)} against {along}"
    return (
        "At a glance",
        f"{panels}{', and accuracy' if result.has_accuracy else ''}. {_say_layer(result, layer)}"
        f"{_say_accuracy(result)}{_say_marks(result, OUTPUT, 'accuracy')}",
        "Left: the mean response over time, a line for each condition with its standard error; the bar below shows "
        "when an image is shown. Then the numbers that are read from it, with fitted curves. A triangle marks the "
        "half point of a curve, with its 95 % interval; the dotted line is chance." + _say_lines_left_out(result),
    )


def _describe_courses(result: ExperimentAnalysis) -> Described:
    names = [*result.layers, *(["accuracy"] if result.has_accuracy else [])]
    return (
        "Time courses",
        f"A panel for each of {list_words(names)}: the mean over images against time from onset, a line for each of "
        f"{_levels(result.tuning, result.along)}. "
        + " ".join(_say_layer(result, name, with_marks=False) for name in result.layers[:MOST_NAMED]),
        "Lines go from dark to light with the level. The shade is the standard error over images. Bars under the "
        f"axis show when an image is shown.{_say_lines_left_out(result)}",
    )


def _say_lines_left_out(result: ExperimentAnalysis) -> str:
    levels = result.tuning[result.along].nunique()
    return f" {MOST_LINES} of {levels} levels of {result.along} are drawn." if levels > MOST_LINES else ""


def _describe_tuning(result: ExperimentAnalysis) -> Described:
    return (
        "Tuning and fits",
        f"Numbers against {result.along} ({_levels(result.tuning, result.along)}). "
        + " ".join(_say_layer(result, name) for name in result.layers[:MOST_NAMED])
        + _say_accuracy(result),
        "Points are measured, with standard errors; lines are fitted where a curve is. The pale band is what noise "
        "alone reaches. All numbers stand in the tables below.",
    )


def _describe_heat_map(result: ExperimentAnalysis) -> Described:
    written = ", with its value written in it" if len(result.tuning) <= MOST_VALUES else ""
    return (
        "Both parameters at once",
        f"Heat map over {result.along} and {result.across}. {_say_layer(result, choose_layer(result))}"
        f"{_say_accuracy(result)}",
        f"Each cell is a condition{written}; dark is low.",
    )


_DESCRIPTIONS: Mapping[str, Callable[[ExperimentAnalysis], Described]] = {
    "summary": _describe_summary,
    "time_courses": _describe_courses,
    "tuning": _describe_tuning,
    "heat_map": _describe_heat_map,
}


def _label(result: ExperimentAnalysis) -> str:
    return NUMBERS[result.analysis.main].label


def _say_layer(result: ExperimentAnalysis, layer: str, with_marks: bool = True) -> str:
    main = result.analysis.main
    marks = _say_marks(result, layer, main) if with_marks else ""
    return f"{layer}, {_label(result)}: {_say_course(result, f'{main}/{layer}')}.{marks}"


def _say_accuracy(result: ExperimentAnalysis) -> str:
    return f" Accuracy: {_say_course(result, 'accuracy')}." if result.has_accuracy else ""


def list_notes(result: ExperimentAnalysis, record_details: dict[str, Any]) -> Iterator[str]:
    """Yield what a reader should know before trusting a number."""
    if not result.has_accuracy:
        yield (
            "There is no accuracy, chance or rank: the labels of the images are not the classes of the network's "
            "outputs."
        )
    for condition in record_details.get("unanswered", ()):
        yield f"{condition} has no accuracy: all classes have the same score there."
    shown = _range_shown(result)
    if shown is not None:
        for layer, measure, parameter, value in _mark_values(result):
            if not np.isnan(value) and not is_shown(value, *shown):
                bound = format_estimate(value, np.nan, np.nan, *shown)
                yield (
                    f"{_name(layer)}, {_measure(measure)}: {_plain(parameter)} is {bound}. It lies outside of the "
                    f"levels that were shown, so its value would be extrapolated and is not given."
                )
    for row in (
        result.fits[result.fits["note"].fillna("") != ""].drop_duplicates(["layer", "measure"]).to_dict("records")
    ):
        yield f"{_name(row['layer'])}, {_measure(row['measure'])}: {row['note']}."
    for layer in result.layers:
        weak = result.tuning.loc[~find_responses(result.tuning, layer), "condition"].tolist()
        if weak:
            which = "all conditions" if len(weak) == len(result.tuning) else list_words(weak)
            yield f"{layer} has no response larger than what noise alone reaches at {which}."
    negative = [x for x in result.layers if (result.tuning[f"response/{x}"] < 0).mean() > 0.5]
    if negative:
        why = "because the mean over units falls when an image is shown"
        yield f"{list_words(negative)}: the response is negative, {why}."
    yield (
        "Responses are relative to a resting run: the same trial with the same noise, in which nothing is shown. "
        "Standard errors are over images or trials, not over networks: they do not say how another seed would differ."
    )


def _say_course(result: ExperimentAnalysis, column: str) -> str:
    """Say where a number begins and ends along the parameter, and whether it turns on the way."""
    values = result.tuning[column].to_numpy(np.float64)
    if not np.isfinite(values).any():
        return "no value"
    if not np.isfinite(values).all():  # It has none in some conditions.
        return _say_course(dataclasses.replace(result, tuning=result.tuning[np.isfinite(values)]), column)
    if not pd.api.types.is_numeric_dtype(result.tuning[result.along]) or result.across is not None:
        return f"from {format_number(np.nanmin(values))} to {format_number(np.nanmax(values))}"
    rows = result.tuning.sort_values(result.along)
    ordered, levels = rows[column].to_numpy(np.float64), rows[result.along].to_numpy()
    first, last = ordered[0], ordered[-1]
    verb = "rises" if last > first else "falls" if last < first else "stays"
    text = (
        f"{verb} from {format_number(first)} at {format_number(levels[0])} to {format_number(last)} at "
        f"{format_number(levels[-1])}"
    )
    turn = int(np.nanargmax(ordered) if last >= first else np.nanargmin(ordered))
    if np.isfinite(ordered[turn]) and abs(ordered[turn] - last) > 0.05 * np.ptp(ordered[np.isfinite(ordered)]):
        text += f", with its {'highest' if last >= first else 'lowest'} value {format_number(ordered[turn])} at "
        text += format_number(levels[turn])
    return text


def _say_marks(result: ExperimentAnalysis, layer: str, measure: str) -> str:
    found = [f"{_plain(p)} {text}" for of, number, p, text in _marks(result) if (of, number) == (layer, measure)]
    return f" Fitted: {list_words(found)}." if found else ""


def _marks(result: ExperimentAnalysis) -> Iterator[tuple[str, str, str, str]]:
    """Yield the mark of each fitted curve: layer, measure, parameter, and the estimate as a text."""
    shown = _range_shown(result)
    names = {curve.mark for curve in result.analysis.curves}
    for row in result.fits[result.fits["parameter"].isin(names)].to_dict(orient="records"):
        if shown is not None and result.across is None:
            estimate = format_estimate(row["value"], row["low"], row["high"], *shown)
            yield str(row["layer"]), str(row["measure"]), str(row["parameter"]), estimate


def _mark_values(result: ExperimentAnalysis) -> Iterator[tuple[str, str, str, float]]:
    names = {curve.mark for curve in result.analysis.curves}
    for row in result.fits[result.fits["parameter"].isin(names)].to_dict(orient="records"):
        yield str(row["layer"]), str(row["measure"]), str(row["parameter"]), float(row["value"])


def _range_shown(result: ExperimentAnalysis) -> tuple[float, float] | None:
    """Return the lowest level above 0 and the highest; `None` if levels are names."""
    levels = result.tuning[result.along]
    if not pd.api.types.is_numeric_dtype(levels):
        return None
    return float(levels[levels > 0].min()), float(levels.max())


def _levels(tuning: pd.DataFrame, along: str) -> str:
    levels = list(dict.fromkeys(tuning[along]))
    if pd.api.types.is_numeric_dtype(tuning[along]) and len(levels) > 2:
        return f"{len(levels)} levels of {along} from {format_number(min(levels))} to {format_number(max(levels))}"
    return f"{along} {list_words([str(level) for level in levels])}"


def _samples(tuning: pd.DataFrame) -> str:
    counts = sorted({int(n) for n in tuning["samples"].dropna()})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}" if counts else "–"


def _measure(measure: object) -> str:
    return NUMBERS[str(measure)].label if str(measure) in NUMBERS else str(measure)


def _name(layer: object) -> str:
    return "the network's answers" if layer == OUTPUT else str(layer)


def _plain(parameter: object) -> str:
    return str(parameter).replace("_", " ")


def list_words(names: Sequence[str]) -> str:
    """List names in a sentence; of many the first, and how many more there are."""
    shown = [*names[:MOST_NAMED], *([f"{len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
