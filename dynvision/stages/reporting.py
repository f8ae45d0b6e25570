"""The pages of summaries: reading what they are made from, and writing them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.errors import DamagedFileError, DynvisionError
from dynvision.films.encoding import read_about
from dynvision.paths import ALL_SUBJECTS, PHENOMENA
from dynvision.records import Record
from dynvision.reports.content import PAGE, Link, Page, Picture
from dynvision.reports.provenance import Source
from dynvision.stages.base import Stages
from dynvision.stimuli.noise import Noise
from dynvision.stimuli.presentation import Presentation, Segment
from dynvision.system.failures import explain_os_error
from dynvision.system.progress import say
from dynvision.targets import Target

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PAGE", "compose_page", "refresh_index"]

_STRIPS = ("stimuli", "stimulus")
"""How the names of pictures of what was shown begin, in the folder of a summary."""

_STILL = ("png", "jpg", "svg")
"""Kinds of pictures that do not move: a page does not move for those who asked their system for less motion."""


def compose_page(
    target: Target,
    record: Record,
    folder: Path,
    tables: Mapping[str, pd.DataFrame],
    stages: Stages,
) -> Page:
    """Compose the page of a summary.

    Args:
        target: The summary.
        record: Its record; every file that becomes part of the page is compared with it.
        folder: Where its files are now.
        tables: Its tables by name.
        stages: All stages, to find what it was made from.

    Raises:
        DamagedFileError: If a file is not the one that was written.
    """
    from dynvision.reports.composing import Material, compose_comparison, compose_experiment, compose_phenomena

    files, sources = record.check_files(folder), _find_sources(stages, record)
    experiment = stages[target.stage].config.experiments.get(target.key[1])
    subjects = {path.parent.name: f"../{path.parent.name}/{PAGE}" for path in folder.parent.glob(f"*/{PAGE}")}
    material = Material(
        str(target),
        record,
        tables,
        {name.removesuffix(".svg"): files.read(name) for name in record.files if name.endswith(".svg")},
        sources,
        record.details.get("parameters", ()),
        _find_presentations(sources),
        (experiment.description if experiment is not None else None) or "",
        _find_strips(folder),
        [Link("All reports", f"../../{PAGE}")],
        {name: address for name, address in subjects.items() if not name.startswith((".", ALL_SUBJECTS))},
    )
    if len(target.key) == 2:
        return compose_comparison(material)
    return compose_phenomena(material) if target.key[1] == PHENOMENA else compose_experiment(material)


def refresh_index(folder: Path) -> None:
    """Write the index of all pages; if that is not possible, say why: the summary itself is finished."""
    from dynvision.reports.index import write_index

    try:
        write_index(folder)
    except DynvisionError as error:
        say(str(error))
    except OSError as error:
        say(f"{folder}: the index of the pages could not be written: {explain_os_error(error)}")


def _find_sources(stages: Stages, record: Record) -> list[Source]:
    """Return everything that a summary was made from, the nearest first, each once.

    What was made again since with another content, or is gone, has no record, and what that was made from is not known.

    Args:
        stages: All stages.
        record: The record of the summary.
    """
    found: dict[str, Source] = {}
    pending = [record]
    while pending:
        one = pending.pop(0)
        for name, version in one.inputs.items():
            if name not in found:
                source = _read_source(stages, name, version)
                found[name] = Source(name, version, source)
                if source is not None:
                    pending.append(source)
    return list(found.values())


def _read_source(stages: Stages, name: str, version: str) -> Record | None:
    """Return the record of a target if it has this version; `None` if it has another one or cannot be read."""
    key, _, partition = name.partition(":")
    target = Target(tuple(key.split("/")), partition or None)
    if target.stage not in stages:
        return None
    with contextlib.suppress(DamagedFileError, OSError):
        record = stages[target.stage].read_record(target)
        if record is not None and record.data_version == version:
            return record
    return None


def _find_presentations(sources: Sequence[Source]) -> dict[str, Presentation]:
    """Return what each condition showed, as the records of responses say, by the condition's text."""
    found = {}
    for source in sources:
        settings = source.record.config.get("presentation") if source.record is not None else None
        if settings is not None:
            found[source.target.partition(":")[2]] = _read_presentation(settings)
    return found


def _read_presentation(settings: Mapping[str, Any]) -> Presentation:
    """Read a presentation from the settings in a record."""
    segments = tuple(
        Segment(**{**one, "noise": None if one.get("noise") is None else Noise(**one["noise"])})
        for one in settings["segments"]
    )
    return Presentation(**{**settings, "segments": segments})


def _find_strips(folder: Path) -> list[Picture]:
    """Return the pictures of what was shown that lie in the folder of a summary; they are no files of its record."""
    pictures = []
    for path in sorted(folder.iterdir()):
        kind = path.suffix[1:].lower()
        if path.stem.startswith(_STRIPS) and kind in _STILL and (kind == "svg" or _is_whole(path)):
            alt = "Film strips of what was shown: a row for each of some conditions, a frame for each of some steps."
            alt = read_about(path) or alt
            caption = (
                "The frames as the network got them, with their contrast and noise. What lies beyond black and white "
                "is drawn as black and white. Large frames are drawn smaller, by the mean of neighbouring pixels, "
                "which weakens noise."
            )
            pictures.append(Picture("What was shown", alt, caption, path.read_bytes(), kind, path.name))
    return pictures


def _is_whole(path: Path) -> bool:
    """Tell whether a picture can be opened; one that was cut off is left out."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.verify()
    except (OSError, SyntaxError, ValueError):
        return False
    return True
