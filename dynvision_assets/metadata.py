"""What the UI shows of a partition: its numbers, tables and pictures."""

from __future__ import annotations

import base64
import math
from typing import Any

import dagster as dg

from dynvision.records import Record
from dynvision.system.escaping import escape_markdown, show_text
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.pictures import draw_target

__all__ = ["describe_record", "name_tags"]

_NUMBERS = ("images", "samples", "bytes", "parameters", "accuracy", "chance", "n_timesteps", "conditions", "rows")
"""Details of a record that describe the result."""

_NUMBERS_OF_A_RUN = ("seconds", "steps_computed", "steps_naive", "conditions_together", "threads")
"""Details of a record that describe how it was computed."""


def name_tags(workspace: Workspace, key: tuple[str, ...]) -> dict[str, str]:
    """Return the tags by which the UI finds and filters an asset: dataset, model, experiment, subject."""
    return {f"dynvision/{name}": value for name, value in workspace.stages[key[0]].tags(key).items()}


def describe_record(workspace: Workspace, target: Target, record: Record) -> dict[str, Any]:
    """Turn a record into Dagster's metadata: the UI plots numbers over partitions, and shows tables and pictures.

    Args:
        workspace: The workspace.
        target: A finished target.
        record: Its record.

    Returns:
        Metadata by name, as values that Dagster accepts.
    """
    details = record.details
    metadata: dict[str, Any] = {
        "path": dg.MetadataValue.path(str(workspace.stage(target).output(target))),
        "partition": str(target.partition or "all conditions"),
        **{name: details[name] for name in (*_NUMBERS, *_NUMBERS_OF_A_RUN) if details.get(name) is not None},
    }
    if "images" in details and details.get("seconds"):
        metadata["images_per_second"] = round(details["images"] / details["seconds"], 1)
    if "readout" in details and details.get("labels_match") != "none":
        metadata["readout"] = ", ".join(f"{key} {value}" for key, value in details["readout"].items())
    if "val_accuracy" in details:
        metadata["val_accuracy"] = details["val_accuracy"][-1]
        metadata["training_loss"] = details["loss"][-1]
    for layer, value in details.get("peak_response", {}).items():
        metadata[f"peak_response_{layer}"] = value
    if details.get("classes"):
        metadata["classes"] = _table(details["classes"])
    if "tuning" in details:
        metadata["tuning_table"] = _table(details["tuning"])
    if details.get("fits"):
        metadata["fits_table"] = _table(details["fits"])
    if "phenomena" in details:
        metadata["phenomena_table"] = _table(details["phenomena"])
    if "subjects" in details:
        metadata["subjects"] = ", ".join(details["subjects"])
    for title, png in draw_target(workspace.stage(target), target, record).items():
        encoded = base64.b64encode(png).decode()
        metadata[title] = dg.MetadataValue.md(
            f"![{escape_markdown(f'{target}: {title}')}](data:image/png;base64,{encoded})"
        )
    plain = {show_text(key): _plain(value) for key, value in metadata.items()}
    return {key: value for key, value in plain.items() if value is not None}


def _table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Turn rows into a table. The type of a column is that of its first value that is not `None`."""
    records = [dg.TableRecord({show_text(key): _plain(value) for key, value in row.items()}) for row in rows]
    first = {key: next((row[key] for row in rows if row[key] is not None), None) for key in rows[0]}
    columns = [dg.TableColumn(show_text(key), _column_type(value)) for key, value in first.items()]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def _plain(value: Any) -> Any:
    """Round a number to seven digits, the precision of float32, and show a text on one line.

    A number that is not finite is `None`, because the UI cannot read it: an accuracy is NaN if no class is named.
    Dagster shows texts as they are, so there is no Markdown to escape in them.
    """
    if isinstance(value, str):
        return show_text(value)
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value


def _column_type(value: Any) -> str:
    """Return Dagster's name for the type of a value."""
    return {int: "int", float: "float"}.get(type(value), "string")
