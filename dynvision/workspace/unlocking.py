"""Freeing the locks that processes left behind, and saying who holds the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dynvision.system.locks import break_lock, try_lock
from dynvision.system.locks.holders import STALE, Holder, find_holder, lock_path, owner_path, say_duration
from dynvision.system.owners import Owner
from dynvision.targets import Target
from dynvision.workspace.workspace import Workspace

__all__ = ["Unlocked", "unlock_target"]


@dataclass(frozen=True)
class Unlocked:
    """What became of the lock of a target.

    Attributes:
        is_free: Whether the target can be built now.
        sentence: What was found and done, without the name of the target.
    """

    is_free: bool
    sentence: str


def unlock_target(workspace: Workspace, target: Target, *, force: bool = False) -> list[Unlocked]:
    """Free the locks of a target if their owner has ended.

    Args:
        workspace: The workspace.
        target: The target.
        force: Free them also if it cannot be seen from here whether the owner has ended.

    Returns:
        What became of its lock, and for downloaded images of that of the archives if it was locked.
    """
    output = workspace.stage(target).written(target)[0]
    done = [_unlock(output, force)]
    archive = output.with_name("archive")
    if owner_path(archive).exists():
        freed = _unlock(archive, force)
        done.append(Unlocked(freed.is_free, f"its archive in {archive} {freed.sentence}"))
    return done


def _unlock(output: Path, force: bool) -> Unlocked:
    if not lock_path(output).exists() and not owner_path(output).exists():
        return Unlocked(True, "is not locked")
    with try_lock(output) as found:
        if found == "":
            return Unlocked(True, "is not locked")
        if found is not None:
            left = "What that left half made is removed by the next build"
            return Unlocked(True, f"was locked by {found}; it is free. {left}")
    holder = find_holder(output)
    running = [pid for pid, _ in holder.heirs] if holder.owner is None else []
    if holder.owner is not None and holder.liveness == "alive":
        running = [holder.owner.pid]
    if running:
        pids = " ".join(map(str, running))
        return Unlocked(False, f"is being built by {holder}, which is running. Wait for it, or stop it: kill {pids}")
    if holder.heirs:
        return Unlocked(False, f"was locked by {holder}. {holder.advice}")
    if force:
        break_lock(output)
        return Unlocked(
            True,
            f"was locked by {holder}, and was freed by force. If that process still runs, it finds that out before it "
            "puts anything in place, and stops",
        )
    return Unlocked(False, f"is locked by {holder}. {_how_to_be_sure(holder)}")


def _how_to_be_sure(holder: Holder) -> str:
    """Say how to find out whether the owner of a lock still runs, and what to do if it does not."""
    if holder.owner is None:
        where = "It cannot be seen from here which process that is: look on every machine that uses this disk"
    elif holder.liveness == "dead":
        where = "That process has ended, but another one keeps the lock, which cannot be seen from here"
    else:
        same_host = holder.owner.host == Owner.here().host
        place = ("in the other container on " if same_host else "on ") + holder.owner.host
        where = f"That cannot be seen from here: look {place} (ps -p {holder.owner.pid})"
    when = "" if holder.quiet is None else f" Its last sign of life was {say_duration(holder.quiet)} ago."
    return (
        f"{where}.{when} If none comes for {say_duration(STALE * holder.refresh)}, the next build takes the lock over. "
        "If nothing builds it any more, free it with --force"
    )
