"""What the UI shows of a target, from its record alone."""

from __future__ import annotations

import base64
import functools
import io
import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from dynvision.analysis.phenomena import list_phenomena
from dynvision.records import make_record
from dynvision.stages.registry import STAGE_NAMES
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.metadata import describe_record
from dynvision_assets.pages.facts import list_facts, say_size
from dynvision_assets.pictures import SMALL, _read, draw_thumbnail
from tests.helpers.chains import open_workspace, records


@functools.cache
def describe_all(root: Path) -> list[tuple[Target, dict[str, Any]]]:
    """What the UI shows of every finished target of a root that does not change."""
    workspace = open_workspace(root)
    return [(target, describe_record(workspace, target, record)) for target, record in records(root).items()]


def test_the_table_of_phenomena_is_shown(tmp_path: Path, small_config: Path) -> None:
    target = Target(("summary", "phenomena", "rcnn_gratings"))
    phenomena = list_phenomena({})
    rows = phenomena.astype(object).where(phenomena.notna(), None).to_dict(orient="records")
    record = make_record(
        target, code_version="1", config={}, inputs={}, content="", details={"phenomena": rows}, files={}
    )
    table = describe_record(Workspace.open(tmp_path, small_config), target, record)["phenomena_table"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [row.data["phenomenon"] for row in table.records] == phenomena["phenomenon"].tolist()
    assert all(str(row.data["note"]).startswith("not shown") for row in table.records)


def test_pictures_come_first_and_one_is_seen_without_a_click(made_root: Path) -> None:
    for target, metadata in describe_all(made_root):
        names = list(metadata)
        drawn = [name for name, value in metadata.items() if isinstance(value, dg.MarkdownMetadataValue)]
        assert names[: len(drawn)] == drawn, target
        assert drawn[0] == "picture", target
        assert all(name.startswith("picture: ") for name in drawn[1:]), target
        assert len(metadata["picture"].value) < 1000, target


def test_no_picture_takes_more_than_fifty_kilobytes_of_the_event_log(made_root: Path) -> None:
    described = describe_all(made_root)
    assert {target.stage for target, _ in described} == set(STAGE_NAMES)
    for target, metadata in described:
        for name, value in metadata.items():
            if isinstance(value, dg.MarkdownMetadataValue):
                assert len(value.value or "") < 50_000, (target, name)


def test_a_picture_can_be_opened_in_the_format_that_its_markdown_names(made_root: Path) -> None:
    for target, metadata in describe_all(made_root):
        for name, value in metadata.items():
            if isinstance(value, dg.MarkdownMetadataValue):
                form, encoded = re.findall(r"\(data:image/(\w+);base64,([\w+/=]+)\)", value.value or "")[0]
                with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
                    assert picture.format.lower() == form, (target, name)  # type: ignore[union-attr]
                    assert picture.width >= 80, (target, name)


def test_the_ui_plots_accuracy_peaks_and_times_of_responses_and_nothing_else(made_root: Path) -> None:
    (metadata,) = [
        m for target, m in describe_all(made_root) if str(target) == "responses/contrast/rcnn_ends:contrast=1.0"
    ]
    numbers = {name for name, value in metadata.items() if isinstance(value, int | float)}
    layers = ("V1", "IT", "classifier")
    assert {name for name in numbers if not name.startswith(("latency", "time_to_peak"))} == {
        "accuracy",
        *(f"peak_response_{layer}" for layer in layers),
    }
    assert {"latency_V1_ms", "time_to_peak_V1_ms"} <= numbers
    assert 0 < metadata["latency_V1_ms"] < metadata["time_to_peak_V1_ms"] <= 30
    assert metadata["computed"].startswith("4 conditions together, 28 of 40 steps a trial, on cpu, ")


def test_a_summary_names_its_page(made_root: Path) -> None:
    described = describe_all(made_root)
    pages = {str(target): metadata["report"].value for target, metadata in described if "report" in metadata}
    assert pages["summary/contrast/rcnn_gratings"] == str(made_root / "data/reports/contrast/rcnn_gratings/index.html")
    assert set(pages) == {str(target) for target, _ in described if target.stage == "summary"}
    assert all(Path(page).is_file() for page in pages.values())


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(950, "950 bytes"), (65_001, "65.0 kB"), (1_234_567_890, "1.2 GB"), (10**17, "100000.0 TB")]
)
def test_a_size_is_said_with_a_unit(n_bytes: int, text: str) -> None:
    assert say_size(n_bytes) == text


def test_how_one_condition_was_computed_is_said_in_the_singular() -> None:
    facts = list_facts({"conditions_together": 1, "threads": 1, "seconds": 3.4})
    assert facts == {"computed": "1 condition, 1 thread, 3.4 s"}


def test_a_picture_that_no_thumbnail_can_show_has_none() -> None:
    buffer = io.BytesIO()
    Image.effect_noise((400, 400), 200).save(buffer, "png")
    assert draw_thumbnail(buffer.getvalue(), 20) is None
    assert len(draw_thumbnail(buffer.getvalue(), 700) or b"") in range(1, 701)


def test_a_picture_that_cannot_be_drawn_costs_itself_and_not_the_event(
    made_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = open_workspace(made_root)
    target, record = next((t, r) for t, r in records(made_root).items() if t.stage == "summary")
    monkeypatch.setattr("dynvision_assets.pictures._read", lambda path: 1 / 0)
    metadata = describe_record(workspace, target, record)
    assert "picture" not in metadata
    assert "path" in metadata
    said = capsys.readouterr().err
    assert f"{target}: a picture for the browser could not be drawn (ZeroDivisionError: division by zero)" in said


def test_a_figure_of_very_many_layers_becomes_a_picture_that_webp_can_hold(tmp_path: Path) -> None:
    """WebP has no more than 16,383 rows."""
    path = tmp_path / "tall.png"
    picture = Image.new("RGB", (1600, 44_000), "white")
    for row in range(0, 44_000, 7):
        picture.paste(f"#{row * 97 % 2**24:06x}", (row % 1000, row, row % 1000 + 400, row + 3))
    picture.save(path)
    content = _read(path)
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.height <= 16_000
    assert len(content) <= SMALL
