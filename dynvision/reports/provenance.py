"""What a summary was made from, back to the first images: versions, settings, dates, and the machine."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynvision.records import Record
from dynvision.reports.content import Code, Fact, Section, Table
from dynvision.reports.numbers import format_number

__all__ = ["Source", "describe_origin", "describe_time"]

_NUMBERS_OF_PEOPLE = frozenset({"rows", "conditions", "accuracy", "chance", "dt"})
"""Details that stand elsewhere on the page."""

_SHOWN_ELSEWHERE = ("presentation", "condition")


@dataclass(frozen=True)
class Source:
    """Something that a summary was made from, directly or not.

    Attributes:
        target: Its target, as text.
        version: The data version that was used.
        record: Its record; `None` if it is not there any more, or was made again with another content.
    """

    target: str
    version: str
    record: Record | None

    @property
    def asset(self) -> str:
        """The asset that it is a part of."""
        return self.target.partition(":")[0]


def describe_origin(record: Record, sources: Sequence[Source]) -> Section:
    """Describe what a summary was made from.

    Args:
        record: The record of the summary.
        sources: Everything upstream, the nearest first.
    """
    facts = [
        Fact("data version", record.data_version, is_code=True),
        Fact("made", describe_time(record.created)),
        Fact("version of the stage's code", record.code_version),
    ]
    if "seconds" in record.details:
        facts.append(Fact("took", f"{format_number(record.details['seconds'])} s"))
    by_asset: dict[str, list[Source]] = {}
    for source in sources:
        by_asset.setdefault(source.asset, []).append(source)
    facts += _list_making(by_asset)
    codes = [Code("Settings of the summary", write_yaml(record.config), is_folded=True)] if record.config else []
    for asset, parts in by_asset.items():
        known = [part.record for part in parts if part.record is not None]
        if known:
            text = write_yaml(
                {**_common([_settings(one) for one in known]), "facts": _common([_facts(r) for r in known])}
            )
            codes.append(Code(f"Settings and facts of {asset}", text, is_folded=True))
    return Section(
        "origin",
        "What it was made from",
        ("A data version is a digest of everything that makes a result: its settings, its code and its inputs.",),
        facts,
        tables=[_list_sources(sources)] if sources else (),
        codes=codes,
    )


def describe_time(created: str) -> str:
    """Return a time as `2026-01-31 14:05 UTC`; another text as it is."""
    try:
        time = datetime.datetime.fromisoformat(created)
    except ValueError:
        return created
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def write_yaml(content: Mapping[str, Any]) -> str:
    """Return settings as YAML."""
    import yaml

    shown = {name: value for name, value in content.items() if value not in ({}, None)}
    return str(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100))


def _list_making(by_asset: Mapping[str, Sequence[Source]]) -> list[Fact]:
    """List the seeds, and the machines on which each input was computed."""
    facts = []
    for asset, parts in by_asset.items():
        known = [part.record for part in parts if part.record is not None]
        seeds = dict.fromkeys(str(one.config["seed"]) for one in known if "seed" in one.config)
        noises = [one.config["presentation"] for one in known if "presentation" in one.config]
        seeds |= dict.fromkeys(f"{one.get('noise_seed')} (noise)" for one in noises if one.get("sensor_noise"))
        machines = dict.fromkeys(text for one in known if (text := _say_machine(_facts(one))))
        if seeds:
            facts.append(Fact(f"seed of {asset}", ", ".join(seeds)))
        if machines:
            facts.append(Fact(f"machine of {asset}", "; ".join(machines)))
    return facts


def _say_machine(facts: Mapping[str, Any]) -> str:
    """Say where something was computed, as far as its record says so."""
    spelled = {"device": "{}", "threads": "{} threads", "torch": "torch {}"}
    return ", ".join(text.format(facts[name]) for name, text in spelled.items() if name in facts)


def _list_sources(sources: Sequence[Source]) -> Table:
    rows = []
    for source in sources:
        record = source.record
        if record is None:
            rows.append([source.target, source.version, "made again since, or gone", "", "", ""])
        else:
            facts = _facts(record)
            machine = _say_machine(facts)
            seconds = f"{format_number(facts['seconds'])}" if "seconds" in facts else ""
            made = describe_time(record.created)
            rows.append([source.target, source.version, made, record.code_version, machine, seconds])
    head = ["input", "data version", "made", "code", "machine", "seconds"]
    return Table("Everything that it was made from", head, rows, words=(4,), is_folded=len(rows) > 4)


def _settings(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.config.items() if name not in _SHOWN_ELSEWHERE}


def _facts(record: Record) -> dict[str, Any]:
    """Return the facts of a record that are one number or word, and its making if that is a table."""
    found: dict[str, Any] = {}
    for name, value in record.details.items():
        if isinstance(value, str | int | float) and name not in _NUMBERS_OF_PEOPLE:
            found[name] = value
    return found


def _common(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all of them have in common."""
    first, *others = parts
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}
