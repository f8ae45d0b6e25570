"""What the UI shows of a partition: pictures, the numbers that it plots, facts as text, and tables."""

from __future__ import annotations

import base64
import math
from typing import Any

import dagster as dg

from dynvision.records import Record
from dynvision.reports.content import PAGE
from dynvision.system.escaping import code_span, escape_markdown, show_text
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.pages.facts import list_facts
from dynvision_assets.pictures import draw_target, draw_thumbnail, name_format

__all__ = ["describe_record", "name_tags"]

_SHOWN_AT_ONCE = 999
"""Characters of Markdown that Dagster's page shows without a click."""

_PLOTTED = ("accuracy", "images", "samples")
"""Details of a record that the UI plots over partitions. It plots every number, so all else is text."""

_TABLES = {"classes": "classes", "tuning": "tuning_table", "fits": "fits_table", "phenomena": "phenomena_table"}
"""Details of a record that are tables, and their names in the UI."""


def name_tags(workspace: Workspace, key: tuple[str, ...]) -> dict[str, str]:
    """Return the tags by which the UI finds and filters an asset: dataset, model, experiment, subject."""
    return {f"dynvision/{name}": value for name, value in workspace.stages[key[0]].tags(key).items()}


def describe_record(workspace: Workspace, target: Target, record: Record) -> dict[str, Any]:
    """Turn a record into Dagster's metadata, in the order in which the UI shows it: pictures come first.

    Args:
        workspace: The workspace.
        target: A finished target.
        record: Its record.

    Returns:
        Metadata by name, as values that Dagster accepts.
    """
    stage, details = workspace.stage(target), record.details
    folder = stage.output(target)
    pictures = _show_pictures(target, draw_target(stage, target, record))
    if not pictures and stage.has_films:
        pictures["picture"] = dg.MetadataValue.md(f"drawn by {code_span(f'dynvision show --stimulus {target}')}")
    metadata: dict[str, Any] = {
        **pictures,
        **({"report": dg.MetadataValue.path(str(folder / PAGE))} if stage.has_pages else {}),
        **_list_numbers(details),
        "partition": str(target.partition or "all conditions"),
        **list_facts(details),
        "path": dg.MetadataValue.path(str(folder)),
        **{title: _table(details[name]) for name, title in _TABLES.items() if details.get(name)},
    }
    plain = {show_text(key): _plain(value) for key, value in metadata.items()}
    return {key: value for key, value in plain.items() if value is not None}


def _show_pictures(target: Target, pictures: dict[str, bytes]) -> dict[str, dg.MarkdownMetadataValue]:
    """Return pictures as Markdown: first a small one that is seen without a click, then all of them."""
    shown: dict[str, dg.MarkdownMetadataValue] = {}
    for number, (title, content) in enumerate(pictures.items()):
        alt = escape_markdown(f"{target}: {title}")
        if number == 0:
            room = (_SHOWN_AT_ONCE - len(_write_picture(alt, b"", "webp"))) // 4 * 3
            thumbnail = draw_thumbnail(content, room)
            if thumbnail is not None:
                shown["picture"] = dg.MetadataValue.md(_write_picture(alt, thumbnail, "webp"))
        shown[f"picture: {title.replace('_', ' ')}"] = dg.MetadataValue.md(
            _write_picture(alt, content, name_format(content))
        )
    return shown


def _write_picture(alt: str, content: bytes, form: str) -> str:
    """Return a picture as Markdown that holds its bytes."""
    return f"![{alt}](data:image/{form};base64,{base64.b64encode(content).decode()})"


def _list_numbers(details: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers that are worth a plot over partitions, by name."""
    is_recorded = "n_timesteps" in details  # all conditions have the same samples
    numbers = {name: details[name] for name in _PLOTTED if not (is_recorded and name == "samples") and name in details}
    if "val_accuracy" in details:
        numbers |= {"val_accuracy": details["val_accuracy"][-1], "training_loss": details["loss"][-1]}
    numbers |= {f"peak_response_{layer}": value for layer, value in details.get("peak_response", {}).items()}
    dt = details.get("dt")
    unit, duration = ("steps", 1.0) if dt is None else ("ms", dt)
    for name in ("latency", "time_to_peak"):
        for layer, steps in details.get(name, {}).items():
            numbers[f"{name}_{layer}_{unit}"] = steps * duration
    return numbers


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
