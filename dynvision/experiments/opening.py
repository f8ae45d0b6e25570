"""Opening the stores of a sweep: one for each condition, new or as an interrupted run left it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynvision.experiments.describing import ShownImages, describe_making, describe_trials
from dynvision.experiments.order import OrderedCondition, SweepOrder
from dynvision.experiments.references import reference_names
from dynvision.experiments.stores.layout import StoreLayout
from dynvision.experiments.stores.writer import StoreWriter, write_skeleton

__all__ = ["open_stores"]


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
    return writers


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
    header = {
        "code_version": order.code_version,
        "settings": condition.settings,
        "inputs": order.inputs,
        "making": making,
    }
    return StoreWriter(
        condition.store,
        layout,
        coordinates=coordinates,
        skeleton=skeleton,
        attributes=attributes,
        header=header,
        fresh=order.fresh,
    )
