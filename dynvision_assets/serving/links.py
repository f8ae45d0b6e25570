"""Where there is something to see: addresses of Dagster's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from dynvision.targets import Target
    from dynvision.workspace import Workspace

__all__ = ["LINEAGE", "asset_page", "find_newest_summary"]

LINEAGE = "/asset-groups"
"""The page of the whole graph."""


def asset_page(key: tuple[str, ...]) -> str:
    """Return the address of an asset's page, without that of the server."""
    return "/assets/" + "/".join(quote(part, safe="") for part in key)


def find_newest_summary(workspace: Workspace) -> Target | None:
    """Return the target with a page that was made last; `None` if none has been made."""
    made = {}
    for key in workspace.keys:
        for target in workspace.targets(key) if workspace.stages[key[0]].has_pages else ():
            record = workspace.read_record(target)
            if record is not None:
                made[target] = record.created
    return max(made, key=lambda target: made[target]) if made else None
