"""Patterns of `config_compute.yaml` that match no target: what they ask for would be given to nothing."""

from __future__ import annotations

import re
from fnmatch import translate

from dynvision.errors import nearest_name
from dynvision.roots import COMPUTE_FILE
from dynvision.workspace.workspace import Workspace

__all__ = ["describe_unused_patterns"]


def describe_unused_patterns(workspace: Workspace) -> list[str]:
    """Return a sentence for each pattern under `targets` that matches nothing, with the nearest name.

    It is no error, because a file about a cluster may be shared by roots with other models and datasets.

    Args:
        workspace: The workspace.
    """
    unused = {pattern: re.compile(translate(pattern)) for pattern in workspace.config.compute.targets}
    for key in workspace.keys if unused else ():
        for target in workspace.targets(key):
            text = str(target)
            unused = {pattern: matcher for pattern, matcher in unused.items() if not matcher.match(text)}
            if not unused:
                return []
    return [_describe(workspace, pattern) for pattern in unused]


def _describe(workspace: Workspace, pattern: str) -> str:
    """Name the nearest of what a pattern may have meant: a partition if it names the asset of one, else an asset."""
    stage, asset = pattern.partition("/")[0], pattern.partition(":")[0]
    keys = {"/".join(key): key for key in workspace.keys if key[0] == stage} or {"/".join(k): k for k in workspace.keys}
    names = [str(target) for target in workspace.targets(keys[asset])] if asset in keys else list(keys)
    file = workspace.config.folder / COMPUTE_FILE
    return f"{file}: targets: '{pattern}' matches no target, so it changes nothing. {nearest_name(pattern, names)}"
