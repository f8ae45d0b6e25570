"""Previews: what an experiment will show, from its configuration alone."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dynvision.config.conditions import all_conditions, condition_text, parse_condition, presentation_of
from dynvision.config.subjects import choose_standardization
from dynvision.data.images.files import list_images
from dynvision.data.images.reading import read_image
from dynvision.data.images.stimulus_table import FILENAME, STIMULUS_ID, Columns, take_rows
from dynvision.data.sources.gratings import draw_grating
from dynvision.errors import DamagedFileError, DynvisionError, unknown_name
from dynvision.films.film import Film
from dynvision.stages.base import Stages
from dynvision.stages.links import choose_stimuli
from dynvision.stages.raw import RawStage
from dynvision.stimuli.presentation import Presentation
from dynvision.stimuli.rendering import film_pictures
from dynvision.targets import Target

__all__ = ["Preview", "open_preview"]

_MOST_FOLDERS = 2000
"""Folders that are looked into for images that nothing has been made from yet."""

_MOST_CLASSES = 24

Named = tuple[str, Path]


@dataclass(frozen=True)
class Preview:
    """What an experiment will show.

    Attributes:
        subject: Whose images, standardization and sensor noise are taken.
        films: By condition what it shows.
        images: What the images are, for people.
    """

    subject: str
    films: dict[str, Film]
    images: str


def open_preview(
    stages: Stages,
    experiment: str,
    subject: str | None = None,
    conditions: Sequence[str] = (),
    n_trials: int = 3,
) -> Preview:
    """Show an experiment without computing anything: a few images of its dataset, or gratings if there are none yet.

    Args:
        stages: The stages over the configuration.
        experiment: The experiment.
        subject: Whose images, standardization and sensor noise are taken; by default the first subject's.
        conditions: The conditions, as in targets; by default all.
        n_trials: How many trials are shown.

    Raises:
        UnknownNameError: If there is no such experiment or condition, or the subject does not take part in it.
    """
    raw = stages.of(RawStage)
    config = raw.config
    if experiment not in config.experiments:
        where = str(config.folder / "config_experiments.yaml")
        raise unknown_name("experiment", experiment, config.experiments, where)
    valid = config.subjects_of(experiment)
    subject = valid[0] if subject is None else subject
    if subject not in valid:
        raise unknown_name("subject", subject, valid, f"the experiment '{experiment}'")
    settings, shown = config.experiments[experiment], config.subjects[subject]
    chosen = [parse_condition(settings, text, experiment) for text in conditions] or all_conditions(settings)
    presentations = {condition_text(c): presentation_of(settings, c, shown) for c in chosen}
    per_trial = max(presentation.n_images for presentation in presentations.values())
    standardization = choose_standardization(config, shown)
    assert standardization is not None, "the configuration is checked: each subject has one"
    normalize = (standardization.statistics.mean, standardization.statistics.std)
    trials, names, about = _open_trials(raw, subject, n_trials, per_trial, len(normalize[0]))

    def film(condition: str, presentation: Presentation) -> Film:
        count = presentation.n_images
        return film_pictures(
            presentation,
            [image for trial in trials for image in trial[:count]],
            normalize=normalize,
            names=[name for trial in names for name in trial[:count]],
            title=f"{experiment}/{subject}: {condition}",
        )

    films = {condition: film(condition, presentation) for condition, presentation in presentations.items()}
    return Preview(subject, films, about)


def _open_trials(
    raw: RawStage, subject: str, n_trials: int, per_trial: int, channels: int
) -> tuple[list[list[Any]], list[list[str]], str]:
    """Return the images of trials `[H, W, C]`, their names, and what they are."""
    data, dataset = raw.config.data, raw.config.subjects[subject].dataset
    size, depth = data.data_resolution[dataset], data.bit_depth.get(dataset)
    try:
        chosen = _choose_trials(raw, subject, n_trials, per_trial)
        images = [[_read_image(path, channels, size, depth) for _, path in trial] for trial in chosen]
        has_any = next(_list_examples(raw, subject), None) is not None
        reason = f"a trial shows {per_trial}, and of {dataset} there are fewer to show" if has_any else ""
    except (DynvisionError, OSError, ValueError) as error:
        images, reason = [], f"the images of {dataset} cannot be read: {error}"
    if images:
        about = f"images of {dataset}"
        if _is_of_any_group(raw, subject):
            about += f", of any group, because its table has not been read yet (dynvision make raw/{dataset})"
        return images, [[name for name, _ in trial] for trial in chosen], about
    drawn = [[_draw_test_image(size, i / n_trials, k) for k in range(per_trial)] for i in range(n_trials)]
    reason = reason or f"there are no images of {dataset} yet (dynvision make raw/{dataset})"
    about = f"test gratings, because {reason}"
    tested = [[image[:, :, :channels] for _, image in trial] for trial in drawn]
    return tested, [[name for name, _ in trial] for trial in drawn], about


def _read_image(path: Path, channels: int, size: int, depth: int | None) -> Any:
    try:
        return read_image(path, channels, size, depth)
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{path}: {error}") from error


def _draw_test_image(size: int, turn: float, image: int) -> tuple[str, Any]:
    """Draw a grating whose orientation is another one for each trial, and for each of its images."""
    degrees = (180 * turn + 67 * image) % 180
    return f"{degrees:.0f} deg", draw_grating(size, degrees, 4, 0.0, 0.8)


def _choose_trials(raw: RawStage, subject: str, n_trials: int, per_trial: int) -> list[list[Named]]:
    """Choose the images of trials; none if there are too few.

    Each image of a trial is of another class than the one before it, if there are classes; the images of a set with
    frames are those of one stimulus.
    """
    dataset = raw.config.subjects[subject].dataset
    if dataset in (sets := raw.config.data.stimulus_sets) and sets[dataset].frames is not None:
        stimuli = [images for images in _list_stimuli(raw, subject) if len(images) >= per_trial]
        return [images[:per_trial] for images in stimuli[:n_trials]]
    found = list(itertools.islice(_list_examples(raw, subject), max(8, n_trials * per_trial)))
    if len(found) < per_trial:
        return []
    starts = np.unique(np.linspace(0, len(found) - 1, min(n_trials, len(found))).round().astype(int)).tolist()
    return [[found[(start + number) % len(found)] for number in range(per_trial)] for start in starts]


def _list_examples(raw: RawStage, subject: str) -> Iterator[Named]:
    """Yield images of a subject's classes, one of each class after the other; or the images of a stimulus set."""
    if raw.config.data.is_stimulus_set(raw.config.subjects[subject].dataset):
        yield from itertools.chain.from_iterable(_list_stimuli(raw, subject))
        return
    classes = list(itertools.islice(_list_classes(raw, subject), _MOST_CLASSES))
    for number in range(max((len(images) for _, images in classes), default=0)):
        yield from ((name, images[number]) for name, images in classes if number < len(images))


def _list_classes(raw: RawStage, subject: str) -> Iterator[tuple[str, Sequence[Path]]]:
    """Yield the name and the images of each class of a subject's group."""
    shown = raw.config.subjects[subject]
    target = Target((RawStage.name, shown.dataset), "test")
    folder, wanted = raw.output(target), raw.config.data.groups(shown.dataset)[shown.group]
    record = raw.read_record(target)
    if record is None:  # A folder's name may be the index of its class.
        for path, images in _walk(folder):
            if wanted is None or not path.name.isdigit() or int(path.name) in wanted:
                yield path.name, images
        return
    for entry in record.details["classes"]:
        if wanted is None or entry["index"] in wanted:
            path = folder / entry["folder"]
            yield str(entry["name"]), [path / name for name in list_images(path)]


def _list_stimuli(raw: RawStage, subject: str) -> list[list[Named]]:
    """Return the images of a subject's group of a stimulus set, those of each stimulus together."""
    shown = raw.config.subjects[subject]
    folder, table = _read_stimuli(raw, shown.dataset)
    if table is None:
        return [[(image.name, image) for image in images] for _, images in _walk(folder)]
    chosen = raw.config.data.column_group(shown.dataset, shown.group)
    if chosen is not None:
        where = f"{raw.config.folder / 'config_data.yaml'}: data_groups.{shown.dataset}.{shown.group}"
        table = take_rows(table, choose_stimuli(table, chosen.where, where))
    stimuli: dict[Any, list[Named]] = {}
    for stimulus, name in zip(table[STIMULUS_ID], table[FILENAME], strict=True):
        stimuli.setdefault(stimulus, []).append((str(stimulus), folder / name))
    return list(stimuli.values())


def _read_stimuli(raw: RawStage, dataset: str) -> tuple[Path, Columns | None]:
    """Return the folder of a stimulus set, and its table if that has been read."""
    target = Target((RawStage.name, dataset), "all")
    record = raw.read_record(target)
    return raw.output(target), None if record is None else raw.read_stimuli(target, record)


def _is_of_any_group(raw: RawStage, subject: str) -> bool:
    """Whether a subject is shown some rows of a table that has not been read yet."""
    shown = raw.config.subjects[subject]
    is_some = raw.config.data.column_group(shown.dataset, shown.group) is not None
    return is_some and _read_stimuli(raw, shown.dataset)[1] is None


def _walk(folder: Path) -> Iterator[tuple[Path, Sequence[Path]]]:
    """Yield each folder that holds images, in the order of the names, and its images."""
    walked = os.walk(folder)
    for directory, names, _ in itertools.islice(walked, _MOST_FOLDERS):
        names.sort()
        path = Path(directory)
        if images := list_images(path):
            yield path, [path / name for name in images]
