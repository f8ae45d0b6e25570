from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynvision.targets import STAGES
from tests.browser.conftest import Dagster, wait_for
from tests.dynvision_assets.helpers import run_dynvision

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

Screenshot = Callable[[str], Path]


def open_launchpad(page: Any, url: str) -> Any:
    """Open an asset's page and the window in which partitions are chosen."""
    page.goto(url)
    page.locator('button:has-text("Materialize")').first.click()
    dialog = page.locator("[role=dialog].dagster-dialog")
    dialog.get_by_text("Partition selection").wait_for()
    return dialog


def set_aside(folder: Path) -> None:
    """Move away what another test has made, so that only this one can have made it."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.aside"))


def test_the_lineage_shows_all_stages_from_raw_to_summary(dagster: Dagster, page: Any, screenshot: Screenshot) -> None:
    page.goto(f"{dagster.url}/asset-groups")
    for stage in STAGES:
        page.get_by_text(stage, exact=True).first.wait_for()
    screenshot("groups")

    page.goto(f"{dagster.url}/assets/raw/gratings?view=lineage&lineageScope=downstream&lineageDepth=10")
    graph = page.locator("svg:has(foreignObject)").first
    graph.get_by_text("rcnn_ends").first.wait_for()
    screenshot("assets")
    for name, count in (("gratings", 4), ("rcnn_ends", 2), ("rcnn_gratings", 4)):
        wait_for(lambda: graph.get_by_text(name, exact=True).count() == count, 30, f"{count} assets called {name}")  # noqa: B023
    places = [graph.get_by_text(stage, exact=True).first.bounding_box()["x"] for stage in STAGES]
    assert all(left < right for left, right in itertools.pairwise(places)), dict(zip(STAGES, places, strict=True))


def test_a_partition_of_raw_is_materialized_by_clicking(dagster: Dagster, page: Any, screenshot: Screenshot) -> None:
    folder = dagster.root / "data/raw/gratings/test"
    set_aside(folder)
    known = set(dagster.runs())
    page_of_partition = f"{dagster.url}/assets/raw/gratings?view=partitions&partition=test"
    dialog = open_launchpad(page, page_of_partition)
    launch = dialog.get_by_role("button", name="Launch 1 run")
    launch.wait_for()
    screenshot("chosen")
    launch.click()
    (run,) = dagster.wait_for_runs(known)
    assert run["status"] == "SUCCESS", run
    assert {"key": "dagster/partition", "value": "test"} in run["tags"]
    assert (folder / "manifest.json").is_file()
    assert len(list(folder.glob("*/*.png"))) == 12
    page.goto(page_of_partition)
    page.get_by_text("images_per_second", exact=True).first.wait_for()
    assert page.get_by_text("Materialized", exact=True).first.is_visible()
    screenshot("materialized")


def test_a_backfill_over_three_contrasts_is_one_run(dagster: Dagster, page: Any, screenshot: Screenshot) -> None:
    made = run_dynvision(dagster.root, "make", "models/rcnn/gratings:all_s0", "processed/gratings:test_all")
    assert made.returncode == 0, made.stderr
    stores = dagster.root / "data/responses/contrast/rcnn_gratings"
    set_aside(stores)
    known = set(dagster.runs())
    page_of_asset = f"{dagster.url}/assets/responses/contrast/rcnn_gratings?view=partitions"
    dialog = open_launchpad(page, page_of_asset)
    dialog.get_by_role("button", name="All", exact=True).click()
    dialog.get_by_text("4 partitions").wait_for()
    dialog.get_by_role("button", name="Custom", exact=True).click()
    dialog.locator('[data-tooltip="1.0"]').get_by_role("img", name="close").click()
    dialog.get_by_text("3 partitions").wait_for()
    screenshot("chosen")
    dialog.get_by_role("button", name="Launch backfill").click()
    # The daemon marks a backfill as done up to a minute after its runs: they are what counts.
    runs = dagster.wait_for_runs(known, timeout=240)
    assert [run["status"] for run in runs] == ["SUCCESS"], runs
    assert runs[0]["assetSelection"] == [{"path": ["responses", "contrast", "rcnn_gratings"]}]
    tags = {tag["key"]: tag["value"] for tag in runs[0]["tags"]}
    assert "dagster/backfill" in tags
    found = sorted(path.name for path in stores.iterdir() if not path.name.startswith("."))
    assert found == ["contrast=0.1.zarr", "contrast=0.5.zarr", "contrast=0.8.zarr"]
    assert all((stores / name / "record.json").is_file() for name in found)
    page.goto(f"{page_of_asset}&partition=0.5")
    page.get_by_text("peak_response_V1").first.wait_for()
    screenshot("finished")


def test_the_picture_of_a_summary_is_visible(dagster: Dagster, page: Any, screenshot: Screenshot) -> None:
    made = run_dynvision(dagster.root, "make", "summary/contrast/rcnn_gratings")
    assert made.returncode == 0, made.stderr
    page.goto(f"{dagster.url}/assets/summary/contrast/rcnn_gratings")
    page.get_by_text("rows", exact=True).first.wait_for()
    screenshot("numbers")
    picture = page.locator('img[alt*="summary/contrast/rcnn_gratings"]').first
    if not picture.is_visible():
        page.get_by_text("Show Markdown").first.click()
    picture.wait_for()
    picture.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete", arg=picture.element_handle())
    width, height = picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    screenshot("picture")
    assert width > 300
    assert height > 200
    assert picture.bounding_box()["width"] > 100
