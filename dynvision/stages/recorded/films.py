"""Films of responses: what the network was shown while they were recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dynvision.data.stores.base import StoredImages
from dynvision.errors import ConfigError
from dynvision.experiments.order import SweepOrder
from dynvision.films.choosing import pick_evenly
from dynvision.films.encoding import is_whole_film
from dynvision.records import Record
from dynvision.stimuli.noise import Noise
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.segments import Segment
from dynvision.system.files import write_bytes
from dynvision.system.progress import say

if TYPE_CHECKING:
    import xarray
    from PIL.Image import Image

    from dynvision.films.film import Film

__all__ = [
    "FILM",
    "FILMED",
    "TRIALS_SHOWN",
    "choose_trials_shown",
    "draw_course",
    "film_records",
    "find_film",
    "has_course_drawn",
    "read_presentation",
    "write_films",
]

FILM = "film.png"
"""The file of a store with its film strip. It is not among the files of the record, so that nothing depends on it."""

FILMED = 6
"""Conditions of a recording whose film strip is drawn; that of any other is drawn when it is asked for."""

TRIALS_SHOWN = 3

DRAWN_TOGETHER = 24
"""Of more conditions than these that were recorded together, those with a film strip have their time courses drawn."""

SLOW = 0.5
"""Seconds that a condition takes to record, of which a picture is a small part: then all time courses are drawn."""


def find_film(store: Path) -> Path | None:
    """Return the film strip in a store; `None` if there is none, or it is damaged."""
    return path if is_whole_film(path := store / FILM) else None


def write_films(
    order: SweepOrder, trials: npt.NDArray[np.int64], folders: Sequence[Path], dt: float | None = None
) -> None:
    """Draw the film strips of some conditions of a recording, evenly chosen, next to their responses.

    Args:
        order: What was recorded.
        trials: Which samples each trial shows, shape `[N, K]`.
        folders: Where the responses of each condition are written.
        dt: Milliseconds a step, as the recording says.
    """
    from dynvision.data.films.trials import film_images, load_images, name_samples

    images, chosen = order.images, trials[pick_evenly(range(len(trials)), TRIALS_SHOWN)]
    numbers = pick_evenly(range(len(order.conditions)), FILMED)
    try:
        names = name_samples(images.source, images.part, chosen)
        loaded = load_images(images.source, images.part, chosen, order.run.dtype)
        for condition, folder in ((order.conditions[number], folders[number]) for number in numbers):
            film = film_images(
                loaded,
                chosen[:, 0],
                condition.presentation,
                order.idle,
                images.source.normalize,
                names,
                condition.name,
                dt,
            )
            write_bytes(folder / FILM, film.encode("png"))
    except Exception as error:  # noqa: BLE001  # whatever is wrong with a picture, the responses are there
        say(f"{order.name}: the film strips could not be drawn ({type(error).__name__}: {error})")


def has_course_drawn(store: Path, details: Mapping[str, Any]) -> bool:
    """Whether the time courses of a condition are drawn when it is recorded; others are when they are asked for.

    Args:
        store: Where its responses are.
        details: The details of its record.
    """
    is_quick = details.get("seconds", SLOW) < SLOW
    return not is_quick or details.get("conditions_together", 1) <= DRAWN_TOGETHER or find_film(store) is not None


def draw_course(record: Record) -> Image:
    """Draw the time courses of one condition; see `draw_condition`.

    Args:
        record: The record of its responses.
    """
    from dynvision.analysis.figures.condition import draw_condition

    return draw_condition(
        record.details["mean_response"],
        record.details["accuracy_over_time"],
        record.target,
        read_presentation(record.config["presentation"]),
        record.details.get("dt"),
    )


def film_records(
    records: Sequence[Record], responses: xarray.Dataset, source: StoredImages, part: str, rows: Sequence[int]
) -> list[Film]:
    """Film trials of recorded responses, with the presentation, standardization and noise of the recording.

    Args:
        records: The records of the responses in some conditions of an experiment.
        responses: The root of one of them; all conditions have the same trials.
        source: The images that were shown.
        part: The part of them that was shown: `test`, or `images` of a stimulus set.
        rows: Which trials, counted from 0.

    Returns:
        The film of each condition.
    """
    from dynvision.data.films.trials import film_images, load_images, name_samples

    trials = _read_trials(responses, source, part, rows, records[0].target)
    config = records[0].config
    statistics = config.get("statistics")
    normalize = None if statistics is None else (statistics["mean"], statistics["std"])
    source = source.standardized_by(normalize)
    images, names = load_images(source, part, trials, config["run"]["dtype"]), name_samples(source, part, trials)
    return [
        film_images(
            images,
            trials[:, 0],
            read_presentation(record.config["presentation"]),
            record.config["idle"],
            normalize,
            names,
            record.target,
            record.details.get("dt"),
        )
        for record in records
    ]


def _read_trials(
    responses: xarray.Dataset, source: StoredImages, part: str, rows: Sequence[int], name: str
) -> npt.NDArray[np.int64]:
    """Return which samples some trials show, shape `[N, K]`."""
    from dynvision.stages.recorded.shown_images import find_samples

    trials: npt.NDArray[np.int64] = responses["sample"].values[list(rows)][:, None]
    if "image_source" in responses.variables:
        files = responses["image_source"].values[list(rows)]
        further = find_samples(files, source.samples(part)["source"], name)
        trials = np.concatenate([trials, further[:, 1:]], axis=1)
    return trials


def choose_trials_shown(samples: Sequence[int], wanted: int | Sequence[int], name: str) -> list[int]:
    """Choose trials by their number, evenly, or by their samples.

    Args:
        samples: The sample that names each trial.
        wanted: How many trials, or which samples.
        name: The target, for messages.

    Returns:
        The places of the trials, counted from 0.

    Raises:
        ConfigError: If a sample was not shown, or no trial is asked for.
    """
    if isinstance(wanted, int):
        if wanted < 1:
            raise ConfigError(f"{name}: {wanted} images cannot be shown; ask for 1 or more")
        return pick_evenly(range(len(samples)), wanted)
    places = {int(sample): place for place, sample in enumerate(samples)}
    unknown = next((sample for sample in wanted if sample not in places), None)
    if unknown is not None:
        some = ", ".join(str(sample) for sample in pick_evenly(list(places), 5))
        raise ConfigError(f"{name}: the sample {unknown} was not shown. There are {len(places)}, such as {some}.")
    return [places[sample] for sample in wanted]


def read_presentation(settings: Mapping[str, Any]) -> Presentation:
    """Read a presentation as records have it."""
    segments = tuple(
        Segment(**{**segment, "noise": None if segment["noise"] is None else Noise(**segment["noise"])})
        for segment in settings["segments"]
    )
    return Presentation(**{**settings, "segments": segments})
