"""The pages of summaries: reading what they are made from, and writing them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.errors import DamagedFileError, DynvisionError
from dynvision.paths import ALL_SUBJECTS, PHENOMENA
from dynvision.records import Record
from dynvision.reports.content import PAGE, Link, Page, Picture
from dynvision.reports.embedding import TYPES
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

_STRIPS = "stimulus"
"""How the names of pictures of what was shown begin, in the folder of a summary or in a folder of that name in it."""


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
        _find_strips(folder, list(record.files), files.read),
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


def _find_strips(folder: Path, names: Sequence[str], read: Callable[[str], bytes]) -> list[Picture]:
    """Return the pictures of what was shown that lie in the folder of a summary.

    Args:
        folder: The folder, to look for pictures that its record does not name.
        names: The files that its record names.
        read: Reads one of these.
    """
    pictures = []
    for name, content in [*_read_named(names, read), *_read_others(folder, names)]:
        kind = name.rpartition(".")[2].lower()
        if kind in (*TYPES, "svg"):
            title = Path(name).stem.replace("_", " ")
            alt = f"Film strip of what was shown: {title}. A row for each condition and image, one frame for each step."
            caption = "The frames as the network got them, with their contrast and noise."
            pictures.append(Picture(title.capitalize(), alt, caption, content, kind, name))
    return pictures


def _read_named(names: Sequence[str], read: Callable[[str], bytes]) -> Iterator[tuple[str, bytes]]:
    for name in sorted(names):
        if name.startswith(_STRIPS) and not name.endswith((".csv", ".parquet")):
            yield name, read(name)


def _read_others(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for path in sorted([*folder.glob(f"{_STRIPS}*.*"), *folder.glob(f"{_STRIPS}/*.*")]):
        name = path.relative_to(folder).as_posix()
        if name not in names and path.is_file():
            yield name, path.read_bytes()
