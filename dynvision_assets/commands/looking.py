"""Commands that only read: `list`, `status`, `verify`, `show`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dynvision.data.images.files import holds_image
from dynvision.errors import unknown_name
from dynvision.system.escaping import show_text
from dynvision.system.failures import explain_os_error
from dynvision.targets import begins_with
from dynvision_assets.commands.completion import TargetName
from dynvision_assets.commands.counting import STATES, count_states, explain_states
from dynvision_assets.commands.describing import describe_target, print_target
from dynvision_assets.commands.filming import show_stimuli
from dynvision_assets.commands.left_over import list_leftovers, print_leftovers
from dynvision_assets.commands.support import (
    FAILED,
    TARGETS,
    json_option,
    name_parts,
    open_workspace,
    parse_targets,
    print_json,
    readable_errors,
)

if TYPE_CHECKING:
    from dynvision.targets import Target
    from dynvision.workspace import Status, Workspace

__all__ = ["list_assets", "show", "status", "verify"]

LIST = """List the assets, and how many partitions of each are fresh (up to date), stale or missing.

\b
Examples:
  dynvision list                      everything
  dynvision list responses            one stage
  dynvision list responses/contrast   one experiment
  dynvision list --json | jq -r '.[] | select(.missing > 0) | .key'

With a PREFIX, experiments are listed with their descriptions. At the end stands what is on the disk, but no longer in
the configuration, with its size.
"""

STATUS = f"""Say why TARGETs are missing or stale, following their inputs back to the first cause.

Without a TARGET there is a line for each asset that is not up to date, with the first reason. If nothing has been built
of many assets of a stage, one line counts them. --all lists every target.

{TARGETS}

\b
Examples:
  dynvision status                                     what needs attention
  dynvision status --all                               a line for each target
  dynvision status summary/contrast/rcnn_gratings
  dynvision status --check responses/contrast/rcnn_gratings:0.4 && echo up to date

The exit code is 0; with --check, it is 1 if something is missing or stale.
"""

VERIFY = f"""Read every byte of TARGETs again, and compare them with their records.

{TARGETS}

\b
Examples:
  dynvision verify processed/gratings
  dynvision verify responses/contrast/rcnn_gratings:0.4

The exit code is 0 if everything is whole, otherwise 1.
"""

SHOW = f"""Show the record of a TARGET: settings, inputs, counts, shapes.

{TARGETS}

\b
Examples:
  dynvision show models/rcnn/gratings:all_s0
  dynvision show data/processed/gratings/test_all
  dynvision show --samples processed/gratings:test_all    every sample, and the image it was made from
  dynvision show --json responses/contrast/rcnn_gratings:0.4
  dynvision show --stimulus responses/contrast/rcnn_gratings:0.4    what was shown, and the time courses
  dynvision show --stimulus responses/contrast/rcnn_gratings:0.4 --images 12,40 --out film.webp

With --stimulus, a film strip and an animation of the frames that the network got, with their noise, and a picture of
the time courses are written to data/films/; with --out, the film alone. Only earlier films are replaced.
"""


@click.command("list", help=LIST, short_help="List the assets, and how much of each is up to date.")
@click.argument("prefix", required=False, default="", type=TargetName())
@json_option
def list_assets(prefix: str, as_json: bool) -> None:
    """List the assets, and how much of each is up to date."""
    with readable_errors():
        workspace = open_workspace()
        keys = [key for key in workspace.keys if begins_with("/".join(key), prefix)]
        left = [row for row in list_leftovers(workspace) if begins_with(row["key"], prefix)]
        if not keys and not left:
            raise unknown_name("asset", prefix, ["/".join(key) for key in workspace.keys])
        rows = count_states(workspace, keys)
        if as_json:
            print_json([*rows, *left])
            return
        width = max((len(row["key"]) for row in rows), default=0)
        for row in rows:
            counts = [f"{row[state]} {state}" for state in STATES if row[state]]
            noun = "partition: " if row["partitions"] == 1 else "partitions:"
            click.echo(f"{row['key']:{width}}  {row['partitions']:4} {noun} {', '.join(counts)}")
            if prefix and "description" in row:
                click.echo(f"  {show_text(row['description'])}")
        for note in _find_unconfigured(workspace):
            click.echo(note)
        print_leftovers(left)


@click.command(help=STATUS, short_help="Say why targets are missing or stale.")
@click.argument("targets", nargs=-1, metavar="[TARGET…]", type=TargetName())
@click.option("--all", "is_long", is_flag=True, help="List every target, also those that are up to date.")
@click.option("--check", is_flag=True, help="Exit with 1 if something is missing or stale.")
@json_option
def status(targets: tuple[str, ...], is_long: bool, check: bool, as_json: bool) -> None:
    """Say why targets are missing or stale."""
    with readable_errors():
        workspace = open_workspace()
        known: dict[Target, Status] = {}
        chosen = parse_targets(workspace, targets or ["/".join(key) for key in workspace.keys])
        states = {target: workspace.status(target, known) for target in chosen}
        fresh = sum(state.state == "fresh" for state in states.values())
        if as_json:
            print_json([{**name_parts(target), **vars(state)} for target, state in states.items()])
        elif targets or is_long:
            for target, state in states.items():
                if state.state != "fresh":
                    click.echo(f"{state.state:8} {target}: {show_text(state.reason)}")
                elif is_long:
                    click.echo(f"{state.state:8} {target}")
            click.echo(f"{fresh} up to date")
        else:
            for line in explain_states(states):
                click.echo(line)
            hint = "" if fresh == len(states) else "; every target: dynvision status --all"
            click.echo(f"{fresh} of {len(states)} up to date{hint}")
        if check and fresh < len(states):
            sys.exit(FAILED)


@click.command(help=VERIFY, short_help="Read targets again and compare them with their records.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…", type=TargetName())
@json_option
def verify(targets: tuple[str, ...], as_json: bool) -> None:
    """Read targets again and compare them with their records."""
    with readable_errors():
        from dynvision.workspace.verifying import verify_targets

        workspace = open_workspace()
        results = []
        for result in verify_targets(workspace, parse_targets(workspace, targets)):
            results.append(result)
            if not as_json:
                click.echo(f"{result.state:8} {result.target}: {show_text(result.sentence)}")
        if as_json:
            print_json([{**name_parts(r.target), "state": r.state, "sentence": r.sentence} for r in results])
        states = [result.state for result in results]
        if set(states) != {"whole"}:
            counts = ", ".join(f"{states.count(s)} {s}" for s in ("whole", "damaged", "missing") if s in states)
            click.echo(counts, err=True)
            sys.exit(FAILED)


@click.command(help=SHOW, short_help="Show the record of a target.")
@click.argument("target", type=TargetName())
@click.option(
    "--samples", is_flag=True, help="List every sample of the .beton files: its labels, and the image it was made from."
)
@click.option("--stimulus", is_flag=True, help="Draw what was shown in a condition, as a film strip and an animation.")
@click.option(
    "--images", default="3", show_default=True, help="With --stimulus: how many images, or their samples (12,40)."
)
@click.option("--out", type=click.Path(path_type=Path), help="With --stimulus: the file, .png, .webp or .gif.")
@json_option
def show(target: str, samples: bool, stimulus: bool, images: str, out: Path | None, as_json: bool) -> None:
    """Show the record of a target."""
    with readable_errors():
        workspace = open_workspace()
        chosen = parse_targets(workspace, [target])
        if stimulus or out is not None:
            show_stimuli(workspace, chosen, images, out, as_json)
            return
        if as_json:
            print_json([describe_target(workspace, one, samples) for one in chosen])
            return
        for one in chosen:
            print_target(workspace, one, samples)


def _is_left(folder: Path) -> bool:
    """Whether a folder of raw images was made by this project, for a dataset that the configuration had once."""
    return any(folder.glob("*/manifest.json")) or any(folder.glob("*.manifest.json"))


def _find_unconfigured(workspace: Workspace) -> Iterator[str]:
    """Yield a note for each folder of `data/raw` that looks like a dataset but is not in the configuration."""
    folder = workspace.paths.data / "raw"
    try:
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        yield f"data/raw cannot be read: {explain_os_error(error)}"
        return
    for path in paths:
        # `os.path.isdir` raises nothing, whatever cannot be read.
        has_splits = any(os.path.isdir(path / split) for split in ("train", "test", "val"))  # noqa: PTH112
        has_splits = has_splits and not _is_left(path)
        if has_splits and path.name not in workspace.config.datasets:
            name = show_text(path.name)
            yield f"data/raw/{name} is no dataset yet: name it under data_resolution in config_data.yaml"
        elif path.name not in workspace.config.datasets and holds_image(path) and not _is_left(path):
            name = show_text(path.name)
            yield f"data/raw/{name} is no stimulus set yet: name it under stimulus_sets in config_data.yaml"
