"""The records of responses: written next to the responses, put in place with them, and brought up to date."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.analysis.courses import Course, Showing, find_extreme
from dynvision.config.sections.experiments import Readout
from dynvision.errors import DamagedFileError
from dynvision.experiments.details import ResponseDetails
from dynvision.experiments.order import RecordedSweep
from dynvision.experiments.readout import LABELS_MATCH
from dynvision.experiments.stores.journal import JOURNAL
from dynvision.experiments.stores.layout import REST
from dynvision.experiments.stores.store import (
    PENDING,
    RECORD,
    consolidate_store,
    digest_content,
    discard_partial,
    partial_path,
    reject_partial,
    verify_store,
)
from dynvision.experiments.stores.writer import StoreWriter
from dynvision.records import Record, make_record
from dynvision.stages.recorded.films import FILM
from dynvision.stimuli.presentation import Presentation
from dynvision.system.file_digests import digest_files, list_files
from dynvision.system.files import read_json, replace_directory, sync_tree, write_json

if TYPE_CHECKING:
    import xarray

__all__ = ["describe_responses", "put_in_place", "read_out_again"]


def describe_responses(
    writer: StoreWriter, sweep: RecordedSweep, readout: Readout, presentation: Presentation
) -> dict[str, Any]:
    """Describe the responses to one condition: `ResponseDetails`, and facts for people.

    Args:
        writer: The writer of the condition.
        sweep: The recording that it was part of.
        readout: How predictions become one accuracy.
        presentation: What was shown when.
    """
    from dynvision.experiments.reading import open_root

    averages = {layer: mean for layer, mean in writer.averages.items() if "/" not in layer}
    resting = {layer: writer.averages[f"{REST}/{layer}"] for layer in averages}
    showing = Showing.of(presentation)
    details = ResponseDetails(
        samples=writer.layout.n_samples,
        n_timesteps=writer.layout.n_timesteps,
        **_read_out(open_root(writer.folder), readout, presentation),
        mean_response={layer: mean.tolist() for layer, mean in averages.items()},
        peak_response={layer: find_extreme(mean, resting[layer], showing) for layer, mean in averages.items()},
        resting_response={layer: float(mean.mean()) for layer, mean in resting.items()},
    )
    courses = {layer: Course(mean - resting[layer], showing) for layer, mean in averages.items()}
    return {
        **details.to_dict(),
        "latency": _finite({layer: float(course.latency()) for layer, course in courses.items()}),
        "time_to_peak": _finite({layer: float(course.time_to_peak()) for layer, course in courses.items()}),
        "dt": sweep.dt,
        LABELS_MATCH: sweep.labels_match,
        "image_contrast": float(writer.image_contrasts.mean()),
        "conditions_together": len(sweep.writers),
        **sweep.making,
        "steps_computed": writer.steps_computed,
        "steps_naive": sweep.steps_naive,
    }


def _finite(numbers: dict[str, float]) -> dict[str, float]:
    """Leave out the numbers, in steps, of layers that do not respond."""
    return {layer: number for layer, number in numbers.items() if math.isfinite(number)}


def put_in_place(store: Path) -> Record:
    """Read back what was written for a store, and put it in its place.

    Args:
        store: Where the store will be.

    Returns:
        The record that was written with it, and how many bytes it takes.

    Raises:
        DamagedFileError: If what is read back is not what was written.
    """
    folder = partial_path(store)
    try:
        pending = verify_store(folder)
    except DamagedFileError:
        reject_partial(store)  # so that damaged responses are never resumed
        raise
    consolidate_store(folder)
    record = Record.from_dict(pending["record"], folder)
    (folder / JOURNAL).unlink(missing_ok=True)
    files = digest_files(folder, list_files(folder, [RECORD, FILM]))
    details = {**record.details, "bytes": sum(digest.n_bytes for digest in files.values())}
    record = dataclasses.replace(record, details=details, files=files)
    write_json(folder / RECORD, record.to_dict())
    sync_tree(folder)
    replace_directory(folder, store)
    return record


def read_out_again(
    store: Path, record: Record, settings: dict[str, Any], readout: Readout, presentation: Presentation
) -> Record | None:
    """Bring accuracy and chance in a record up to date with another readout.

    Args:
        store: A store in place.
        record: Its record; only its readout differs from the settings.
        settings: The settings of the new record.
        readout: How predictions become one accuracy.
        presentation: What was shown when.

    Returns:
        The new record; `None` if the store is damaged, so that the stimuli have to be shown again.
    """
    from dynvision.experiments.reading import open_store

    note = read_json(store / PENDING)
    if note is None:
        return None
    try:
        scored = _read_out(open_store(store).to_dataset(), readout, presentation)
    except (OSError, ValueError, LookupError):
        return None
    discard_partial(store)
    again = make_record(
        record.target,
        code_version=record.code_version,
        config=settings,
        inputs=record.inputs,
        content=digest_content(note["digests"]),
        details={**record.details, **scored},
        files=record.files,
    )
    write_json(store / RECORD, again.to_dict())
    return again


def _read_out(root: xarray.Dataset, readout: Readout, presentation: Presentation) -> dict[str, Any]:
    """Read accuracy and chance out of the scores in the root of a store."""
    from dynvision.analysis.measures import score_responses

    over_time, numbers = score_responses(root, readout, presentation)
    return {
        "accuracy": numbers.get("accuracy"),
        "accuracy_over_time": None if over_time is None else over_time.tolist(),
        "chance": numbers.get("chance"),
        "readout": readout.model_dump(mode="json"),
    }
