"""What a recording is told: the conditions of a sweep, the network, the images, and how to compute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynvision.config.sections.recording import RecordConfig, RunConfig
from dynvision.data.images.samples import NO_CLASS
from dynvision.experiments.readout import LabelMatch
from dynvision.experiments.stores.writer import StoreWriter
from dynvision.models.classes import NUMBERED
from dynvision.records import Record
from dynvision.stimuli.presentation import Presentation

if TYPE_CHECKING:
    from dynvision.data.stores.base import StoredImages

__all__ = ["OrderedCondition", "OrderedImages", "OrderedNetwork", "OrderedTrials", "RecordedSweep", "SweepOrder"]


@dataclass(frozen=True)
class OrderedCondition:
    """One condition of a sweep.

    Attributes:
        name: Its target as text, for messages and the store's attributes.
        presentation: What is shown when, without the idle steps before it.
        settings: Everything in the configuration that its responses follow from, as JSON-ready values.
        store: Where its store will be.
    """

    name: str
    presentation: Presentation
    settings: Mapping[str, Any]
    store: Path


@dataclass(frozen=True)
class OrderedNetwork:
    """The network of a sweep.

    Attributes:
        record: The record of its training.
        weights: The file of its weights.
        subject: The settings of the subject that it is, for the store's attributes.
    """

    record: Record
    weights: Path
    subject: Mapping[str, Any]

    @property
    def output_classes(self) -> list[int]:
        """The class of each output, in the order of the dataset that the network was trained on, or in its own."""
        return [entry["index"] for entry in self.record.details["classes"]]

    @property
    def class_names(self) -> dict[int, str]:
        """The name of the class of each output, by its index; none if the outputs are only numbered."""
        details = self.record.details
        return {} if details.get("classes_from") == NUMBERED else {e["index"]: e["name"] for e in details["classes"]}


@dataclass(frozen=True)
class OrderedImages:
    """The images of a sweep.

    Attributes:
        source: Opens the images of the shown partition.
        resolution: Width and height of an image in pixels.
        part: Which part of them is shown: `test`, or `images` of a stimulus set.
    """

    source: StoredImages
    resolution: int
    part: str = "test"

    @property
    def group_classes(self) -> list[int]:
        """The classes that are shown, in the dataset's own order."""
        return [entry["index"] for entry in self.source.labels]

    @property
    def class_names(self) -> dict[int, str]:
        """The name of each class that is shown, by its index."""
        return {entry["index"]: entry["name"] for entry in self.source.labels}


@dataclass(frozen=True)
class OrderedTrials:
    """The images of a trial. All conditions of an experiment share them, so that they can be compared trial by trial.

    Attributes:
        n_images: The most that any condition shows.
        other_class: Which of them are of another class than the first, in order, in any condition.
    """

    n_images: int = 1
    other_class: tuple[int, ...] = ()

    @classmethod
    def of(cls, presentations: Iterable[Presentation]) -> OrderedTrials:
        """Find the images that the trials of several presentations need."""
        shown = list(presentations)
        others = {number for presentation in shown for number in presentation.other_class}
        return cls(max((p.n_images for p in shown), default=1), tuple(sorted(others)))


@dataclass(frozen=True)
class SweepOrder:
    """Everything that a recording needs to know.

    Attributes:
        name: The experiment and the subject, for messages.
        conditions: The conditions that are recorded together.
        network: The network.
        images: The images.
        inputs: The data versions of network and images, by target.
        code_version: The version of the code that records.
        record: What is recorded.
        run: How it is computed.
        idle: Steps before each trial that are not recorded.
        choices: Among which outputs the readout chooses: `group` or `all`.
        n_conditions: Conditions of the whole experiment, whichever of them are recorded.
        trials: The images of a trial, whichever conditions are recorded.
        fresh: Take nothing over from an interrupted run.
        labels: How the labels of the images stand to the classes of the network.
    """

    name: str
    conditions: tuple[OrderedCondition, ...]
    network: OrderedNetwork
    images: OrderedImages
    inputs: Mapping[str, str]
    code_version: str
    record: RecordConfig
    run: RunConfig
    idle: int
    choices: str
    n_conditions: int
    trials: OrderedTrials
    fresh: bool = False
    labels: LabelMatch = field(default_factory=LabelMatch)

    @property
    def shown_classes(self) -> list[int]:
        """The classes of the network that the classes that are shown stand for."""
        return [c for c in self.labels.classes_of(self.images.group_classes).tolist() if c != NO_CLASS]

    @property
    def dt(self) -> float | None:
        """Milliseconds of a step: those of the presentation, or else of the network; `None` leaves time in steps."""
        dt = self.conditions[0].presentation.dt
        return self.network.record.config["args"].get("dt") if dt is None else dt


@dataclass(frozen=True)
class RecordedSweep:
    """What a recording wrote; no store is in place yet.

    Attributes:
        writers: The writer of each condition, in the order's order.
        making: What the numbers follow from besides the settings: threads, torch, device, sizes of batches and blocks.
        steps_naive: Steps of a trial if each condition were shown by itself.
        dt: Milliseconds of a step, or `None`.
        labels_match: How labels stand to the network's classes; see `LabelMatch`.
    """

    writers: tuple[StoreWriter, ...]
    making: Mapping[str, Any]
    steps_naive: int
    dt: float | None = None
    labels_match: str = "index"
