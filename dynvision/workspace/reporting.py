"""Writing the pages of what has been made, without computing anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from dynvision.errors import DamagedFileError
from dynvision.system.locks import FOR_EVER, output_lock
from dynvision.system.progress import say
from dynvision.targets import Target
from dynvision.workspace.workspace import Workspace

__all__ = ["find_reported", "write_reports"]


def find_reported(workspace: Workspace) -> list[Target]:
    """Return every target that has been made and has a page."""
    keys = [key for key in workspace.keys if workspace.stages[key[0]].has_pages]
    return [target for key in keys for target in workspace.targets(key) if _is_made(workspace, target)]


def write_reports(workspace: Workspace, targets: Iterable[Target]) -> Iterator[Path]:
    """Write the pages of targets from their files, and yield the path of each.

    Waits while another process builds one of them, so that a page never describes what was there before.

    Raises:
        ConfigError: If a target has no page, or a file is in the way that this project did not write.
        MissingError: If a target has not been made; names the command.
        DamagedFileError: If a file is not the one that was written.
        OSError: If a page cannot be written.
    """
    for target in targets:
        stage = workspace.stage(target)
        if stage.has_pages:
            stage.require([target])  # A lock would make the folder of what does not exist.
            with output_lock(stage.written(target)[0], FOR_EVER, say):
                yield stage.write_page(target)
        else:
            yield stage.write_page(target)


def _is_made(workspace: Workspace, target: Target) -> bool:
    stage = workspace.stage(target)
    try:
        return stage.read_record(target) is not None and not stage.unchecked_mark(target).exists()
    except DamagedFileError:
        return False
