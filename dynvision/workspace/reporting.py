"""Writing the pages of what has been made, without computing anything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dynvision.errors import DamagedFileError, DynvisionError
from dynvision.system.failures import explain_os_error
from dynvision.system.locks import FOR_EVER, output_lock
from dynvision.system.progress import say
from dynvision.targets import Target
from dynvision.workspace.status import Status
from dynvision.workspace.workspace import Workspace

__all__ = ["Reported", "find_reported", "write_reports"]


@dataclass(frozen=True)
class Reported:
    """What became of the page of a target.

    Attributes:
        target: The target.
        path: The page; `None` if it was not written.
        notice: Why the target is not up to date, which the page says; empty if it is.
        problem: Why the page was not written, in a sentence.
    """

    target: Target
    path: Path | None
    notice: str = ""
    problem: str = ""


def find_reported(workspace: Workspace) -> list[Target]:
    """Return every target that has been made and has a page, also if it is damaged."""
    keys = [key for key in workspace.keys if workspace.stages[key[0]].has_pages]
    return [target for key in keys for target in workspace.targets(key) if _is_made(workspace, target)]


def write_reports(workspace: Workspace, targets: Iterable[Target]) -> Iterator[Reported]:
    """Write the pages of targets from their files. If one cannot be written, the others are.

    Waits while another process builds one of them, so that a page never describes what was there before.

    Raises:
        ConfigError: If a target has no page.
    """
    for target in targets:
        stage = workspace.stage(target)
        if not stage.has_pages:
            stage.write_page(target)  # Says which targets have one.
        try:
            stage.require([target])  # A lock would make the folder of what does not exist.
            with output_lock(stage.written(target)[0], FOR_EVER, say):
                # What was found for another page may have changed while this one's lock was waited for.
                notice = _say_stale(workspace, target, workspace.status(target))
                yield Reported(target, stage.write_page(target, notice), notice)
        except DynvisionError as error:
            yield Reported(target, None, problem=str(error))
        except OSError as error:
            yield Reported(target, None, problem=f"{target}: the page was not written: {explain_os_error(error)}")


def _say_stale(workspace: Workspace, target: Target, status: Status) -> str:
    """Say why a target is not up to date; empty if it is, or damaged, which is said elsewhere."""
    if status.state != "stale":
        return ""
    # Pages are passed on: they name no folder of this machine.
    reason = status.reason.replace(f"{workspace.paths.root}/", "").rstrip(".")
    names_command = "dynvision make" in reason
    return f"This is not up to date: {reason}." + ("" if names_command else f" Make it again: dynvision make {target}")


def _is_made(workspace: Workspace, target: Target) -> bool:
    stage = workspace.stage(target)
    try:
        return stage.read_record(target) is not None and not stage.unchecked_mark(target).exists()
    except DamagedFileError:
        return True
