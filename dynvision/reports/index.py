"""The index of all pages: which summaries there are, with the numbers that matter most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynvision.errors import DamagedFileError
from dynvision.paths import ALL_SUBJECTS, PHENOMENA
from dynvision.records import Record, read_record
from dynvision.reports.content import PAGE, Code, Fact, Page, Section, Table
from dynvision.reports.numbers import NONE, format_interval, format_number
from dynvision.reports.provenance import describe_time
from dynvision.reports.rendering import write_page

__all__ = ["write_index"]

_MARKS = ("c50", "half_point")
_MOST_ROUNDS = 50


def write_index(folder: Path) -> Path:
    """Write the index of the pages below a folder. Several processes may do so at the same time.

    Whoever wrote last looks again afterwards, and writes once more if another summary was finished meanwhile. So the
    index always ends with all of them, without a lock.

    Args:
        folder: The folder of the reports.

    Returns:
        The page.

    Raises:
        ConfigError: If a file is in the way that this project did not write.
        OSError: If it cannot be written.
    """
    path = folder / PAGE
    before = None
    for _ in range(_MOST_ROUNDS):
        records = _find_records(folder)
        if records == before:
            break
        write_page(_compose(folder, records), path)
        before = records
    return path


def _find_records(folder: Path) -> dict[tuple[str, str], tuple[Record, bool]]:
    """Return the record of each summary, and whether it has a page, by experiment and subject."""
    found = {}
    for path in sorted(folder.glob("*/*/record.json")):
        if path.parent.name.startswith("."):
            continue  # It is being written.
        try:
            record = read_record(path)
        except (DamagedFileError, OSError):
            continue  # `dynvision status` says what is wrong with it.
        if record is not None and record.target.startswith("summary/"):
            found[path.parent.parent.name, path.parent.name] = (record, (path.parent / PAGE).is_file())
    return found


def _compose(folder: Path, records: Mapping[tuple[str, str], tuple[Record, bool]]) -> Page:
    experiments = list(dict.fromkeys(experiment for experiment, _ in records))
    ordered = [name for name in experiments if name != PHENOMENA] + [PHENOMENA] * (PHENOMENA in experiments)
    sections = [
        Section(
            f"experiment-{number}",
            "Phenomena of visual cortex" if name == PHENOMENA else name,
            tables=[_list_summaries(name, {s: entry for (e, s), entry in records.items() if e == name})],
        )
        for number, name in enumerate(ordered)
    ]
    without = [record.target for record, has_page in records.values() if not has_page]
    if without:
        sections.append(
            Section("missing", "Without a page", codes=[Code("Write the pages that are missing", "dynvision report")])
        )
    newest = max((record.created for record, _ in records.values()), default="")
    headlines = [Fact("experiments", str(len([e for e in experiments if e != PHENOMENA])))]
    headlines.append(Fact("summaries", str(len(records))))
    if newest:
        headlines.append(Fact("the newest was made", describe_time(newest)))
    lead = "" if records else "Nothing has been summarized yet."
    return Page("Reports", "data/reports", lead, headlines, sections)


def _list_summaries(experiment: str, summaries: Mapping[str, tuple[Record, bool]]) -> Table:
    is_phenomena = experiment == PHENOMENA
    rows, links = [], {}
    order = sorted(summaries, key=lambda name: (name != ALL_SUBJECTS, name))
    for number, subject in enumerate(order):
        record, has_page = summaries[subject]
        if has_page:
            links[number] = f"{experiment}/{subject}/{PAGE}"
        name = "all subjects" if subject == ALL_SUBJECTS else subject
        made = describe_time(record.created)
        if is_phenomena:
            values = record.details.get("phenomena", [])
            read = sum(row.get("value") is not None for row in values)
            rows.append([name, f"{read} of {len(values)}", made])
        else:
            is_whole = subject != ALL_SUBJECTS
            conditions = format_number(record.details.get("conditions"))
            accuracy = _say_accuracy(record.details) if is_whole else NONE
            rows.append([name, conditions, accuracy, _say_marks(record.details) if is_whole else NONE, made])
    head = ["subject", *(["numbers read"] if is_phenomena else ["conditions", "accuracy", "fitted"]), "made"]
    caption = "Subjects" if is_phenomena else f"Summaries of {experiment}"
    return Table(caption, head, rows, words=() if is_phenomena else (3,), links=links)


def _say_accuracy(details: Mapping[str, Any]) -> str:
    """Say the lowest and the highest accuracy of all conditions."""
    values = [row["accuracy"] for row in details.get("tuning", ()) if row.get("accuracy") is not None]
    return f"{format_number(min(values))} to {format_number(max(values))}" if values else NONE


def _say_marks(details: Mapping[str, Any]) -> str:
    """Say the half points of the curves that were fitted to peaks and to accuracy."""
    rows: Sequence[Mapping[str, Any]] = details.get("fits", ())
    levels = [row[name] for row in details.get("tuning", ()) for name in details.get("parameters", ())[:1]]
    numbers = [level for level in levels if isinstance(level, int | float) and level > 0]
    texts = []
    for row in rows:
        is_main = row.get("parameter") in _MARKS and row.get("measure") in ("response", "accuracy")
        if not is_main or row.get("value") is None or not numbers:
            continue
        value, low, high = float(row["value"]), row.get("low"), row.get("high")
        name = "accuracy" if row["measure"] == "accuracy" else row["layer"]
        symbol = str(row["parameter"]).replace("_", " ")
        inside = min(numbers) <= value <= max(numbers)
        bound = f"> {max(numbers):g}" if value > max(numbers) else f"< {min(numbers):g}"
        texts.append(f"{name} {symbol} {format_interval(value, low, high) if inside else bound}")
    return "; ".join(texts[:4]) or NONE
