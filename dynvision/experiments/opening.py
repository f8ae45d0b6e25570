"""Opening the stores of a sweep: one for each condition, new or as an interrupted run left it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynvision.experiments.describing import ShownImages, describe_making, describe_trials
from dynvision.experiments.order import OrderedCondition, SweepOrder
from dynvision.experiments.references import reference_names
from dynvision.experiments.stores.journal import read_header
from dynvision.experiments.stores.layout import StoreLayout
from dynvision.experiments.stores.store import count_batches, partial_path
from dynvision.experiments.stores.writer import StoreWriter, write_skeleton
from dynvision.system.json_values import same_json
from dynvision.system.progress import announce

__all__ = ["find_threads", "open_stores"]

_MOST_THREADS = 1024
"""The most threads that a run can be given."""


def open_stores(
    order: SweepOrder, images: ShownImages, layout: StoreLayout, layers: Mapping[str, Any], making: Mapping[str, Any]
) -> list[StoreWriter]:
    """Open the store of each condition: a new one, or what an interrupted run left.

    Args:
        order: What to record.
        images: The images of the trials.
        layout: The arrays of every store; those of the runs that a condition is compared with are added.
        layers: What is said of the units of each layer; see `describe_layers`.
        making: What the numbers follow from besides the settings.
    """
    writers = []
    with tempfile.TemporaryDirectory() as folder:
        for condition in order.conditions:
            runs = reference_names(condition.presentation)
            skeleton, layout = Path(folder) / "-".join(runs), layout.compared_with(runs)
            if not skeleton.exists():
                skeleton.mkdir()
                write_skeleton(skeleton, layout, layers)
            writers.append(_open_store(order, images, condition, layout, skeleton, making))
    _announce_discarded(order, writers)
    return writers


def find_threads(order: SweepOrder, making: Mapping[str, Any]) -> int:
    """Return the number of threads with which what an interrupted run left goes on, or else that of a new recording.

    Where the widest sums are, the last digits depend on it. So a run that has another number, as with another number of
    jobs at once, takes that of the stores that have the most batches.

    Args:
        order: What to record.
        making: What the numbers of a new recording follow from besides the settings.
    """
    own, batches = making["threads"], Counter[int]()
    for condition in () if order.fresh else order.conditions:
        header = read_header(partial_path(condition.store))
        before = header.get("making")
        threads = before.get("threads") if isinstance(before, dict) else None
        if type(threads) is int and 1 <= threads <= _MOST_THREADS:
            resumable = _describe_order(order, condition, {**making, "threads": threads})
            if same_json(header, resumable):
                batches[threads] += count_batches(condition.store)
    return max((n for n in batches if batches[n]), key=lambda n: (batches[n], n == own), default=own)


def _announce_discarded(order: SweepOrder, writers: Sequence[StoreWriter]) -> None:
    """Say which recordings begin anew though an interrupted run left some of them, and why."""
    reasons: dict[str, list[str]] = {}
    for condition, writer in zip(order.conditions, writers, strict=True):
        if writer.discarded:
            reasons.setdefault(writer.discarded, []).append(condition.name)
    for reason, names in reasons.items():
        shown = names[0] if len(names) == 1 else f"{order.name} ({len(names)} conditions)"
        announce(f"{shown}: its recording begins anew, because what an interrupted run left {reason}")


def _open_store(
    order: SweepOrder,
    images: ShownImages,
    condition: OrderedCondition,
    layout: StoreLayout,
    skeleton: Path,
    making: Mapping[str, Any],
) -> StoreWriter:
    """Open the store of a condition; the skeleton is a folder with the arrays of a new one."""
    attributes = describe_making(
        condition.settings,
        target=condition.name,
        layers=layout.layers,
        group_classes=order.images.group_classes,
        **order.labels.to_attributes(),
        inputs=order.inputs,
        subject=order.network.subject,
        model=order.network.record.config,
        images=order.images.source.record.config,
        **making,
    )
    coordinates = describe_trials(
        images,
        condition.presentation,
        order.network.output_classes,
        order.dt,
        order.network.class_names,
        order.images.class_names,
    )
    return StoreWriter(
        condition.store,
        layout,
        coordinates=coordinates,
        skeleton=skeleton,
        attributes=attributes,
        header=_describe_order(order, condition, making),
        fresh=order.fresh,
    )


def _describe_order(order: SweepOrder, condition: OrderedCondition, making: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that the numbers of a condition follow from."""
    return {
        "code_version": order.code_version,
        "settings": condition.settings,
        "inputs": order.inputs,
        "making": making,
    }
