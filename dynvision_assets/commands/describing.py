"""What `dynvision show` says of a target: its state, its record, and what its files say about themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dynvision.system.escaping import show_text
from dynvision_assets.commands.support import name_parts

if TYPE_CHECKING:
    from dynvision.targets import Target
    from dynvision.workspace import Workspace

__all__ = ["describe_target", "print_target"]


def describe_target(workspace: Workspace, target: Target, samples: bool) -> dict[str, Any]:
    """Return everything that is known about a target, as JSON-ready values."""
    record = workspace.read_record(target)
    content: dict[str, Any] = {
        **name_parts(target),
        **vars(workspace.status(target)),
        **({"description": own} if (own := workspace.stage(target).description(target.key)) else {}),
        "path": str(workspace.stage(target).output(target)),
        "record": record.to_dict() if record is not None else None,
    }
    if record is not None and (files := workspace.stage(target).describe_files(target, samples)):
        content["files"] = files
    return content


_OF_EVERY_SAMPLE = ("label", "group_label", "source")


def print_target(workspace: Workspace, target: Target, samples: bool) -> None:
    """Print the state of a target, its record, and what its files say about themselves."""
    state = workspace.status(target)
    click.echo(f"{target}: {state.state}" + (f" ({show_text(state.reason)})" if state.reason else ""))
    if own := workspace.stage(target).description(target.key):
        click.echo(f"  {show_text(own)}")
    record = workspace.read_record(target)
    if record is None:
        return
    content = {"path": workspace.paths.relative(workspace.stage(target).output(target)), **record.to_dict()}
    content.pop("target")  # Its name is in the first line.
    content["files"] = len(record.files)  # `--json` lists them.
    if not record.files:  # A dataset file is not listed: it says itself whether it is whole.
        del content["files"]
    _print_yaml(content, default_flow_style=None, width=110)
    for name, description in workspace.stage(target).describe_files(target, samples).items():
        _print_yaml({name: description["file"]})
        if samples:
            table = description["samples"]
            names = ["label", "group_label", "source", *(name for name in table if name not in _OF_EVERY_SAMPLE)]
            click.echo("  " + "\t".join(["sample", *map(show_text, names)]))
            for index, row in enumerate(zip(*(table[name] for name in names), strict=True)):
                click.echo("  " + "\t".join(map(show_text, (index, *row))))


def _print_yaml(content: dict[str, Any], **style: Any) -> None:
    """Print a mapping as YAML, indented by two spaces."""
    import yaml

    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, **style)
    click.echo("  " + text.rstrip().replace("\n", "\n  "))
