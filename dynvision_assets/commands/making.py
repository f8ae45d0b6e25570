"""Commands that build: `make`, `experiment`, `demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dynvision_assets.commands.completion import ExperimentName, SubjectName, TargetName
from dynvision_assets.commands.support import (
    TARGETS,
    count_targets,
    json_option,
    name_parts,
    open_workspace,
    print_json,
    readable_errors,
)

if TYPE_CHECKING:
    from dynvision.workspace import Workspace

__all__ = ["demo", "experiment", "make"]

DEMO = ("summary/contrast/rcnn_gratings", "summary/duration/rcnn_gratings")

force_option = click.option("--force", is_flag=True, help="Build the named targets even if they are up to date.")
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be built, in order and why, and build nothing."
)

MAKE = f"""Build TARGETs, and whatever upstream of them is missing or stale.

{TARGETS}

\b
Examples:
  dynvision make responses/contrast/rcnn_gratings         all contrasts
  dynvision make responses/contrast/rcnn_gratings:0.5     one of them
  dynvision make data/interim/cifar100/train_invertebrates/folder.link
  dynvision make --dry-run summary/contrast/rcnn_gratings     what that would build, and why
  dynvision make --force models/rcnn/gratings:all_s0      train it again

What is up to date is left alone. The runs are in the Dagster instance that `dynvision ui` shows. Ctrl-C stops
cleanly: what was finished is kept. Ends with 0 where all was built, 1 where something failed, 2 for a wrong name or
configuration, 130 after Ctrl-C.
"""

EXPERIMENT = """Run an experiment of config_experiments.yaml to its tables and pictures.

That is, for every subject (or those named with --subject), its summary and all that this is made from: the images,
the trained network, the responses in every condition.

\b
Examples:
  dynvision experiment contrast
  dynvision experiment contrast --subject rcnn_gratings --subject rcnn_invertebrates
  dynvision experiment duration --dry-run
"""


@click.command(help=MAKE, short_help="Build targets, and what they are made from.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…", type=TargetName())
@force_option
@dry_run_option
@json_option
def make(targets: tuple[str, ...], force: bool, dry_run: bool, as_json: bool) -> None:
    """Build targets, and what they are made from."""
    with readable_errors():
        _make_or_tell(open_workspace(), targets, force, dry_run, as_json)


@click.command(help=EXPERIMENT, short_help="Run an experiment to its tables and pictures.")
@click.argument("name", type=ExperimentName())
@click.option(
    "--subject", "subjects", multiple=True, type=SubjectName(), help="Only this subject; may be given several times."
)
@force_option
@dry_run_option
@json_option
def experiment(name: str, subjects: tuple[str, ...], force: bool, dry_run: bool, as_json: bool) -> None:
    """Run an experiment to its tables and pictures."""
    with readable_errors():
        workspace = open_workspace()
        chosen = _choose_subjects(workspace, name, subjects)
        # The responses are named too, so that --force shows the stimuli again.
        targets = tuple(f"{stage}/{name}/{subject}" for subject in chosen for stage in ("responses", "summary"))
        if not subjects and len(chosen) > 1:
            targets = (*targets, f"summary/{name}")  # all of them side by side
        _make_or_tell(workspace, targets, force, dry_run, as_json)
        if not (dry_run or as_json):
            for subject in chosen:
                _show_results(workspace, name, subject)


@click.command(short_help="Build the whole chain on the embedded gratings.")
def demo() -> None:
    """Build the whole chain on the embedded gratings and show what came out.

    Nothing is downloaded. It draws oriented gratings, trains a small recurrent network on them, shows them at several
    contrasts and durations, and prints both curves. A second call has nothing to do but print.
    """
    with readable_errors():
        workspace = open_workspace()
        _make_or_tell(workspace, DEMO, False, False, False)
        for target in DEMO:
            _, name, subject = target.split("/")
            _show_results(workspace, name, subject)
        click.echo("\nLook at the graph, its pictures and numbers in the browser: make ui (or dynvision ui)")


def _make_or_tell(workspace: Workspace, targets: tuple[str, ...], force: bool, dry_run: bool, as_json: bool) -> None:
    if dry_run:
        _tell_plan(workspace, targets, force, as_json)
    else:
        _make(workspace, targets, force, as_json)


def _make(workspace: Workspace, targets: tuple[str, ...], force: bool, as_json: bool) -> None:
    from dynvision_assets.making import make_targets

    made = make_targets(workspace, targets, force)
    if as_json:
        built = [name_parts(target) for target in made.built]
        print_json({"wanted": [str(t) for t in made.wanted], "built": built, "seconds": round(made.seconds, 3)})
        return
    if not made.built:
        verb = "is" if len(made.wanted) == 1 else "are"
        click.echo(f"{count_targets(made.wanted)} {verb} up to date; nothing to do")
        return
    click.echo(f"built {count_targets(made.built)} in {made.seconds:.1f} s:")
    by_key: dict[str, list[str]] = {}
    for target in made.built:
        by_key.setdefault("/".join(target.key), []).append(str(target.partition or ""))
    for key, partitions in by_key.items():
        names = [name for name in partitions if name]
        click.echo(f"  {key}" + (f": {', '.join(names)}" if names else ""))


def _tell_plan(workspace: Workspace, targets: tuple[str, ...], force: bool, as_json: bool) -> None:
    from dynvision.workspace.addresses import parse_target

    wanted = list(dict.fromkeys(t for text in targets for t in parse_target(workspace, text)))
    known: dict[Any, Any] = {}
    plan = workspace.plan(wanted, force)
    reasons = {target: workspace.status(target, known).reason or "forced" for target in plan}
    if as_json:
        print_json([{**name_parts(target), "reason": reason} for target, reason in reasons.items()])
        return
    for target, reason in reasons.items():
        click.echo(f"{target}: {reason}")
    click.echo(f"{count_targets(plan)} would be built" if plan else "everything is up to date; nothing would be built")


def _choose_subjects(workspace: Workspace, name: str, subjects: tuple[str, ...]) -> list[str]:
    from dynvision.errors import unknown_name

    config = workspace.config
    if name not in config.experiments:
        raise unknown_name("experiment", name, config.experiments, str(config.folder / "config_experiments.yaml"))
    valid = config.subjects_of(name)
    for subject in subjects:
        if subject not in valid:
            raise unknown_name("subject", subject, valid, f"the experiment '{name}'")
    return list(dict.fromkeys(subjects)) or valid


def _show_results(workspace: Workspace, experiment: str, subject: str) -> None:
    """Print the tuning curve of a summary, and where its pictures are."""
    import pandas as pd

    folder = workspace.paths.report(experiment, subject)
    tuning = pd.read_csv(folder / "tuning.csv").drop(columns=["condition", "accuracy_sem", "samples"], errors="ignore")
    columns = [str(name) for name in tuning.columns]
    tuning = tuning[[name for name in columns if "/" not in name or name.startswith("peak/")]]  # what a terminal holds
    click.echo(f"\n{experiment}, {subject}: accuracy and peak mean response\n")
    click.echo(tuning.round(3).to_string(index=False))
    click.echo(f"\nall numbers: {folder / 'tuning.csv'}")
    click.echo("pictures: " + "\n          ".join(str(path) for path in sorted(folder.glob("*.png"))))
