"""What a person sees and does in the UI, on one root that is made from nothing while the first tests look on.

The tests stand in the order of a first day: look at the graph, start everything, read a failure, look at the settings,
then use what has been made.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dynvision.stages.registry import STAGE_NAMES
from tests.helpers.chains import states
from tests.helpers.commands import run_dynvision
from tests.helpers.user_interface import Backfill, Dagster, launch_backfill, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

Screenshot = Callable[[str], Path]

TAGS_OF_TARGETS = ("dataset", "model", "experiment", "subject")

GROUPS = (*STAGE_NAMES[:-2], "responses_contrast", "summary_contrast")
"""The groups of one experiment, in the order in which they are made."""

RUNS_OF_THE_WHOLE_GRAPH = 7
"""One of raw, of interim and processed together, and of models; two of responses at least, two of summary."""


def open_dialog(page: Any, url: str) -> Any:
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


def test_the_lineage_shows_all_stages_from_raw_to_summary(
    whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    page.goto(f"{dagster.url}/asset-groups")
    for group in (*GROUPS, "responses_contrast_duration", "summary_contrast_duration", "summary_phenomena"):
        page.get_by_text(group, exact=True).first.wait_for()
    screenshot("groups")

    page.goto(f"{dagster.url}/assets/raw/gratings?view=lineage&lineageScope=downstream&lineageDepth=10")
    graph = page.locator("svg:has(foreignObject)").first
    graph.get_by_text("rcnn_ends").first.wait_for()
    screenshot("assets")
    for name, count in (("gratings", 4), ("rcnn_ends", 3), ("rcnn_gratings", 5)):
        wait_for(lambda: graph.get_by_text(name, exact=True).count() == count, 30, f"{count} assets called {name}")  # noqa: B023
    places = [graph.get_by_text(group, exact=True).first.bounding_box()["x"] for group in GROUPS]
    assert all(left < right for left, right in itertools.pairwise(places)), dict(zip(GROUPS, places, strict=True))


def test_an_asset_says_what_it_is_made_of_and_in_which_shapes(
    dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    for key, kinds, words in (
        ("raw/gratings", ["png"], "8-bit"),
        ("interim/gratings", ["symlink"], "folder.link"),
        ("processed/gratings", ["ffcv"], "32 × 32 pixels"),
        ("models/rcnn/gratings", ["pytorch"], "[batch, channels, 32, 32]"),
        ("responses/contrast/rcnn_gratings", ["zarr", "pytorch"], "(sample, time, channel[, y, x])"),
        ("summary/contrast/rcnn_gratings", ["matplotlib", "parquet"], "condition, time, layer, measure, value"),
    ):
        page.goto(f"{dagster.url}/assets/{key}")
        page.get_by_text(words).first.wait_for()
        shown = page.locator("body").inner_text().lower()
        assert all(kind in shown for kind in kinds), (key, kinds)
        assert "dynvision/dataset: gratings" in shown, key
        screenshot(key.replace("/", "_"))


def test_a_failure_says_what_happened_and_what_to_do(
    whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    known = set(dagster.runs())
    page.goto(f"{dagster.url}/assets/summary/contrast_duration/rcnn_gratings")
    page.locator('button:has-text("Materialize")').first.click()
    warning = page.locator("[role=dialog]")
    warning.get_by_text("may fail because the upstream assets").wait_for()  # Dagster warns; here it is ignored
    warning.get_by_role("button", name="Confirm").click()

    def failed() -> list[dict[str, Any]]:
        new = [run for name, run in dagster.runs().items() if name not in known]
        return [run for run in new if run["status"] == "FAILURE"]

    (run,) = wait_for(failed, 120, "the run that fails")
    page.goto(f"{dagster.url}/runs/{run['runId']}")
    sentence = page.get_by_text("is made from responses/contrast_duration/rcnn_gratings").first
    sentence.wait_for()
    screenshot("run")
    page.get_by_text("View full message").first.click()
    page.wait_for_timeout(1000)  # it fades in
    shown = page.locator("[role=dialog].dagster-dialog").inner_text()
    screenshot("message")
    assert "which is missing. Make it: dynvision make responses/contrast_duration/rcnn_gratings" in shown
    assert shown.index("Make it: dynvision make") < shown.index('File "')  # the traceback is below


def test_the_launchpad_offers_settings_that_are_described(dagster: Dagster, page: Any, screenshot: Screenshot) -> None:
    for key, settings, words in (
        ("raw/gratings", ["force", "wait"], "Threads that write images, 1 to 64"),
        ("models/rcnn/gratings", ["force", "device"], "Where the network is trained"),
        (
            "responses/contrast/rcnn_gratings",
            ["force", "device", "layers", "resolution"],
            "Images shown together",
        ),
    ):
        page.goto(f"{dagster.url}/assets/{key}")
        page.locator('button:has-text("Materialize")').first.click(modifiers=["Shift"])
        confirm = page.get_by_role("button", name="Confirm")  # where Dagster warns that nothing is there upstream
        no_errors = page.get_by_text("No errors")
        confirm.or_(no_errors).first.wait_for()
        if confirm.is_visible():
            confirm.click()
        no_errors.wait_for()
        launchpad = page.locator("[role=dialog].dagster-dialog").last
        launchpad.get_by_text("config", exact=True).first.wait_for()
        editor = launchpad.locator(".CodeMirror").first
        shown = editor.inner_text()
        screenshot(key.replace("/", "_"))
        assert all(f"{name}:" in shown for name in settings), shown
        assert ": 0" not in shown, "a number that is not set is left out"
        assert "root:" not in shown  # where things are is nothing to set for a run
        assert "engine: as_configured" in shown
        if words:
            described = dagster.config_of(key)
            assert set(settings) <= set(described)
            assert any("null means" in text for text in described.values()) == (key != "models/rcnn/gratings")
            assert any(words in text for text in described.values()), described


def test_the_automation_page_shows_two_switches_that_are_off_and_a_sensor_that_looks(
    dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    page.goto(f"{dagster.url}/automation")
    page.get_by_text("rebuild_what_is_stale").first.wait_for()
    page.get_by_text("notice_new_images").first.wait_for()
    switches = page.locator("input[type=checkbox][role=switch], [role=switch]")
    screenshot("switches")
    sensors = dagster.query(
        '{ sensorsOrError(repositorySelector: {repositoryName: "__repository__", repositoryLocationName: '
        '"dynvision"}) { ... on Sensors { results { name sensorState { status } } } } }'
    )["sensorsOrError"]["results"]
    assert {s["name"]: s["sensorState"]["status"] for s in sensors} == {
        "rebuild_what_is_stale": "STOPPED",
        "notice_new_images": "STOPPED",
        "see_what_is_stale": "RUNNING",
    }
    assert switches.count() in (0, 3)


def test_the_whole_graph_was_made_from_nothing_by_one_backfill(
    whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    page.goto(f"{dagster.url}/runs/b/{whole_graph.name}")
    page.get_by_text("raw").first.wait_for()
    screenshot("under_way")
    whole_graph.wait(RUNS_OF_THE_WHOLE_GRAPH)
    wait_for(lambda: set(states(dagster.root).values()) == {"fresh"}, 120, "everything to be up to date")
    page.goto(f"{dagster.url}/runs/b/{whole_graph.name}")
    page.get_by_text("rcnn_ends").first.wait_for()
    screenshot("finished")


def test_a_run_says_what_it_makes_and_from_where_and_nothing_of_its_process(
    whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    whole_graph.wait(RUNS_OF_THE_WHOLE_GRAPH)
    page.goto(f"{dagster.url}/runs/b/{whole_graph.name}?tab=runs")
    page.get_by_text("dynvision/experiment: contrast").first.wait_for()
    screenshot("tags")
    runs = [r for r in dagster.runs().values() if {"key": "dagster/backfill", "value": whole_graph.name} in r["tags"]]
    for run in runs:
        names = {tag["key"]: tag["value"] for tag in run["tags"] if not tag["key"].startswith("dagster/")}
        assert names.pop("dynvision/from") == "backfill"
        assert names.keys() <= {f"dynvision/{name}" for name in ("stage", *TAGS_OF_TARGETS)}, names


def test_a_summary_was_made_once_and_names_its_run(whole_graph: Backfill, dagster: Dagster) -> None:
    runs = whole_graph.wait(RUNS_OF_THE_WHOLE_GRAPH)
    found = dagster.query(
        '{ assetNodeOrError(assetKey: {path: ["summary", "contrast", "rcnn_ends"]}) { ... on AssetNode { '
        "assetMaterializations { runId } } } }"
    )["assetNodeOrError"]["assetMaterializations"]
    assert len(found) == 1
    assert found[0]["runId"] in {run["runId"] for run in runs}


def test_a_run_shows_its_progress_with_rate(
    whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    whole_graph.wait(RUNS_OF_THE_WHOLE_GRAPH)
    run = next(r for r in dagster.runs().values() if r["assetSelection"] == [{"path": ["models", "rcnn", "gratings"]}])
    page.goto(f"{dagster.url}/runs/{run['runId']}")
    page.get_by_placeholder("Filter…").fill("updates")
    line = page.get_by_text("updates (100%)").first
    line.wait_for()
    screenshot("progress")
    assert "a second" in line.inner_text()


def test_a_partition_of_raw_is_materialized_by_clicking(
    whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    whole_graph.wait(RUNS_OF_THE_WHOLE_GRAPH)
    folder = dagster.root / "data/raw/gratings/test"
    set_aside(folder)
    known = set(dagster.runs())
    page_of_partition = f"{dagster.url}/assets/raw/gratings?view=partitions&partition=test"
    dialog = open_dialog(page, page_of_partition)
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
    page.get_by_text("computed", exact=True).first.wait_for()
    assert page.get_by_text("Materialized", exact=True).first.is_visible()
    screenshot("materialized")


def test_a_range_of_contrasts_and_a_rectangle_of_contrast_and_duration_are_backfilled(
    whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    whole_graph.wait(RUNS_OF_THE_WHOLE_GRAPH)
    line = dagster.root / "data/responses/contrast/rcnn_gratings"
    grid = dagster.root / "data/responses/contrast_duration/rcnn_gratings"
    set_aside(line)
    set_aside(grid)
    dialog = open_dialog(page, f"{dagster.url}/assets/responses/contrast/rcnn_gratings?view=partitions")
    dialog.get_by_role("button", name="All", exact=True).click()
    dialog.get_by_text("4 partitions").wait_for()
    dialog.get_by_role("button", name="Custom", exact=True).click()
    dialog.locator('[data-tooltip="1.0"]').get_by_role("img", name="close").click()
    dialog.get_by_text("3 partitions").wait_for()
    screenshot("contrasts_chosen")
    contrasts = launch_backfill(dagster, dialog)

    dialog = open_dialog(page, f"{dagster.url}/assets/responses/contrast_duration/rcnn_gratings?view=partitions")
    for dimension in (0, 1):
        dialog.get_by_role("button", name="All", exact=True).nth(dimension).click()
    dialog.get_by_text("6 partitions").wait_for()
    dialog.locator('[data-tooltip="0.1"]').get_by_role("img", name="close").click()
    dialog.get_by_text("4 partitions").wait_for()
    screenshot("rectangle_chosen")
    rectangle = launch_backfill(dagster, dialog)

    (run,) = contrasts.wait(1)
    assert run["assetSelection"] == [{"path": ["responses", "contrast", "rcnn_gratings"]}]
    assert stores(line) == {"contrast=0.1", "contrast=0.5", "contrast=0.8"}
    rectangle.wait(1)
    wanted = {f"duration={d},contrast={c}" for d in (1, 3) for c in ("0.5", "1.0")}
    wait_for(lambda: stores(grid) == wanted, 120, f"{wanted}; there are {stores(grid)}")
    page.goto(f"{dagster.url}/assets/responses/contrast/rcnn_gratings?view=partitions&partition=0.5")
    page.get_by_text("peak_response_V1").first.wait_for()
    screenshot("finished")


def stores(folder: Path) -> set[str]:
    """The conditions that are complete in a folder."""
    return {path.parent.name.removesuffix(".zarr") for path in folder.glob("[!.]*.zarr/record.json")}


def test_numbers_are_plotted_over_partitions(
    whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    whole_graph.wait(RUNS_OF_THE_WHOLE_GRAPH)
    page.goto(f"{dagster.url}/assets/responses/contrast/rcnn_ends")
    page.get_by_text("Plots", exact=True).first.click()
    for number in ("accuracy", "latency_V1_ms", "time_to_peak_V1_ms", "peak_response_V1"):
        page.get_by_text(number, exact=True).first.wait_for()
    for nothing_to_plot in ("threads", "chance", "seconds", "bytes", "samples"):
        assert page.get_by_text(nothing_to_plot, exact=True).count() == 0, nothing_to_plot
    page.locator("canvas").first.wait_for()
    screenshot("plots")


def test_the_checks_of_a_stage_say_what_was_found(
    whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    whole_graph.wait(RUNS_OF_THE_WHOLE_GRAPH)
    for key, name, sentence in (
        ("raw/gratings", "classes_hold_the_images_that_were_counted", " images in 3 class folders"),
        ("responses/contrast/rcnn_ends", "responses_are_complete_and_finite", "4 partitions: "),
        ("processed/gratings", "image_files_are_as_they_were_written", " samples in "),
    ):
        page.goto(f"{dagster.url}/assets/{key}?view=checks&checkDetail={name}")
        page.get_by_text(sentence).first.wait_for()
        page.get_by_text("Passed", exact=True).first.wait_for()
        # A result that the sensor gave in the second of the newest materialization counts from its next turn on.
        wait_for(lambda: _all_checks_are_evaluated(page), 120, f"a result of every check of {key}")
        screenshot(key.replace("/", "_"))


def _all_checks_are_evaluated(page: Any) -> bool:
    if page.get_by_text("Not Evaluated").count() == 0:
        return True
    page.wait_for_timeout(5000)
    page.reload()
    page.get_by_text("Passed", exact=True).first.wait_for()
    return False


def test_every_stage_has_a_picture(whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot) -> None:
    whole_graph.wait(RUNS_OF_THE_WHOLE_GRAPH)
    for key in (
        "raw/gratings",
        "interim/gratings",
        "processed/gratings",
        "models/rcnn/gratings",
        "responses/contrast/rcnn_ends",
        "summary/contrast/rcnn_ends",
    ):
        page.goto(f"{dagster.url}/assets/{key}")
        thumbnail = page.locator(f'table img[alt*="{key}"]').first
        thumbnail.wait_for()  # without a click
        assert thumbnail.evaluate("image => image.naturalWidth") >= 80, key
        rows = page.locator("tbody tr td:first-child").all_inner_texts()
        assert rows[rows.index("picture") + 1].startswith("picture: "), rows
        page.get_by_text("Show Markdown").first.click()
        picture = page.locator(f'[role=dialog] img[alt*="{key}"]').first
        picture.wait_for()
        page.wait_for_function("image => image.complete", arg=picture.element_handle())
        width, height = picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
        screenshot(key.replace("/", "_"))
        assert width > 200, key
        assert height > 100, key
        assert picture.bounding_box()["width"] > 100, key


def test_a_click_leads_from_a_summary_and_from_its_responses_to_their_page(
    whole_graph: Backfill, dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    whole_graph.wait(RUNS_OF_THE_WHOLE_GRAPH)
    for key in ("summary/contrast/rcnn_ends", "responses/contrast/rcnn_ends"):
        page.goto(f"{dagster.url}/assets/{key}")
        link = page.get_by_role("link", name="Open the page")
        link.wait_for()
        screenshot(key.replace("/", "_"))
        page.locator(f'tbody a[href="{link.get_attribute("href")}"]').first.wait_for()  # in the metadata, too
        page.goto(link.get_attribute("href"))
        assert page.title() == "contrast: rcnn_ends"
        assert page.locator("img, svg").count() > 0
        screenshot(f"page_of_{key.replace('/', '_')}")


def test_a_run_of_the_command_line_is_on_the_timeline(dagster: Dagster, page: Any, screenshot: Screenshot) -> None:
    done = run_dynvision(dagster.root, "make", "--force", "raw/gratings:test")
    assert done.returncode == 0, done.stderr
    page.goto(f"{dagster.url}/overview/activity/timeline")
    page.get_by_text("make", exact=True).first.wait_for()
    screenshot("timeline")


def test_the_job_of_an_experiment_has_its_targets_filled_in(
    dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    page.goto(f"{dagster.url}/locations/dynvision/jobs/make_contrast/playground")
    page.get_by_text("summary/contrast/rcnn_gratings").first.wait_for()
    page.get_by_text("No errors").wait_for()
    screenshot("launchpad")


def test_the_page_of_an_experiments_configuration_shows_its_settings(
    dagster: Dagster, page: Any, screenshot: Screenshot
) -> None:
    page.goto(f"{dagster.url}/assets/config/experiments/contrast")
    page.get_by_text("data_loader").first.wait_for()
    screenshot("settings")
