"""What the commands share: readable errors, JSON output, and the help text about targets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from dynvision.errors import ConfigError, DynvisionError

if TYPE_CHECKING:
    from dynvision.targets import Target
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
    "parse_targets",
    "print_json",
    "readable_errors",
]

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes."""

TARGETS = """A TARGET is an asset key (raw/gratings: all of its partitions), a key with a partition
(responses/contrast/rcnn_gratings:0.5, …/contrast_duration/rcnn_gratings:contrast=0.3,duration=20), or a
path under data/ (data/processed/cifar100/train_all/train.beton)."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a script to read.")


def open_workspace() -> Workspace:
    """Open the workspace of `$DYNVISION_ROOT`, or of the nearest root at or above the current folder.

    Raises:
        ConfigError: If the configuration is not valid.
    """
    from dynvision_assets.opening import open_here

    return open_here()


def parse_targets(workspace: Workspace, texts: Sequence[str]) -> list[Target]:
    """Return the targets that texts name, each once, in order.

    Args:
        workspace: The workspace.
        texts: Paths, keys, or keys with partitions.

    Raises:
        UnknownNameError: If nothing has such a name; the message names the nearest.
    """
    from dynvision.workspace.leftovers import parse_existing

    return list(dict.fromkeys(target for text in texts for target in parse_existing(workspace, text)))


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output. Print nothing else there, so that a script can parse it."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def name_parts(target: Target) -> dict[str, Any]:
    """Return how JSON output names a target: its full name, key and partition."""
    return {"target": str(target), "key": "/".join(target.key), "partition": target.partition}


def count_targets(targets: Sequence[object]) -> str:
    """Return the number of targets with its noun: `1 target`, `2 targets`."""
    return f"{len(targets)} target" + ("" if len(targets) == 1 else "s")


@contextmanager
def readable_errors() -> Iterator[None]:
    """Print errors that are meant for a user as plain text and exit; let all others show their traceback.

    Raises:
        SystemExit: With 2 if a name or the configuration is wrong, with 1 after another error for users, with 130
            after Ctrl-C.
    """
    try:
        yield
    except DynvisionError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(WRONG_USAGE if isinstance(error, ConfigError) else FAILED)
    except KeyboardInterrupt:
        click.echo("stopped; what was finished is kept, nothing is half done", err=True)
        sys.exit(INTERRUPTED)
