"""What the commands share: readable errors, JSON, the words for targets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dynvision.workspace import Workspace

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "TARGETS",
    "WRONG_USAGE",
    "count_targets",
    "json_option",
    "name_parts",
    "open_workspace",
    "print_json",
    "readable_errors",
]

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

TARGETS = """A TARGET is an asset key (raw/gratings: all of its partitions), a key with a partition
(responses/contrast/rcnn_gratings:0.5, …/contrast_duration/rcnn_gratings:contrast=0.3,duration=20), or a
path under data/ (data/processed/cifar100/train_all/train.beton)."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a script to read.")


def open_workspace() -> Workspace:
    """The workspace of `$DYNVISION_ROOT`, or of the current folder."""
    from dynvision.workspace import Workspace

    return Workspace.open()


def print_json(value: Any) -> None:
    """Print a value on standard output, which holds nothing else then."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def name_parts(target: Any) -> dict[str, Any]:
    """How JSON names a target: as a whole, and in its parts."""
    return {"target": str(target), "key": "/".join(target.key), "partition": target.partition}


def count_targets(targets: Sequence[object]) -> str:
    """`1 target`, `2 targets`."""
    return f"{len(targets)} target" + ("" if len(targets) == 1 else "s")


@contextmanager
def readable_errors() -> Iterator[None]:
    """Show errors that are meant for a user as their text; every other keeps its traceback."""
    from dynvision.errors import ConfigError, DynvisionError

    try:
        yield
    except DynvisionError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(WRONG_USAGE if isinstance(error, ConfigError) else FAILED)
    except KeyboardInterrupt:
        click.echo("stopped; what was finished is kept, nothing is half done", err=True)
        sys.exit(INTERRUPTED)
