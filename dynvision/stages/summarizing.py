"""What a summary holds: of an experiment with one subject, of all its subjects, of the phenomena of a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.config.sections.experiments import ExperimentConfig
from dynvision.records import Record
from dynvision.stimuli.presentation import Presentation

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["GROUPS", "Summary", "SummaryTables", "summarize_phenomena", "summarize_subject", "summarize_subjects"]

GROUPS = "groups"
"""The table of an experiment with `group_by`, and its picture."""


@dataclass(frozen=True)
class Summary:
    """The content of a summary.

    Attributes:
        tables: The tables by name, the main one first.
        pictures: The pictures by name.
        details: What its record says.
    """

    tables: Mapping[str, pd.DataFrame]
    pictures: Mapping[str, Figure]
    details: dict[str, Any]


@dataclass(frozen=True)
class SummaryTables:
    """A summary of one subject, as it is read for another summary.

    Attributes:
        experiment: Its experiment.
        tables: Its tables by name.
        record: Its record.
    """

    experiment: ExperimentConfig
    tables: Mapping[str, pd.DataFrame]
    record: Record


def summarize_subject(
    stores: Sequence[tuple[Mapping[str, str], Path, Presentation]], experiment: ExperimentConfig, where: str
) -> Summary:
    """Analyse an experiment with one subject.

    Args:
        stores: For each condition the level of each parameter, the store, and the presentation.
        experiment: The experiment.
        where: The experiment and the subject, for messages.
    """
    from dynvision.analysis.figures.groups import draw_groups
    from dynvision.analysis.figures.summary import draw_figures
    from dynvision.analysis.groups import measure_groups
    from dynvision.analysis.measures import find_unanswered
    from dynvision.analysis.sweeps.experiment import analyse_experiment

    result = analyse_experiment(stores, experiment.readout)
    details = {
        "rows": len(result.table),
        "conditions": len(stores),
        "parameters": experiment.parameters,
        "dt": result.dt,
        "tuning": _plain_rows(result.tuning),
        "unanswered": find_unanswered(result.table, result.tuning),
        "fits": _plain_rows(result.fits),
    }
    tables = {"table": result.table, "tuning": result.tuning, "fits": result.fits, "time_courses": result.courses}
    pictures = draw_figures(result)
    if experiment.group_by is not None:
        tables[GROUPS] = measure_groups(stores, experiment.group_by, where)
        if len(tables[GROUPS]):
            pictures[GROUPS] = draw_groups(tables[GROUPS], result)
    return Summary(tables, pictures, details)


def summarize_subjects(
    subjects: Mapping[str, SummaryTables], experiment: ExperimentConfig, presentations: dict[str, Presentation]
) -> Summary:
    """Compare the subjects of an experiment.

    Args:
        subjects: The summary of each subject, by the subject's name.
        experiment: The experiment.
        presentations: The presentation of each condition, by the condition's text.
    """
    from dynvision.analysis.figures.comparison import compare_subjects, draw_comparison

    tunings, fits = (
        {name: subject.tables[table] for name, subject in subjects.items()} for table in ("tuning", "fits")
    )
    durations = {subject.record.details["dt"] for subject in subjects.values()}
    dt = durations.pop() if len(durations) == 1 else None
    result = compare_subjects(tunings, fits, experiment.parameters, presentations, dt)
    unlabelled = [name for name, table in tunings.items() if "accuracy" not in table]
    shown = [name for name in result.tuning.columns if "/" not in name]
    details = {
        "rows": len(result.tuning),
        "subjects": list(subjects),
        **({"without_accuracy": unlabelled} if unlabelled else {}),
        "conditions": len(presentations),
        "parameters": experiment.parameters,
        "tuning": _plain_rows(result.tuning[shown]),
        "unanswered": [
            f"{name}/{condition}"
            for name, subject in subjects.items()
            for condition in subject.record.details.get("unanswered", ())
        ],
        "fits": _plain_rows(result.fits),
    }
    picture = draw_comparison(result, experiment.parameters)
    return Summary({"table": result.tuning, "fits": result.fits}, {"comparison": picture}, details)


def summarize_phenomena(experiments: Mapping[str, SummaryTables]) -> Summary:
    """List the phenomena that a subject shows.

    Args:
        experiments: The summary of each experiment with the subject, by the experiment's name.
    """
    from dynvision.analysis.figures.phenomena import draw_phenomena
    from dynvision.analysis.phenomena import Tables, list_phenomena

    shown = {
        name: Tables(
            tuple(summary.experiment.parameters),
            summary.tables["tuning"],
            summary.tables["fits"],
            summary.tables["time_courses"],
            has_times_in_ms=summary.experiment.data_args.get("dt") is not None,
        )
        for name, summary in experiments.items()
    }
    table = list_phenomena(shown)
    details = {"rows": len(table), "experiments": list(shown), "phenomena": _plain_rows(table)}
    return Summary({"table": table}, {"phenomena": draw_phenomena(table)}, details)


def _plain_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as JSON-ready values, `None` for NaN."""
    rows = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    return [{str(name): value for name, value in row.items()} for row in rows]
