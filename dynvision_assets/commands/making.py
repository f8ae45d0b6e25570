"""Commands that build: `make`, `experiment`, `demo`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dynvision.engines.opening import started_early
from dynvision.errors import DynvisionError, unknown_name
from dynvision.reports.content import PAGE
from dynvision.system.progress import say
from dynvision.targets import Target
from dynvision_assets.commands.completion import ExperimentName, SubjectName, TargetName
from dynvision_assets.commands.engines import engine_options, find_settings, print_job_scripts
from dynvision_assets.commands.reporting import print_page
from dynvision_assets.commands.support import (
    TARGETS,
    count_targets,
    json_option,
    name_parts,
    open_workspace,
    parse_targets,
    print_json,
    readable_errors,
)

if TYPE_CHECKING:
    from dynvision.workspace import Status, Workspace
    from dynvision_assets.making import Made

__all__ = ["demo", "experiment", "make"]

Key = tuple[str, ...]


@dataclass(frozen=True)
class Choices:
    """The options of a command that builds.

    Attributes:
        force: Build the named targets even if they are up to date.
        no_wait: Fail if another process builds the same.
        dry_run: Say what would be built, and build nothing.
        as_json: Print JSON.
        engine: Another engine than that of the configuration.
        jobs: How many targets are computed at once.
    """

    force: bool = False
    no_wait: bool = False
    dry_run: bool = False
    as_json: bool = False
    engine: str | None = None
    jobs: int | None = None


DEMO = ("summary/contrast/normalizing_gratings", "summary/duration/normalizing_gratings", "summary/contrast")

force_option = click.option("--force", is_flag=True, help="Build the named targets even if they are up to date.")
dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="List what would be built, in order, and why, and the scripts of jobs; build nothing.",
)
no_wait_option = click.option(
    "--no-wait", is_flag=True, help="Fail at once if another command or run builds the same, instead of waiting for it."
)

MAKE = f"""Build TARGETs, and whatever upstream of them is missing or stale.

{TARGETS}

\b
Examples:
  dynvision make responses/contrast/rcnn_gratings         all contrasts
  dynvision make responses/contrast/rcnn_gratings:0.4     one contrast
  dynvision make data/interim/cifar100/train_invertebrates/folder.link
  dynvision make --dry-run summary/contrast/rcnn_gratings     what would be built, and why
  dynvision make --force models/rcnn/gratings:all_s0      train the network again
  dynvision make -j 4 responses/contrast/rcnn_gratings    four at once: workers here, or jobs of a configured queue
  dynvision make --engine local -j 4 summary/contrast     four workers of this machine, whatever is configured
  dynvision make --engine slurm summary/contrast/rcnn_gratings

Targets that are up to date are not built again. `dynvision ui` shows the run. Ctrl-C stops cleanly: finished
targets are kept. What fails takes along what is made from it; the rest is built all the same. If another command or
run is building the same target, this one says which, waits, and goes on with what that has built; --no-wait fails
instead. The exit code is 0 if everything was built, 1 if something failed, 2 for a wrong name or configuration, and
130 after Ctrl-C.
"""

EXPERIMENT = """Run an experiment of config_experiments.yaml, up to its tables and pictures.

This builds the summary of every subject (or of those named with --subject), and everything it is made from: the
images, the trained network, the responses in every condition.

\b
Examples:
  dynvision experiment contrast
  dynvision experiment contrast --subject rcnn_gratings --subject rcnn_invertebrates
  dynvision experiment duration --dry-run
"""


@click.command(help=MAKE, short_help="Build targets, and everything they are made from.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…", type=TargetName())
@force_option
@no_wait_option
@dry_run_option
@engine_options
@json_option
def make(targets: tuple[str, ...], **options: Any) -> None:
    """Build targets, and everything they are made from."""
    with readable_errors():
        workspace = open_workspace()
        _make_or_plan(workspace, parse_targets(workspace, targets), Choices(**options))


@click.command(help=EXPERIMENT, short_help="Run an experiment, up to its tables and pictures.")
@click.argument("name", type=ExperimentName())
@click.option(
    "--subject", "subjects", multiple=True, type=SubjectName(), help="Only this subject; can be given several times."
)
@force_option
@no_wait_option
@dry_run_option
@engine_options
@json_option
def experiment(name: str, subjects: tuple[str, ...], **options: Any) -> None:
    """Run an experiment, up to its tables and pictures."""
    with readable_errors():
        workspace, choices = open_workspace(), Choices(**options)
        chosen = _choose_subjects(workspace, name, subjects)
        keys = [key for subject in chosen for key in _find_keys(workspace, name, subject)]
        if not subjects and len(chosen) > 1:
            keys += _find_keys(workspace, name, None)
        # All of them are targets, and not the summaries alone: --force then shows the stimuli again, too.
        targets = [target for key in keys for target in workspace.targets(key)]
        _make_or_plan(workspace, targets, choices)
        if not (choices.dry_run or choices.as_json):
            for subject in chosen:
                _print_summary(workspace, Target(("summary", name, subject)))


@click.command(short_help="Build the whole chain on the built-in gratings.")
@engine_options
def demo(engine: str | None, jobs: int | None) -> None:
    """Build the whole chain on the built-in gratings, and print the results.

    Nothing is downloaded. The demo draws oriented gratings, trains a small normalizing network on them, shows them at
    several contrasts and durations, and prints both tuning curves. Then it compares the contrast response with that of
    a plain recurrent network, RCNN. It names the page of each experiment, with all pictures and numbers. A second call
    only prints the results.
    """
    with readable_errors():
        workspace = open_workspace()
        targets = parse_targets(workspace, DEMO)
        _make_or_plan(workspace, targets, Choices(engine=engine, jobs=jobs))
        for target in targets:
            _print_summary(workspace, target)
        click.echo(f"\nAll pages: {(workspace.paths.data / 'reports' / PAGE).as_uri()}")
        click.echo("Look at the graph, its pictures and numbers in the browser: make ui (or dynvision ui)")


def _make_or_plan(workspace: Workspace, targets: list[Target], choices: Choices) -> None:
    """Build targets, or print what would be built."""
    from dynvision.workspace.unused_patterns import describe_unused_patterns

    settings = find_settings(workspace, choices.engine, choices.jobs)  # raises before anything is done
    for sentence in describe_unused_patterns(workspace):
        say(f"warning: {sentence}")
    if choices.dry_run:
        plan = _print_plan(workspace, targets, choices.force, choices.as_json)
        if not choices.as_json:
            print_job_scripts(workspace, plan, settings)
        return
    wait, engine, jobs = not choices.no_wait, choices.engine, choices.jobs
    with started_early(settings):
        from dynvision_assets.making import make_targets

        try:
            made = make_targets(workspace, targets, choices.force, wait=wait, engine=engine, jobs=jobs)
        except DynvisionError as error:
            _say_kept(workspace, error.kept)
            raise
    if choices.as_json:
        built = [name_parts(target) for target in made.built]
        print_json({"wanted": [str(t) for t in made.wanted], "built": built, "seconds": round(made.seconds, 3)})
    else:
        _print_made(made)


def _say_kept(workspace: Workspace, names: tuple[str, ...]) -> None:
    """Say what was built although the command failed."""
    kept = [target for name in names for target in parse_targets(workspace, [name])]
    if kept:
        say("\n".join([f"{count_targets(kept)} {'was' if len(kept) == 1 else 'were'} built:", *_list_by_asset(kept)]))


def _print_made(made: Made) -> None:
    """Print the targets that were built: one line for each asset, with its partitions."""
    if not made.built:
        verb = "is" if len(made.wanted) == 1 else "are"
        click.echo(f"{count_targets(made.wanted)} {verb} up to date; nothing to do")
        return
    click.echo(f"built {count_targets(made.built)} in {made.seconds:.1f} s:")
    click.echo("\n".join(_list_by_asset(made.built)))


def _list_by_asset(targets: Sequence[Target]) -> list[str]:
    """List targets: one line for each asset, with its partitions."""
    by_key: dict[Key, list[str]] = {}
    for target in targets:
        partitions = by_key.setdefault(target.key, [])
        if target.partition is not None:
            partitions.append(target.partition)
    return ["  " + "/".join(key) + (f": {', '.join(names)}" if names else "") for key, names in by_key.items()]


def _print_plan(workspace: Workspace, targets: list[Target], force: bool, as_json: bool) -> list[Target]:
    """Print what would be built, in order, and why; return it."""
    known: dict[Target, Status] = {}
    plan = workspace.plan(targets, force)
    reasons = {target: workspace.status(target, known).reason or "forced" for target in plan}
    if as_json:
        print_json([{**name_parts(target), "reason": reason} for target, reason in reasons.items()])
        return plan
    for target, reason in reasons.items():
        click.echo(f"{target}: {reason}")
    click.echo(f"{count_targets(plan)} would be built" if plan else "everything is up to date; nothing would be built")
    return plan


def _choose_subjects(workspace: Workspace, name: str, subjects: tuple[str, ...]) -> list[str]:
    """Return the subjects of an experiment that were named, or all of them if none was.

    Raises:
        UnknownNameError: If there is no such experiment, or a subject does not take part in it.
    """
    config = workspace.config
    if name not in config.experiments:
        raise unknown_name("experiment", name, config.experiments, str(config.folder / "config_experiments.yaml"))
    valid = config.subjects_of(name)
    for subject in subjects:
        if subject not in valid:
            raise unknown_name("subject", subject, valid, f"the experiment '{name}'")
    return list(dict.fromkeys(subjects)) or valid


def _find_keys(workspace: Workspace, experiment: str, subject: str | None) -> list[Key]:
    """Return the assets of an experiment on one subject, or if that is `None`, over all subjects together."""
    keys = []
    for key in workspace.keys:
        tags = workspace.stages[key[0]].tags(key)
        if tags.get("experiment") == experiment and tags.get("subject") == subject:
            keys.append(key)
    return keys


def _print_summary(workspace: Workspace, target: Target) -> None:
    """Print the numbers of a summary that matter, and where its pictures and its page are."""
    from dynvision.reports.terminal import describe_numbers

    stage = workspace.stage(target)
    folder = stage.output(target)
    name = "tuning" if len(target.key) == 3 else "table"
    tuning, fits = (stage.load([target], table=table) for table in (name, "fits"))
    parameters = workspace.config.experiments[target.key[1]].parameters
    click.echo(f"\n{', '.join(target.key[1:])}\n")
    click.echo(describe_numbers(tuning, fits, parameters))
    click.echo(f"\nall numbers: {folder / f'{name}.csv'}")
    click.echo("pictures: " + "\n          ".join(str(path) for path in sorted(folder.glob("*.png"))))
    print_page(workspace, target)
