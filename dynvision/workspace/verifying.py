"""Verifying what was made: everything is read again and compared with its record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dynvision.data.images.files import list_images
from dynvision.errors import DamagedFileError, DynvisionError
from dynvision.records import Record
from dynvision.system.files import sha256_file
from dynvision.system.machine import usable_cores
from dynvision.targets import Target
from dynvision.workspace.workspace import Workspace

__all__ = ["Verification", "verify_targets"]


@dataclass(frozen=True)
class Verification:
    """What was found of a target.

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
        stage = workspace.stage(target)
        try:
            record = stage.read_record(target)
            if record is None:
                yield Verification(target, "missing", "it has not been built")
                continue
            content, sentence = _READERS[target.stage](workspace, target, record)
            if not record.has_content(content):
                raise DamagedFileError(f"{stage.output(target)} does not hold what was written")
        except (DynvisionError, OSError, ValueError, LookupError) as error:
            way_out = (
                "" if f"dynvision make {target}" in str(error) else f". Build it again: dynvision make --force {target}"
            )
            yield Verification(target, "damaged", f"{error}{way_out}")
            continue
        yield Verification(target, "whole", sentence)


def _read_raw(workspace: Workspace, target: Target, record: Record) -> tuple[str, str]:
    from dynvision.stages.raw import RawStage

    stage = workspace.stages["raw"]
    assert isinstance(stage, RawStage)
    folder, count = stage.output(target), record.details["images"]
    if not stage.is_exported(target.key[1]):
        return stage.check_unchanged(target), f"{count} images have the sizes and times that were observed"
    numbered = sorted(
        (int(Path(name).stem), entry["index"], folder / entry["folder"] / name)
        for entry in record.details["classes"]
        for name in list_images(folder / entry["folder"])
    )
    digest = hashlib.sha256()
    with ThreadPoolExecutor(usable_cores()) as pool:
        for index, part in pool.map(lambda item: _read_pixels(item[1], item[2], record.details["channels"]), numbered):
            digest.update(f"{index},{part[0]};".encode())
            digest.update(part[1])
    return digest.hexdigest()[:32], f"{len(numbered)} images hold the pixels that were exported"


def _read_pixels(index: int, path: Path, channels: int) -> tuple[int, tuple[tuple[int, ...], bytes]]:
    import numpy as np

    from dynvision.data.images.reading import decode_image

    try:
        pixels = decode_image(np.fromfile(path, dtype=np.uint8), channels)
    except OSError as error:
        raise DamagedFileError(f"{path}: {error}") from error
    shown = pixels[:, :, 0] if channels == 1 else pixels
    return index, (shown.shape, shown.tobytes())


def _read_interim(workspace: Workspace, target: Target, record: Record) -> tuple[str, str]:
    folder = workspace.stage(target).output(target)
    for entry in record.details["classes"]:
        held = len(list_images(folder / entry["folder"]))
        if held != entry["count"]:
            raise DamagedFileError(
                f"{folder / entry['folder']} leads to {held} images where {entry['count']} were linked"
            )
    return "", f"{len(record.details['classes'])} links lead to {record.details['images']} images"


def _read_processed(workspace: Workspace, target: Target, record: Record) -> tuple[str, str]:
    from dynvision.data.betons.sidecars import verify_beton
    from dynvision.system.files import digest_json

    folder = workspace.stage(target).output(target)
    samples, missing = 0, set()
    for name in record.details["parts"]:
        file = verify_beton(folder / f"{name}.beton", full=True)["file"]
        samples += file["samples"]
        missing |= {source for source, _ in file["bad_images"]}
    return digest_json(sorted(missing)) if missing else "", f"{samples} samples, byte for byte"


def _read_models(workspace: Workspace, target: Target, record: Record) -> tuple[str, str]:
    from safetensors.torch import load_file

    from dynvision.stages.models import digest_weights

    weights = load_file(workspace.stage(target).output(target) / "trained.safetensors")
    return digest_weights(weights), f"{sum(value.numel() for value in weights.values())} weights"


def _read_responses(workspace: Workspace, target: Target, record: Record) -> tuple[str, str]:
    from dynvision.experiments.store import digest_content, verify_store

    note = verify_store(workspace.stage(target).output(target))
    return digest_content(note["digests"]), f"{len(note['digests'])} arrays of {record.details['samples']} trials"


def _read_summary(workspace: Workspace, target: Target, record: Record) -> tuple[str, str]:
    from dynvision.stages.summary import SummaryStage

    stage = workspace.stages["summary"]
    assert isinstance(stage, SummaryStage)
    folder, files = stage.output(target), record.details["files"]
    content = stage.digest(target, folder)
    if record.has_content(content):
        for name, digest in files.items():
            if sha256_file(folder / name) != digest:
                raise DamagedFileError(f"{folder / name} does not hold what was written")
    return content, f"{record.details['rows']} rows, {len(files)} files byte for byte"


_READERS: dict[str, Callable[[Workspace, Target, Record], tuple[str, str]]] = {
    "raw": _read_raw,
    "interim": _read_interim,
    "processed": _read_processed,
    "models": _read_models,
    "responses": _read_responses,
    "summary": _read_summary,
}
"""Each gives the digest of the content that is there, as its stage puts it into the data version, and a sentence."""
