"""The index of all pages: which summaries there are, with the numbers that matter most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dynvision.analysis.sweeps import choose_analysis
from dynvision.errors import DamagedFileError
from dynvision.paths import ALL_SUBJECTS, PHENOMENA
from dynvision.records import Record, read_record
from dynvision.reports.content import PAGE, Code, Fact, Page, Section, Table
from dynvision.reports.numbers import NONE, format_interval, format_number
from dynvision.reports.provenance import describe_time
from dynvision.reports.rendering import says_stale, write_page

__all__ = ["write_index"]


@dataclass(frozen=True)
class _Entry:
    """A summary in the index.

    Attributes:
        record: Its record.
        has_page: Whether it has a page.
        is_stale: Whether the page says that it is not up to date.
    """

    record: Record
    has_page: bool
    is_stale: bool


_Entries = Mapping[tuple[str, str], _Entry]

_MARKS = ("c50", "half_point")
_MOST_MARKS = 4
_MOST_ROUNDS = 50
_NOT_UP_TO_DATE = ", not up to date"


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
        found = _find_summaries(folder)
        if found == before:
            break
        write_page(_compose(*found), path)
        before = found
    return path


def _find_summaries(folder: Path) -> tuple[dict[tuple[str, str], _Entry], list[str]]:
    """Return each summary by experiment and subject, and the names of those whose record cannot be read."""
    found, damaged = {}, []
    for path in sorted(folder.glob("*/*/record.json")):
        if path.parent.name.startswith("."):
            continue  # It is being written.
        try:
            record = read_record(path)
        except (DamagedFileError, OSError):
            damaged.append(f"{path.parent.parent.name}/{path.parent.name}")
            continue
        if record is not None and record.target.startswith("summary/"):
            page = path.parent / PAGE
            found[path.parent.parent.name, path.parent.name] = _Entry(record, page.is_file(), says_stale(page))
    return found, damaged


def _compose(entries: _Entries, damaged: Sequence[str]) -> Page:
    experiments = list(dict.fromkeys(experiment for experiment, _ in entries))
    ordered = [name for name in experiments if name != PHENOMENA] + [PHENOMENA] * (PHENOMENA in experiments)
    sections = [
        Section(
            f"experiment-{number}",
            "Phenomena of visual cortex" if name == PHENOMENA else name,
            tables=[_list_summaries(name, {s: entry for (e, s), entry in entries.items() if e == name})],
        )
        for number, name in enumerate(ordered)
    ]
    if damaged:
        text = f"The record of {', '.join(damaged)} cannot be read."
        sections.append(Section("damaged", "Damaged", (text,), codes=[Code("Say what is wrong", "dynvision status")]))
    if not all(entry.has_page for entry in entries.values()):
        sections.append(
            Section("missing", "Without a page", codes=[Code("Write the pages that are missing", "dynvision report")])
        )
    if entries:
        text = "A page says what was known when it was written. Settings and inputs may have changed since."
        again = [
            Code("Say what is not up to date", "dynvision status"),
            Code("Write all pages again", "dynvision report"),
        ]
        sections.append(Section("again", "Up to date?", (text,), codes=again))
    newest = max((entry.record.created for entry in entries.values()), default="")
    headlines = [Fact("experiments", str(len([e for e in experiments if e != PHENOMENA])))]
    headlines.append(Fact("summaries", str(len(entries))))
    if newest:
        headlines.append(Fact("the newest was made", describe_time(newest)))
    lead = "" if entries or damaged else "Nothing has been summarized yet."
    return Page("Reports", "data/reports", lead, headlines, sections)


def _list_summaries(experiment: str, summaries: Mapping[str, _Entry]) -> Table:
    is_phenomena = experiment == PHENOMENA
    rows, links = [], {}
    order = sorted(summaries, key=lambda name: (name != ALL_SUBJECTS, name))
    for number, subject in enumerate(order):
        record = summaries[subject].record
        if summaries[subject].has_page:
            links[number] = f"{experiment}/{subject}/{PAGE}"
        name = "all subjects" if subject == ALL_SUBJECTS else subject
        made = describe_time(record.created) + _NOT_UP_TO_DATE * summaries[subject].is_stale
        if is_phenomena:
            values = record.details.get("phenomena", [])
            read = sum(row.get("value") is not None for row in values)
            rows.append([name, f"{read} of {len(values)}", made])
        else:
            conditions = format_number(record.details.get("conditions"))
            rows.append([name, conditions, _say_accuracy(record.details), _say_marks(record.details), made])
    head = ["subject", *(["numbers read"] if is_phenomena else ["conditions", "accuracy", "fitted"]), "made"]
    caption = "Subjects" if is_phenomena else f"Summaries of {experiment}"
    return Table(caption, head, rows, words=() if is_phenomena else (3,), links=links)


def _say_accuracy(details: Mapping[str, Any]) -> str:
    """Say the lowest and the highest accuracy of all conditions and subjects."""
    values = [row["accuracy"] for row in details.get("tuning", ()) if row.get("accuracy") is not None]
    return f"{format_number(min(values))} to {format_number(max(values))}" if values else NONE


def _say_marks(details: Mapping[str, Any]) -> str:
    """Say the half points of the curves that were fitted to accuracy and to peaks; of several subjects the former.

    With two parameters there is one for each level of the second; the page has them all.
    """
    rows: Sequence[Mapping[str, Any]] = details.get("tuning", ())
    if not rows or len(details.get("parameters", ())) != 1:
        return NONE
    _, along, _ = choose_analysis(details["parameters"], rows[0])
    numbers = [row[along] for row in rows if isinstance(row[along], int | float) and row[along] > 0]
    texts = []
    for row in sorted(details.get("fits", ()), key=lambda row: row.get("measure") != "accuracy"):
        is_main = row.get("parameter") in _MARKS and row.get("measure") in ("response", "accuracy")
        is_accuracy = row.get("measure") == "accuracy"
        if not is_main or row.get("value") is None or not numbers or ("subject" in row and not is_accuracy):
            continue
        value, low, high = float(row["value"]), row.get("low"), row.get("high")
        name = row.get("subject") or ("accuracy" if is_accuracy else row["layer"])
        symbol = str(row["parameter"]).replace("_", " ")
        inside = min(numbers) <= value <= max(numbers)
        bound = f"> {max(numbers):g}" if value > max(numbers) else f"< {min(numbers):g}"
        texts.append(f"{name} {symbol} {format_interval(value, low, high) if inside else bound}")
    left = len(texts) - _MOST_MARKS
    return "; ".join([*texts[:_MOST_MARKS], *([f"{left} more"] if left > 0 else [])]) or NONE
