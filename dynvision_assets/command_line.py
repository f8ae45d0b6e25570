"""The command line: `dynvision make | list | show | status | verify | ui | demo`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dynvision.workspace import Workspace

__all__ = ["main"]

FAILED, WRONG_USAGE = 1, 2

TARGETS = """A TARGET is an asset key (raw/gratings: all of its partitions), a key with a partition
(responses/contrast/rcnn_gratings:0.5, …/contrast_duration/rcnn_gratings:contrast=0.3,duration=20), or a
path under data/ (data/processed/cifar100/train_all/train.beton)."""

DEMO = ("summary/contrast/rcnn_gratings", "summary/duration/rcnn_gratings")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dynvision-assets")
def main() -> None:
    """From raw images to the responses of recurrent vision networks to stimuli in time.

    \b
    Examples:
      dynvision demo                                      the whole chain on the embedded gratings
      dynvision list                                      what there is and what has been made
      dynvision make responses/contrast/rcnn_gratings     all contrasts, and what they are made from
      dynvision show data/processed/gratings/test_all     counts, shapes, versions
      dynvision ui                                        the graph in the browser

    Everything is under $DYNVISION_ROOT, else the current folder. The configuration is in
    $DYNVISION_CONFIG, else ./config, else the packaged copy.
    """  # noqa: D301  # \\b is click's mark for a paragraph that is not rewrapped


@main.command(help=f"Build TARGETs, and whatever upstream of them is missing or stale.\n\n{TARGETS}")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
@click.option("--force", is_flag=True, help="Build the named targets even if they are up to date.")
@click.option("--dry-run", is_flag=True, help="Say what would be built, in order and why, and build nothing.")
def make(targets: tuple[str, ...], force: bool, dry_run: bool) -> None:
    with _readable_errors():
        if dry_run:
            _tell_plan(_open(), targets, force)
        else:
            _make(_open(), targets, force)


@main.command("list", help="List the assets with how many of their partitions are up to date.")
@click.argument("prefix", required=False, default="")
def list_assets(prefix: str) -> None:
    with _readable_errors():
        workspace = _open()
        known: dict[Any, Any] = {}
        keys = [key for key in workspace.keys if f"{'/'.join(key)}/".startswith(prefix)]
        if not keys:
            from dynvision.errors import unknown_name

            raise unknown_name("asset", prefix, ["/".join(key) for key in workspace.keys])
        width = max(len("/".join(key)) for key in keys)
        for key in keys:
            states = [workspace.status(t, known).state for t in workspace.targets(key)]
            counts = [f"{states.count(s)} {s}" for s in ("fresh", "stale", "missing") if s in states]
            noun = "partition: " if len(states) == 1 else "partitions:"
            click.echo(f"{'/'.join(key):{width}}  {len(states):4} {noun} {', '.join(counts)}")
        for note in _unconfigured(workspace):
            click.echo(note)


@main.command(help=f"Say why TARGETs (by default all) are missing or stale.\n\n{TARGETS}")
@click.argument("targets", nargs=-1, metavar="[TARGET…]")
def status(targets: tuple[str, ...]) -> None:
    with _readable_errors():
        from dynvision.addresses import parse_target

        workspace = _open()
        texts = targets or tuple("/".join(key) for key in workspace.keys)
        known: dict[Any, Any] = {}
        fresh = 0
        for target in (t for text in texts for t in parse_target(workspace, text)):
            found = workspace.status(target, known)
            fresh += found.state == "fresh"
            if found.state != "fresh":
                click.echo(f"{found.state:8} {target}: {found.reason}")
        click.echo(f"{fresh} up to date")


@main.command(help=f"Read TARGETs again, byte for byte, and compare them with their records.\n\n{TARGETS}")
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
def verify(targets: tuple[str, ...]) -> None:
    with _readable_errors():
        from dynvision.addresses import parse_target
        from dynvision.verifying import verify_targets

        workspace = _open()
        chosen = dict.fromkeys(t for text in targets for t in parse_target(workspace, text))
        states = []
        for found in verify_targets(workspace, chosen):
            states.append(found.state)
            click.echo(f"{found.state:8} {found.target}: {found.sentence}")
        if set(states) != {"whole"}:
            counts = ", ".join(f"{states.count(s)} {s}" for s in ("whole", "damaged", "missing") if s in states)
            click.echo(counts, err=True)
            sys.exit(FAILED)


@main.command(help=f"Show what is recorded of a TARGET: settings, inputs, counts, shapes.\n\n{TARGETS}")
@click.argument("target")
@click.option("--samples", is_flag=True, help="List every sample of the .beton files: labels, and the image it is.")
def show(target: str, samples: bool) -> None:
    with _readable_errors():
        import yaml

        from dynvision.addresses import parse_target

        workspace = _open()
        for found in parse_target(workspace, target):
            state = workspace.status(found)
            click.echo(f"{found}: {state.state}" + (f" ({state.reason})" if state.reason else ""))
            record = workspace.stage(found).read_record(found)
            if record is not None:
                content = {"path": workspace.paths.relative(workspace.stage(found).output(found)), **record.to_dict()}
                content.pop("target")
                text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
                click.echo("  " + text.rstrip().replace("\n", "\n  "))
            if found.stage == "processed" and record is not None:
                _show_files(workspace, found, samples)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on.")
def ui(host: str, port: int) -> None:
    """Open Dagster's UI on this root: the graph, its runs, pictures and backfills.

    Dagster has no login of its own: whoever reaches the address can run things.
    """
    with _readable_errors():
        from dagster import DagsterInstance

        from dynvision_assets.instance import LOCATIONS_FILE, fail_dead_runs, prepare_home

        workspace = _open()
        home = prepare_home(workspace.paths)
        fail_dead_runs(DagsterInstance.get())
        if host not in ("127.0.0.1", "localhost", "::1"):
            click.echo(f"warning: {host} can be reached from other machines, and there is no login", err=True)
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "DYNVISION_ROOT": str(workspace.paths.root),
            "DYNVISION_CONFIG": str(workspace.config.folder),
        }
        click.echo(f"Dagster on http://{host}:{port} for {workspace.paths.root} (stop with Ctrl-C)")
        locations = str(home / LOCATIONS_FILE)
        arguments = [sys.executable, "-m", "dagster", "dev", "-w", locations, "-h", host, "-p", str(port)]
        sys.stdout.flush()
        os.execve(sys.executable, arguments, environment)


@main.command()
def demo() -> None:
    """Build the whole chain on the embedded gratings and show what came out."""
    with _readable_errors():
        import pandas as pd

        workspace = _open()
        _make(workspace, DEMO, False)
        for name in DEMO:
            _, experiment, subject = name.split("/")
            folder = workspace.paths.report(experiment, subject)
            tuning = pd.read_csv(folder / "tuning.csv").drop(columns=["condition", "accuracy_sem", "samples"])
            tuning = tuning[[name for name in tuning.columns if "/" not in name or name.startswith("peak/")]]
            click.echo(f"\n{experiment}, {subject}: accuracy and peak mean response\n")
            click.echo(tuning.round(3).to_string(index=False))
            click.echo("\npictures: " + "\n          ".join(str(path) for path in sorted(folder.glob("*.png"))))
        click.echo("\nLook at the graph, its pictures and numbers in the browser: make ui (or dynvision ui)")


def _make(workspace: Workspace, targets: tuple[str, ...], force: bool) -> None:
    from dynvision_assets.making import make_targets

    made = make_targets(workspace, targets, force)
    if not made.built:
        click.echo(f"{_count(made.wanted)} {'is' if len(made.wanted) == 1 else 'are'} up to date; nothing to do")
        return
    click.echo(f"built {_count(made.built)} in {made.seconds:.1f} s:")
    by_key: dict[str, list[str]] = {}
    for target in made.built:
        by_key.setdefault("/".join(target.key), []).append(str(target.partition or ""))
    for key, partitions in by_key.items():
        names = [name for name in partitions if name]
        click.echo(f"  {key}" + (f": {', '.join(names)}" if names else ""))


def _show_files(workspace: Workspace, target: Any, samples: bool) -> None:
    """Print what the sidecars of a target's files say; with `samples`, a line for every sample."""
    import yaml

    from dynvision.data.beton import read_sidecar
    from dynvision.stages.processed import ProcessedStage

    stage = workspace.stage(target)
    assert isinstance(stage, ProcessedStage)
    for path in stage.files(target):
        sidecar = read_sidecar(path)
        text = yaml.safe_dump({path.name: sidecar["file"]}, sort_keys=False, allow_unicode=True)
        click.echo("  " + text.rstrip().replace("\n", "\n  "))
        if samples:
            click.echo("  sample\tlabel\tgroup_label\tsource")
            columns = (sidecar["samples"][name] for name in ("label", "group_label", "source"))
            for place, row in enumerate(zip(*columns, strict=True)):
                click.echo("  " + "\t".join(map(str, (place, *row))))


def _tell_plan(workspace: Workspace, targets: tuple[str, ...], force: bool) -> None:
    from dynvision.addresses import parse_target

    wanted = list(dict.fromkeys(t for text in targets for t in parse_target(workspace, text)))
    known: dict[Any, Any] = {}
    plan = workspace.plan(wanted, force)
    for target in plan:
        click.echo(f"{target}: {workspace.status(target, known).reason or 'forced'}")
    click.echo(f"{_count(plan)} would be built" if plan else "everything is up to date; nothing would be built")


def _count(targets: Sequence[object]) -> str:
    return f"{len(targets)} target" + ("" if len(targets) == 1 else "s")


def _open() -> Workspace:
    from dynvision.workspace import Workspace

    return Workspace.open()


def _unconfigured(workspace: Workspace) -> Iterator[str]:
    """Folders of data/raw that look like a dataset but are not in the configuration."""
    folder = workspace.paths.data / "raw"
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        has_splits = any((path / split).is_dir() for split in ("train", "test", "val"))
        if has_splits and path.name not in workspace.config.datasets:
            yield f"data/raw/{path.name} is no dataset yet: name it under data_resolution in config_data.yaml"


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Show errors that are meant for a user as their text; every other keeps its traceback."""
    from dynvision.errors import ConfigError, DynvisionError

    try:
        yield
    except DynvisionError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(WRONG_USAGE if isinstance(error, ConfigError) else FAILED)
    except KeyboardInterrupt:
        click.echo("stopped; what was finished is kept, nothing is half done", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
