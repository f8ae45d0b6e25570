"""Where there is something to see: addresses of Dagster's pages, and of the reports next to them.

The address of the reports differs from one `dynvision ui` to the next. So no event holds it: the server's environment
does, and the definitions are loaded anew with each server.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

from dynvision.errors import ConfigError
from dynvision.system.escaping import show_text

if TYPE_CHECKING:
    from pathlib import Path

    from dynvision.targets import Target
    from dynvision.workspace import Workspace

__all__ = ["LINEAGE", "REPORTS", "asset_page", "find_newest_summary", "is_meant", "read_url", "report_url"]

LINEAGE = "/asset-groups"
"""The page of the whole graph."""

REPORTS = "DYNVISION_REPORTS"
"""The environment variable by which `dynvision ui` tells the definitions where it serves the reports."""

_ROOT = "root"
"""The part of a link that says of which root it is: on another machine, or later, another server may answer."""


def read_url(text: str) -> str:
    """Return the address of a folder, with its slash at the end.

    Raises:
        ConfigError: If it is not such an address.
    """
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        _ = parts.port  # raises if it is no number
    except ValueError:
        is_address = False
    if not is_address or not text.isprintable() or " " in text:
        raise ConfigError(f"--reports-url {show_text(text)}: write an address such as https://lab.example.org/reports/")
    return f"{text.rstrip('/')}/"


def asset_page(key: tuple[str, ...]) -> str:
    """Return the address of an asset's page, without that of the server."""
    return "/assets/" + "/".join(quote(part, safe="") for part in key)


def report_url(workspace: Workspace, key: tuple[str, ...]) -> str | None:
    """Return where the page is that shows an asset: its own, or that of the summary that is made from it.

    Args:
        workspace: The workspace.
        key: The asset.

    Returns:
        A URL, which answers as long as this `dynvision ui` runs; `None` if there is no such page, or none is served.
    """
    address = os.environ.get(REPORTS)
    if not address:
        return None
    if "experiment" not in workspace.stages[key[0]].key_names:
        return None
    folder = workspace.paths.data / "reports"
    for name, stage in workspace.stages.items():
        shown = (name, *key[1:])
        if stage.has_pages and shown in stage.keys():
            (target,) = workspace.targets(shown)
            page = stage.output(target).relative_to(folder)
            return f"{address}{quote(page.as_posix())}/?{_ROOT}={_mark(folder)}"
    return None


def is_meant(folder: Path, request: str) -> bool:
    """Whether a request is for these reports: a link says of which root it is, an address that was typed does not.

    Args:
        folder: The folder of the reports.
        request: The path of the request, as a browser sends it.
    """
    named = parse_qs(request.partition("?")[2].partition("#")[0]).get(_ROOT)
    return named is None or named[-1] == _mark(folder)


def _mark(folder: Path) -> str:
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:8]


def find_newest_summary(workspace: Workspace) -> Target | None:
    """Return the target with a page that was made last; `None` if none has been made."""
    made = {}
    for key in workspace.keys:
        for target in workspace.targets(key) if workspace.stages[key[0]].has_pages else ():
            record = workspace.read_record(target)
            if record is not None:
                made[target] = record.created
    return max(made, key=lambda target: made[target]) if made else None
