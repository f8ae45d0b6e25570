"""Commands that show what a network is shown: `preview`, and `show --stimulus`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dynvision.errors import ConfigError
from dynvision.system.escaping import show_text
from dynvision_assets.commands.completion import ExperimentName, SubjectName
from dynvision_assets.commands.support import json_option, open_workspace, print_json, readable_errors

if TYPE_CHECKING:
    from dynvision.films.film import Film
    from dynvision.targets import Target
    from dynvision.workspace import Workspace

__all__ = ["parse_images", "preview", "show_stimuli"]

ANIMATED = 24
"""Conditions of a preview that have an animation, if no condition is named; drawing one takes a second."""

ON_THE_SHEET = 40
"""Conditions on the sheet of a preview."""

LARGEST_SHEET = 2_000_000
"""Bytes of it."""

PREVIEW = """Draw what an experiment of config_experiments.yaml will show, before anything is computed.

Every condition has a film strip, CONDITION.png, and an animation, CONDITION.webp; sheet.png has a row for each
condition, of more than 40 for 40 of them, evenly chosen. The images are some of the dataset's, if they are in data/raw
already, otherwise test gratings. Contrast, noise and void are as the network will get them, on the timeline of a trial.

\b
Examples:
  dynvision preview contrast
  dynvision preview masking --subject rcnn_gratings --out masking
  dynvision preview contrast --condition 0.4 --images 6

Of more than 24 conditions, 24 have an animation; name others with --condition. The files are in data/previews/, unless
--out names another folder. Only earlier films are replaced.
"""


@click.command(help=PREVIEW, short_help="Draw what an experiment will show, before anything is computed.")
@click.argument("experiment", type=ExperimentName())
@click.option("--subject", type=SubjectName(), help="Whose images and sensor noise; by default the first subject's.")
@click.option("--condition", "conditions", multiple=True, help="Only this condition; can be given several times.")
@click.option("--images", type=click.IntRange(1, 12), default=3, show_default=True, help="How many trials are shown.")
@click.option("--out", type=click.Path(path_type=Path), help="The folder of the files.")
@json_option
def preview(
    experiment: str, subject: str | None, conditions: tuple[str, ...], images: int, out: Path | None, as_json: bool
) -> None:
    """Draw what an experiment will show."""
    with readable_errors():
        from dynvision.stages.previewing import open_preview

        workspace = open_workspace()
        shown = open_preview(workspace.stages, experiment, subject, conditions, images)
        folder = out or workspace.paths.previews(experiment, shown.subject)
        files = _write_preview(shown.films, folder, f"{experiment}, {shown.subject}", animates_all=bool(conditions))
        if as_json:
            print_json({"subject": shown.subject, "images": shown.images, "files": [str(file) for file in files]})
            return
        click.echo(f"{experiment}, {shown.subject}: {_count(len(shown.films))}, shown with {show_text(shown.images)}")
        click.echo(f"sheet: {files[0]}")
        click.echo(f"strips: {folder / '*.png'}")
        click.echo(f"animations: {folder / '*.webp'}")


def show_stimuli(workspace: Workspace, targets: Sequence[Target], images: str, out: Path | None, as_json: bool) -> None:
    """Write strip and animation of what was shown in recorded conditions, and their time courses, and print where.

    Args:
        workspace: The workspace.
        targets: The conditions.
        images: See `parse_images`.
        out: The file, `.png` for the strip or `.webp`, `.gif` for the animation; without, all below `data/films/`.
        as_json: Print JSON.

    Raises:
        ConfigError: If a target has no film, or another file is in the way.
    """
    from dynvision.films.encoding import encode_picture
    from dynvision.films.film import FORMS
    from dynvision.stages.recorded.films import draw_course

    if out is not None and len(targets) > 1:
        raise ConfigError(f"--out {out} is one file, and these are {len(targets)} conditions. Name one, or no file.")
    if out is not None and out.suffix.lower() not in FORMS:
        raise ConfigError(f"--out {out}: the strip is a .png, the animation a .webp or .gif")
    files = []
    for target in targets:
        film = workspace.stage(target).film(target, parse_images(images))
        if out is not None:
            files.append(_save(film, out))
            continue
        folder, name = workspace.paths.output("films", *target.key[1:]), str(target.partition)
        files += [_save(film, folder / f"{name}{form}") for form in (".png", ".webp")]
        (record,) = workspace.stage(target).require([target])
        files.append(_write(folder / f"{name}_time_course.png", encode_picture(draw_course(record))))
    if as_json:
        print_json([{"path": str(file), "bytes": file.stat().st_size} for file in files])
        return
    for file in files:
        click.echo(f"{file}  ({file.stat().st_size / 1e3:,.0f} kB)")


def parse_images(text: str) -> int | list[int]:
    """Read how many images are shown (`3`), or which samples (`12,40`, or `12,` for one).

    Raises:
        ConfigError: If it is neither.
    """
    parts = [part.strip() for part in text.split(",")]
    numbers = [part for part in parts if part]
    if not numbers or not all(part.isascii() and part.isdigit() for part in numbers):
        raise ConfigError(f"--images {text}: write how many images (3), or the samples (12,40; one of them as 12,)")
    return int(numbers[0]) if len(parts) == 1 else [int(number) for number in numbers]


def _write_preview(films: dict[str, Film], folder: Path, title: str, animates_all: bool) -> list[Path]:
    """Write the films of all conditions, and the sheet, which is the first of the files."""
    from dynvision.films.choosing import pick_evenly
    from dynvision.films.encoding import encode_picture
    from dynvision.films.strip import draw_sheet

    names = list(films)
    rows = pick_evenly(names, ON_THE_SHEET)
    title += "" if len(rows) == len(names) else f" ({len(rows)} of {len(names)} conditions)"
    strips = [dataclasses.replace(films[name].first(1).strip(), title=name) for name in rows]
    files = [_write(folder / "sheet.png", encode_picture(draw_sheet(strips, title), most_bytes=LARGEST_SHEET))]
    for name in names:
        files.append(_save(films[name], folder / f"{name}.png"))
    for name in names if animates_all else pick_evenly(names, ANIMATED):
        files.append(_save(films[name], folder / f"{name}.webp"))
    return files


def _count(conditions: int) -> str:
    return f"{conditions} condition" + ("" if conditions == 1 else "s")


def _save(film: Film, path: Path) -> Path:
    try:
        return film.save(path)
    except FileExistsError as error:
        raise ConfigError(str(error)) from error


def _write(path: Path, content: bytes) -> Path:
    from dynvision.films.encoding import write_film

    try:
        return write_film(path, content)
    except FileExistsError as error:
        raise ConfigError(str(error)) from error
