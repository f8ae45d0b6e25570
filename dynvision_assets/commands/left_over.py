"""What `dynvision list` says of outputs that are on the disk, but no longer in the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from dynvision.workspace import Workspace

__all__ = ["list_leftovers", "print_leftovers"]

STATES = ("fresh", "stale", "damaged", "missing")


def list_leftovers(workspace: Workspace) -> list[dict[str, Any]]:
    """Return a row for each folder that is left, as for assets, with its path, its size and the reason."""
    from dynvision.workspace.leftovers import find_leftovers

    return [
        {
            "key": "/".join(leftover.key),
            "partitions": 0,
            **dict.fromkeys(STATES, 0),
            "left_over": leftover.name,
            "path": workspace.paths.relative(leftover.path),
            "bytes": leftover.count_bytes(),
            "reason": f"its {leftover.noun} is not in the configuration",
        }
        for leftover in find_leftovers(workspace)
    ]


def print_leftovers(rows: list[dict[str, Any]]) -> None:
    """Print where each folder is and how large, and what to do about them."""
    for row in rows:
        click.echo(f"left over: {row['path']}, {_size(row['bytes'])}: {row['reason']}")
    if rows:
        noun = "this folder" if len(rows) == 1 else "these folders"
        click.echo(f"nothing uses {noun}: delete what you do not need, or name it in the configuration again")


def _size(n_bytes: float) -> str:
    """Write a number of bytes for people: `12.3 MB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "bytes" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"
