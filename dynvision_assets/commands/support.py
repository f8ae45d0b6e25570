"""What the commands share: readable errors, JSON output, and the help text about targets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from dynvision.roots import find_root
from dynvision.system.environment import load_environment
from dynvision_assets.commands.endings import FAILED, WRONG_USAGE, end_command
from dynvision_assets.signals import stoppable

if TYPE_CHECKING:
    from dynvision.targets import Target
    from dynvision.workspace import Workspace

__all__ = [
    "FAILED",
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

TARGETS = """A TARGET is an asset key (raw/gratings: all of its partitions), a key with a partition
(responses/contrast/rcnn_gratings:0.4, …/contrast_duration/rcnn_gratings:contrast=0.3,duration=20), or a
path under data/ (data/processed/cifar100/train_all/train.beton)."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for a script to read.")


def open_workspace() -> Workspace:
    """Open the workspace of `$DYNVISION_ROOT`, or of the nearest root at or above the current folder.

    The settings of its `.env` count.

    Raises:
        ConfigError: If the configuration is not valid.
    """
    from dynvision_assets.opening import open_here

    load_environment(find_root())
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
    is_unicode = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    click.echo(json.dumps(value, indent=1, ensure_ascii=not is_unicode))


def name_parts(target: Target) -> dict[str, Any]:
    """Return how JSON output names a target: its full name, key and partition."""
    return {"target": str(target), "key": "/".join(target.key), "partition": target.partition}


def count_targets(targets: Sequence[object]) -> str:
    """Return the number of targets with its noun: `1 target`, `2 targets`."""
    return f"{len(targets)} target" + ("" if len(targets) == 1 else "s")


@contextmanager
def readable_errors() -> Iterator[None]:
    """End the process as a command ends: after an error with a sentence and an exit code.

    Raises:
        SystemExit: After any error; see `end_command`. After a signal with 128 and its number; see `stoppable`.
    """
    try:
        with stoppable():
            yield
    except (SystemExit, GeneratorExit, click.ClickException, click.exceptions.Exit):
        raise
    except BaseException as error:  # noqa: BLE001  # whatever ends a command
        sys.exit(end_command(error))
