"""The checks of raw images, and reading exported ones again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dynvision.data.images.files import list_images
from dynvision.data.images.image_table import ImageRow
from dynvision.data.images.reading import decode_image, read_image
from dynvision.data.images.shared import SharedImages, find_shared_images
from dynvision.data.images.stimulus_table import FILENAME
from dynvision.errors import DamagedFileError
from dynvision.records import Record
from dynvision.stages.base.checks import Check, CheckResult, Inspected, Inspection, count_images_again
from dynvision.system.failures import as_unreadable
from dynvision.system.machine import usable_cores
from dynvision.targets import Target

__all__ = ["RAW_CHECKS", "RawInspection", "digest_export"]

STATISTICS_WITHIN = 0.02
"""How far a mean or standard deviation may be from data_statistics, for images in [0, 1]."""

SHARED_IMAGES = 0.01
"""The share of a split's images that another split may hold, unless the configuration says otherwise."""

_SAMPLE = 1000
"""How many images a check looks at."""


@dataclass(frozen=True)
class ImageSample:
    """What a look at some of the images found.

    Attributes:
        count: How many images were looked at.
        mean: The mean of each channel, for images in [0, 1].
        std: The standard deviation of each channel.
        bad: A line for each image that cannot be read.
    """

    count: int
    mean: list[float]
    std: list[float]
    bad: list[str]


class RawInspected(Inspected, Protocol):
    """What these checks need of the stage."""

    def partitions(self, key: tuple[str, ...]) -> list[str | None]:
        """Return the splits of a dataset."""
        ...

    def read_record(self, target: Target) -> Record | None:
        """Return the record of a split; `None` if it has not been built."""
        ...

    def read_images(self, target: Target, record: Record) -> dict[str, list[ImageRow]]:
        """Read the table of a split's images by class folder."""
        ...

    def read_stimuli(self, target: Target, record: Record) -> dict[str, list[Any]] | None:
        """Read the table of a stimulus set; `None` for other datasets."""
        ...


class RawInspection(Inspection):
    """A look at the images of a split; the sample of images is decoded once for all checks that need it."""

    stage: RawInspected

    @cached_property
    def shared(self) -> dict[str, SharedImages]:
        """The images that this split shares with each other split that has been built.

        A damaged split is compared when it is built again.
        """
        own = self.stage.read_images(self.target, self.record)
        found: dict[str, SharedImages] = {}
        for split in self.stage.partitions(self.target.key):
            other = Target(self.target.key, split)
            others = None if other == self.target else _read_if_whole(self.stage, other)
            if others is not None:
                found[str(split)] = find_shared_images(own, others)
        return found

    @cached_property
    def sample(self) -> ImageSample:
        """Images taken evenly from all classes, decoded."""
        details = self.record.details
        size = self.stage.config.data.data_resolution[self.target.key[1]]
        bad: list[str] = []
        total, squares = np.zeros(details["channels"]), np.zeros(details["channels"])
        pixels = count = 0
        for name in self._choose_images():
            count += 1
            try:
                image = read_image(self.folder / name, details["channels"], size, details.get("bit_depth")) / 255.0
            except (OSError, ValueError) as error:
                bad.append(f"{name}: {error}")
                continue
            total, squares = total + image.sum(axis=(0, 1)), squares + (image**2).sum(axis=(0, 1))
            pixels += size * size
        mean = total / max(pixels, 1)
        std = np.sqrt(np.maximum(squares / max(pixels, 1) - mean**2, 0))
        return ImageSample(count, mean.tolist(), std.tolist(), bad)

    def _choose_images(self) -> Iterator[str]:
        """Yield the paths of images taken evenly from all classes, or from a stimulus set."""
        classes = self.record.details["classes"]
        if not classes:
            stimuli = self.stage.read_stimuli(self.target, self.record) or {}
            yield from _take_evenly(stimuli.get(FILENAME, []), _SAMPLE)
        for entry in classes:
            names = list_images(self.folder / entry["folder"])
            for name in _take_evenly(names, max(1, _SAMPLE // len(classes))):
                yield f"{entry['folder']}/{name}"


def classes_hold_the_images_that_were_counted(inspection: RawInspection) -> CheckResult:
    """Every class, or the stimulus set, has as many images as when it was written or found: none is lost or added."""
    name = "classes_hold_the_images_that_were_counted"
    if not inspection.record.details["classes"]:
        stimuli = inspection.stage.read_stimuli(inspection.target, inspection.record) or {}
        lost = [path for path in stimuli.get(FILENAME, []) if not (inspection.folder / path).is_file()]
        total = inspection.record.details["images"]
        return CheckResult(name, not lost, f"{total - len(lost)} of {total} images", {"images": total}, lost)
    counts, wrong = count_images_again(inspection.folder, inspection.record)
    total = sum(counts.values())
    sentence = f"{total} images in {len(counts)} class folders"
    return CheckResult(name, not wrong, sentence, {"images": total}, wrong)


def classes_are_balanced(inspection: RawInspection) -> CheckResult:
    """No class has more than ten times the images of another, which would make accuracy that of the largest class."""
    if not inspection.record.details["classes"]:
        return CheckResult("classes_are_balanced", True, "the images have no classes")
    counts = {f"{c['index']} {c['name']}": c["count"] for c in inspection.record.details["classes"]}
    least, most = min(counts.values()), max(counts.values())
    rare = [f"{name}: {count}" for name, count in counts.items() if most > 10 * count]
    sentence = f"{least} to {most} images a class in {len(counts)} classes"
    return CheckResult("classes_are_balanced", not rare, sentence, {"least": least, "most": most}, rare)


def every_file_is_an_image(inspection: RawInspection) -> CheckResult:
    """The folders hold nothing but images; all other files are ignored."""
    ignored: dict[str, list[Any]] = inspection.record.details.get("ignored", {})
    count = sum(number for number, _ in ignored.values())
    others = [
        f"{folder}/{example}" + (f" and {number - 1} more" if number > 1 else "")
        for folder, (number, example) in ignored.items()
    ]
    noun = "class folders" if inspection.record.details["classes"] else "folders"
    sentence = f"{count} entries of {len(ignored)} {noun} are no images and are left out"
    return CheckResult("every_file_is_an_image", not count, sentence, {"left_out": count}, others)


def a_sample_of_images_can_be_decoded(inspection: RawInspection) -> CheckResult:
    """Images taken evenly from the classes were opened, and each is a whole picture."""
    sample = inspection.sample
    sentence = f"{sample.count - len(sample.bad)} of {sample.count} images can be decoded"
    numbers: dict[str, float] = {"looked_at": sample.count, "bad": len(sample.bad)}
    return CheckResult("a_sample_of_images_can_be_decoded", not sample.bad, sentence, numbers, sample.bad)


def statistics_are_those_of_the_images(inspection: RawInspection) -> CheckResult:
    """The mean and deviation by which images are standardized (data_statistics) are those of the images, within 2 %."""
    # Those of a stimulus set are not compared: they may be those of the images that the network was trained on.
    name = "statistics_are_those_of_the_images"
    given = inspection.stage.config.data.data_statistics.get(inspection.target.key[1])
    if given is None or inspection.target.partition != "train":
        why = "there are none in data_statistics" if given is None else "they are those of the training images"
        return CheckResult(name, True, f"not compared: {why}")
    sample = inspection.sample
    if len(given.mean) != len(sample.mean):
        sentence = (
            f"the images have {len(sample.mean)} channel(s), but data_statistics has {len(given.mean)} means; give a "
            "mean and a std for each channel, and make the images again if the number was changed"
        )
        return CheckResult(name, False, sentence, {"channels": len(sample.mean), "means": len(given.mean)}, [sentence])
    numbers: dict[str, float] = {}
    wrong = []
    for statistic, stated, actual in (("mean", given.mean, sample.mean), ("std", given.std, sample.std)):
        for channel, (value, measured) in enumerate(zip(stated, actual, strict=True)):
            numbers[f"{statistic}_{channel}"] = round(measured, 4)
            if abs(value - measured) > STATISTICS_WITHIN:
                wrong.append(f"{statistic} of channel {channel}: {measured:.4f}, data_statistics says {value:.4f}")
    sentence = (
        f"mean {[round(v, 4) for v in sample.mean]}, standard deviation {[round(v, 4) for v in sample.std]} of "
        f"{sample.count} images"
    )
    return CheckResult(name, not wrong, sentence, numbers, wrong)


def splits_hold_different_images(inspection: RawInspection) -> CheckResult:
    """Splits differ: at most 1 % of the images are in another one, too, or as many as max_shared_images allows."""
    dataset = inspection.target.key[1]
    allowed = inspection.stage.config.data.max_shared_images.get(dataset, SHARED_IMAGES)
    wrong: list[str] = []
    for split, shared in inspection.shared.items():
        is_same = len(shared.pairs) == shared.n_images == shared.n_others
        if is_same or shared.share > allowed:
            what = "are the same images as" if is_same else "are images of"
            wrong.append(
                f"{len(shared.pairs)} of {shared.n_images} images of {inspection.target.partition} {what} {split} "
                f"({shared.share:.1%}, allowed {allowed:.1%})"
            )
    sentence = "; ".join(wrong) or f"compared with {', '.join(inspection.shared) or 'no other split, as none is built'}"
    is_too_much = any("are images of" in line for line in wrong)
    or_else = f", or allow more: max_shared_images.{dataset} in config_data.yaml" if is_too_much else ""
    advice = f". Remove them from one split{or_else}"
    return CheckResult("splits_hold_different_images", not wrong, sentence + (advice if wrong else ""), {}, wrong)


def no_image_is_in_two_splits(inspection: RawInspection) -> CheckResult:
    """No image of this split is in another split, too: none that is tested was trained on (compared byte for byte)."""
    pairs = [f"{split}: {pair}" for split, shared in inspection.shared.items() for pair in shared.pairs]
    sentence = f"{len(pairs)} images are in another split, too"
    return CheckResult("no_image_is_in_two_splits", not pairs, sentence, {"shared": len(pairs)}, pairs)


RAW_CHECKS = (
    Check(classes_hold_the_images_that_were_counted, is_hard=True),
    Check(splits_hold_different_images, is_hard=True),
    Check(no_image_is_in_two_splits, is_hard=False),
    Check(classes_are_balanced, is_hard=False),
    Check(every_file_is_an_image, is_hard=False),
    Check(a_sample_of_images_can_be_decoded, is_hard=False),
    Check(statistics_are_those_of_the_images, is_hard=False),
)


def _take_evenly(names: Sequence[str], count: int) -> Sequence[str]:
    return names[:: max(1, len(names) // count)][:count]


def _read_if_whole(stage: RawInspected, target: Target) -> dict[str, list[ImageRow]] | None:
    """Return the images of a split; `None` if it has not been built or is damaged."""
    try:
        record = stage.read_record(target)
        return None if record is None else stage.read_images(target, record)
    except DamagedFileError:
        return None


def digest_export(folder: Path, record: Record) -> tuple[str, int]:
    """Digest the pixels of exported images as the export did.

    Args:
        folder: The folder of the class folders.
        record: The record of the export.

    Returns:
        The digest, and how many images there are.

    Raises:
        DamagedFileError: If an image cannot be decoded.
    """
    numbered = sorted(
        (int(Path(name).stem), entry["index"], folder / entry["folder"] / name)
        for entry in record.details["classes"]
        for name in list_images(folder / entry["folder"])
    )
    digest = hashlib.sha256()
    with ThreadPoolExecutor(usable_cores()) as pool:
        images = pool.map(lambda item: _read_pixels(item[2], record.details["channels"]), numbered)
        for (_, index, _), (shape, pixels) in zip(numbered, images, strict=True):
            digest.update(f"{index},{shape};".encode())
            digest.update(pixels)
    return digest.hexdigest()[:32], len(numbered)


def _read_pixels(path: Path, channels: int) -> tuple[tuple[int, ...], bytes]:
    try:
        pixels = decode_image(np.fromfile(path, dtype=np.uint8), channels)
    except OSError as error:
        raise as_unreadable(error, f"{path}: {error}") or DamagedFileError(f"{path}: {error}") from error
    image: Any = pixels[:, :, 0] if channels == 1 else pixels
    return image.shape, image.tobytes()
