"""The pages of summaries: of an experiment with one subject, of all its subjects, of the phenomena of a subject."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from dynvision.analysis.sweeps import choose_analysis
from dynvision.analysis.sweeps.experiment import ExperimentAnalysis
from dynvision.records import Record
from dynvision.reports.content import Code, Fact, Link, Page, Picture, Section
from dynvision.reports.groups import describe_groups, list_groups
from dynvision.reports.numbers import format_number
from dynvision.reports.phenomena import picture_phenomena
from dynvision.reports.provenance import Source, describe_origin, describe_time
from dynvision.reports.tables import list_fits, list_layer, list_main_numbers, list_phenomena
from dynvision.reports.timeline import draw_conditions, list_conditions
from dynvision.reports.words import describe_picture, list_headlines, list_notes, say_range
from dynvision.stimuli.presentation import Presentation

__all__ = ["Material", "compose_comparison", "compose_experiment", "compose_phenomena"]


@dataclass(frozen=True)
class Material:
    """What a page is made from; everything was read from files that were compared with their record.

    Attributes:
        target: The summary, as text.
        record: Its record.
        tables: Its tables by name.
        pictures: The SVG files by name, without their ending.
        sources: What it was made from, the nearest first.
        parameters: The swept parameters.
        presentations: What each condition shows, by the condition's text; without those that are not known any more.
        description: What the configuration says of the experiment.
        strips: Pictures of what was shown.
        way: The pages above this one.
        pages: The page of each subject that has one, as relative addresses.
    """

    target: str
    record: Record
    tables: Mapping[str, pd.DataFrame]
    pictures: Mapping[str, bytes]
    sources: Sequence[Source]
    parameters: Sequence[str] = ()
    presentations: Mapping[str, Presentation] = field(default_factory=dict)
    description: str = ""
    strips: Sequence[Picture] = ()
    way: Sequence[Link] = ()
    pages: Mapping[str, str] = field(default_factory=dict)


def compose_experiment(material: Material) -> Page:
    """Compose the page of an experiment with one subject."""
    _, experiment, subject = material.target.split("/")
    tuning, details = material.tables["tuning"], material.record.details
    analysis, along, across = choose_analysis(material.parameters, tuning)
    result = ExperimentAnalysis(
        tuning,
        tuning,
        material.tables["fits"],
        material.tables["time_courses"],
        analysis,
        along,
        across,
        details.get("dt"),
        dict(material.presentations),
    )
    numbers = [list_main_numbers(tuning, material.parameters)]
    numbers += list_fits(result.fits, tuning, material.parameters)
    groups = material.tables.get("groups")
    if groups is not None:
        numbers.append(list_groups(groups))
    numbers += [list_layer(result, layer) for layer in result.layers]
    drawn = {name: _draw(result, name, content) for name, content in material.pictures.items() if name != "groups"}
    if groups is not None and "groups" in material.pictures:
        drawn["groups"] = _picture(
            "groups", describe_groups(groups, result.along, result.across), material.pictures["groups"]
        )
    courses = [drawn[name] for name in ("summary", "time_courses") if name in drawn]
    tuned = [drawn[name] for name in ("tuning", "heat_map", "groups") if name in drawn]
    sections = [
        _describe_stimulus(material, result.dt),
        Section("courses", "Time courses", pictures=courses),
        Section("tuning", "Tuning with fits", pictures=tuned),
        Section("numbers", "Numbers", tables=numbers),
        Section("notes", "Notes", notes=list(list_notes(result, details))),
    ]
    return _finish(
        material,
        f"{experiment}: {subject}",
        list_headlines(result),
        sections,
        [
            ("What was shown, and what came out", f'responses = dva.load("responses/{experiment}/{subject}")'),
            ("The images that were shown", "images = dva.images(responses)"),
            ("The numbers of this page", f'tuning = dva.load("{material.target}", table="tuning")'),
            ("What was fitted", f'fits = dva.load("{material.target}", table="fits")'),
        ],
    )


def compose_comparison(material: Material) -> Page:
    """Compose the page over all subjects of an experiment."""
    experiment = material.target.split("/")[1]
    table, fits = material.tables["table"], material.tables["fits"]
    _, along, across = choose_analysis(material.parameters, table)
    subjects = [str(name) for name in dict.fromkeys(table["subject"])]
    headlines = [Fact("subjects", str(len(subjects))), Fact("conditions", str(material.record.details["conditions"]))]
    if "accuracy" in table:
        parts = {name: table[table["subject"] == name] for name in subjects[:4]}
        headlines += [Fact(f"{name}: accuracy", say_range(part, along, "accuracy")) for name, part in parts.items()]
    texts = [f"{h.name} {h.value}" for h in headlines[2:]]
    drawn = "panels of accuracy, of what was fitted and of each layer"
    if across is not None:
        drawn = f"{'accuracy' if 'accuracy' in table else 'the last layer'}, a panel for each {across},"
    pictures = [
        Picture(
            "All subjects side by side",
            f"A colour for each of {', '.join(subjects)}; {drawn} against {along}. {'; '.join(texts)}.",
            "Points are measured, with standard errors; lines are fitted where a curve is. The legend names the "
            "subjects in the order of the tables.",
            content,
            address=f"{name}.svg",
        )
        for name, content in material.pictures.items()
    ]
    notes = [
        f"{name} has no accuracy: the labels of its images are not the classes of its network."
        for name in material.record.details.get("without_accuracy", ())
    ]
    notes.append("Standard errors and intervals are over images or trials, not over networks.")
    main = list_main_numbers(table, material.parameters, ("subject",))
    first_rows = {name: number for number, name in reversed(list(enumerate(table["subject"])))}
    linked = {first_rows[name]: address for name, address in material.pages.items() if name in first_rows}
    numbers = [dataclasses.replace(main, links=linked), *list_fits(fits, table, material.parameters)]
    sections = [
        _describe_stimulus(material, None),
        Section("tuning", "Tuning with fits", pictures=pictures),
        Section("numbers", "Numbers", tables=numbers),
        Section("notes", "Notes", notes=notes),
    ]
    loads = [
        ("The numbers of this page", f'table = dva.load("{material.target}")'),
        ("What was fitted", f'fits = dva.load("{material.target}", table="fits")'),
    ]
    return _finish(material, f"{experiment}: all subjects", headlines, sections, loads)


def compose_phenomena(material: Material) -> Page:
    """Compose the page of the phenomena of a subject."""
    subject = material.target.split("/")[2]
    table = material.tables["table"]
    read = int(table["value"].notna().sum())
    drawn = [picture_phenomena(table, content) for name, content in material.pictures.items() if name == "phenomena"]
    sections = [
        *([Section("cortex", "Beside visual cortex", pictures=drawn)] if drawn else []),
        Section(
            "numbers",
            "Numbers",
            (
                "Each number is read from one experiment of the subject. What these numbers are in cortex stands, with "
                "sources, in the documentation: What the networks show.",
            ),
            tables=[list_phenomena(table)],
        ),
    ]
    headlines = [Fact("numbers that were read", f"{read} of {len(table)}")]
    loads = [("The numbers of this page", f'phenomena = dva.load("{material.target}")')]
    return _finish(material, f"Phenomena of visual cortex: {subject}", headlines, sections, loads)


def _describe_stimulus(material: Material, dt: float | None) -> Section:
    """Describe what was shown: film strips if there are some, the timeline, the conditions."""
    if not material.presentations:
        text = "What was shown is not known any more: the responses were made again since, or are gone."
        return Section("stimulus", "Stimulus", (text,), pictures=material.strips)
    pictures = [*material.strips, draw_conditions(material.presentations, dt)]
    table = list_conditions(material.presentations, has_one_subject="subject" not in material.tables["fits"])
    return Section("stimulus", "Stimulus", pictures=pictures, tables=[table])


def _draw(result: ExperimentAnalysis, name: str, content: bytes) -> Picture:
    return _picture(name, describe_picture(result, name), content)


def _picture(name: str, described: tuple[str, str, str], content: bytes) -> Picture:
    title, alt, caption = described
    return Picture(title, alt, caption, content, address=f"{name}.svg")


def _finish(
    material: Material,
    title: str,
    headlines: Sequence[Fact],
    sections: Sequence[Section],
    loads: Sequence[tuple[str, str]],
) -> Page:
    """Add to a page what all pages say: what it was made from, how to make it again, how to load it."""
    record = material.record
    python = "\n".join(["import dynvision_assets as dva", "", *(f"# {text}\n{line}" for text, line in loads)])
    again = Section(
        "again",
        "Make it again",
        ("In the folder that holds data/. Only what is not up to date any more is made again.",),
        codes=[
            Code("Say whether it is up to date, and why it is not", f"dynvision status {material.target}"),
            Code("Make it, and whatever it is made from", f"dynvision make {material.target}"),
            Code("Compare every byte with its record", f"dynvision verify {material.target}"),
            Code("Load it in Python", python),
        ],
    )
    made = describe_time(record.created)
    lead = material.description or f"Made {made}, from {format_number(len(material.sources))} inputs."
    return Page(
        title,
        material.target,
        lead,
        headlines,
        [*sections, describe_origin(record, material.sources), again],
        material.way,
        [Link(name, name) for name in sorted([*record.files, "record.json"])],
        record.data_version,
    )
