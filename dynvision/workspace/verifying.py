"""Verifying what was made: everything is read again and compared with its record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from dynvision.errors import DamagedFileError, DynvisionError, UnreadableError
from dynvision.records import rebuild_advice
from dynvision.stages.base import UNCHECKED
from dynvision.system.failures import unreadable_file
from dynvision.targets import Target
from dynvision.workspace.workspace import Workspace

__all__ = ["Verification", "verify_targets"]


@dataclass(frozen=True)
class Verification:
    """The result of verifying a target.

    Attributes:
        target: The target.
        state: `whole`, `damaged` or `missing`.
        sentence: What was compared, or what is wrong.
    """

    target: Target
    state: Literal["whole", "damaged", "missing"]
    sentence: str


def verify_targets(workspace: Workspace, targets: Iterable[Target]) -> Iterator[Verification]:
    """Read targets again, byte for byte, and compare them with their records.

    Unlike `dynvision status`, which looks at records and settings, this finds a pixel, weight or response that changed
    after it was written.
    """
    for target in targets:
        yield _verify(workspace, target)


def _verify(workspace: Workspace, target: Target) -> Verification:
    stage = workspace.stage(target)
    try:
        record = stage.read_record(target)
        if record is None:
            return Verification(target, "missing", "it has not been built")
        stage.check_files(target, record, afresh=True)
        result = stage.read_back(target, record)
        if not record.has_content(result.content):
            raise DamagedFileError(f"{stage.output(target)} does not hold what was written")
    except UnreadableError as error:
        return Verification(target, "damaged", str(error))
    except (DynvisionError, ValueError, LookupError) as error:
        said = str(error)
        if "dynvision " not in said:  # otherwise it says what to do
            said = f"{said.removesuffix('.')}. Build it again: dynvision make --force {target}"
        return Verification(target, "damaged", said)
    except OSError as error:
        unreadable = unreadable_file(error.filename or stage.output(target), error, rebuild_advice(target))
        return Verification(target, "damaged", str(unreadable))
    if stage.unchecked_mark(target).exists():
        return Verification(target, "damaged", f"{UNCHECKED}. Make it: dynvision make {target}")
    return Verification(target, "whole", result.sentence)
