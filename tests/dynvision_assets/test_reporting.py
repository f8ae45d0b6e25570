"""`dynvision report`, and the pages that summaries write when they are made."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from dynvision.reports.index import write_index
from dynvision.targets import Target
from dynvision.workspace import Status
from dynvision_assets.commands.counting import explain_states
from tests.helpers.chains import copy_root, open_workspace, states
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_config
from tests.helpers.files import flip_byte
from tests.helpers.reports import PIXEL

SUMMARY = "summary/contrast/rcnn_gratings"
FOLDER = "data/reports/contrast/rcnn_gratings"


def test_a_summary_that_is_made_has_a_page_that_the_index_lists(made_root: Path) -> None:
    page = (made_root / FOLDER / "index.html").read_text()
    assert "<h1>contrast: rcnn_gratings</h1>" in page
    assert "responses/contrast/rcnn_gratings:contrast=0.5" in page
    assert 'href="contrast/rcnn_gratings/index.html"' in (made_root / "data/reports/index.html").read_text()


def test_a_summary_without_a_page_is_fresh_and_gets_one_without_being_made(chain: Path) -> None:
    record = (chain / FOLDER / "record.json").read_bytes()
    page = chain / FOLDER / "index.html"
    before = page.read_text()
    page.unlink()
    (chain / "data/reports/index.html").unlink()
    assert states(chain)[SUMMARY] == "fresh"
    done = call_dynvision(chain, "report")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [f"{SUMMARY}: {FOLDER}/index.html", f"open it in a browser: {page.as_uri()}"]
    assert page.read_text() == before
    assert (chain / FOLDER / "record.json").read_bytes() == record
    assert states(chain)[SUMMARY] == "fresh"
    assert call_dynvision(chain, "verify", SUMMARY).exit_code == 0
    (row,) = json.loads(call_dynvision(chain, "report", SUMMARY, "--json").stdout)
    assert row == {"target": SUMMARY, "path": str(page), "url": page.as_uri()}


def test_what_has_no_page_is_said_in_a_sentence(chain: Path) -> None:
    done = call_dynvision(chain, "report", "raw/gratings:train")
    assert (done.exit_code, done.stderr) == (
        2,
        "error: raw/gratings:train has no page; only summaries have. List them: dynvision list summary\n",
    )
    done = call_dynvision(chain, "report", "summary/contrast/rcnn_ends")
    assert done.exit_code == 1
    assert "has not been made. Make it: dynvision make summary/contrast/rcnn_ends" in done.stderr
    assert not (chain / "data/reports/contrast/rcnn_ends").exists()


def test_a_damaged_picture_is_no_part_of_a_page(chain: Path) -> None:
    flip_byte(chain / FOLDER / "tuning.svg", 900)
    before = (chain / FOLDER / "index.html").read_bytes()
    done = call_dynvision(chain, "report", SUMMARY)
    assert done.exit_code == 1
    assert "tuning.svg is damaged: its contents are not those that were written. Build it again: " in done.stderr
    assert f"dynvision make --force {SUMMARY}" in done.stderr
    assert (chain / FOLDER / "index.html").read_bytes() == before


def test_an_index_of_somebody_else_stays_and_the_summary_is_made_all_the_same(chain: Path) -> None:
    index = chain / "data/reports/index.html"
    index.write_text("mine")
    done = call_dynvision(chain, "report", SUMMARY)
    assert done.exit_code == 0, done.output
    assert "was not written by this project, so it is not replaced" in done.stderr
    assert index.read_text() == "mine"


def test_nothing_to_report_names_a_command(empty_root: Path) -> None:
    done = call_dynvision(empty_root, "report")
    assert done.exit_code == 1
    assert "no summary has been made. Make one: dynvision demo, or dynvision experiment NAME" in done.stderr


def test_a_level_that_was_added_does_not_change_what_a_page_says(chain: Path) -> None:
    edit_config(chain, "contrast: [0.1, 0.5, 0.8, 1.0]", "contrast: [0.1, 0.3, 0.5, 0.8, 1.0]")
    assert call_dynvision(chain, "report", SUMMARY).exit_code == 0
    page = (chain / FOLDER / "index.html").read_text()
    assert "contrast=0.5" in page
    assert f"responses/contrast/rcnn_gratings:contrast=0.3 is new. Make it again: dynvision make {SUMMARY}" in page
    assert page.count("contrast=0.3") == 1


def test_several_that_finish_at_once_leave_an_index_of_all(chain: Path) -> None:
    reports = chain / "data/reports"
    record = json.loads((reports / "contrast/rcnn_gratings/record.json").read_text())

    def finish(number: int) -> None:
        folder = reports / "contrast" / f"subject{number}"
        folder.mkdir()
        (folder / "index.html").write_text("")
        (folder / "record.json").write_text(json.dumps(record))
        write_index(reports)

    threads = [threading.Thread(target=finish, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    index = (reports / "index.html").read_text()
    assert [n for n in range(8) if f"contrast/subject{n}/index.html" not in index] == []
    assert not list(reports.glob(".*partial*"))


def test_status_has_a_line_for_each_asset(chain: Path) -> None:
    (chain / "data/responses/contrast/rcnn_gratings/contrast=0.5.zarr").rename(chain / "elsewhere")
    done = call_dynvision(chain, "status")
    lines = done.stdout.splitlines()
    assert "missing  responses/contrast/rcnn_gratings (1 missing of 4 partitions): it has not been built" in lines
    assert "missing  models/rcnn/gratings (1 missing of 2 partitions): it has not been built" in lines
    keys = [line.split()[1] for line in lines[:-1]]
    assert len(keys) == len(set(keys))
    assert lines[-1].endswith("up to date; every target: dynvision status --all")
    whole = call_dynvision(chain, "status", "--all").stdout.splitlines()
    assert "missing  responses/contrast/rcnn_gratings:contrast=0.5: it has not been built" in whole
    assert "fresh    responses/contrast/rcnn_gratings:contrast=0.1" in whole
    assert len(whole) == 1 + int(lines[-1].split(" of ")[1].split()[0])
    assert call_dynvision(chain, "status", "--check").exit_code == 1


def test_status_counts_the_assets_of_a_stage_of_which_nothing_has_been_built() -> None:
    absent, fresh = Status("missing", "it has not been built"), Status("fresh")
    started = Status("missing", "it has not been built; its training came to the end of epoch 3")
    keys = [("responses", "contrast", f"subject{n}") for n in range(8)]
    states = {Target(key, f"contrast={c}"): absent for key in keys for c in (0.1, 1.0)}
    states |= {Target(keys[0], "contrast=0.1"): fresh, Target(keys[1], "contrast=0.1"): started}
    chain = "summary/contrast/a is stale: models/a/b:all_s0 is damaged: the file is not as it was written"
    states |= {Target(("summary", "contrast"), None): Status("stale", chain)}
    states |= {Target(("raw", "gratings"), split): absent for split in ("train", "test")}
    assert list(explain_states(states)) == [
        "missing  responses: 6 of 8 assets have not been built (dynvision list responses)",
        "missing  responses/contrast/subject0 (1 missing of 2 partitions): it has not been built",
        f"missing  responses/contrast/subject1 (2 partitions): {started.reason}",
        "stale    summary/contrast: models/a/b:all_s0 is damaged: the file is not as it was written",
        "missing  raw/gratings (2 partitions): it has not been built",
    ]


def test_the_page_over_all_subjects_leads_to_theirs(chain: Path) -> None:
    assert call_dynvision(chain, "make", "summary/contrast").exit_code == 0
    page = (chain / "data/reports/contrast/_subjects/index.html").read_text()
    assert '<a href="../rcnn_ends/index.html">rcnn_ends</a>' in page
    assert "<h1>contrast: all subjects</h1>" in page
    workspace = open_workspace(chain)
    assert workspace.status(Target(("summary", "contrast"))).state == "fresh"


@pytest.mark.parametrize("name", ["\N{SNOWMAN}", "a b"])
def test_a_root_with_such_a_name_has_an_address(made_root: Path, tmp_path: Path, name: str) -> None:
    root = copy_root(made_root, tmp_path / name)
    done = call_dynvision(root, "report", SUMMARY)
    assert (root / FOLDER / "index.html").as_uri() in done.stdout


def test_a_picture_of_what_was_shown_becomes_part_of_the_page_unless_it_is_cut_off(chain: Path) -> None:
    strip = chain / FOLDER / "stimuli.png"
    strip.write_bytes(PIXEL)
    assert call_dynvision(chain, "report", SUMMARY).exit_code == 0
    assert 'alt="Film strips of what was shown' in (chain / FOLDER / "index.html").read_text()
    strip.write_bytes(PIXEL[:20])
    assert call_dynvision(chain, "report", SUMMARY).exit_code == 0
    assert "Film strips" not in (chain / FOLDER / "index.html").read_text()
    assert states(chain)[SUMMARY] == "fresh"


def test_the_page_of_something_stale_says_so_and_the_index_too_until_it_is_made(chain: Path) -> None:
    edit_config(chain, "contrast: [0.1, 0.5, 0.8, 1.0]", "contrast: [0.1, 0.5, 1.0]")
    done = call_dynvision(chain, "report", SUMMARY)
    assert f"{SUMMARY}: {FOLDER}/index.html (not up to date)" in done.stdout
    page = (chain / FOLDER / "index.html").read_text()
    assert 'role="note">This is not up to date: ' in page
    assert f"Make it again: dynvision make {SUMMARY}</p>" in page
    assert str(chain) not in page
    assert "UTC, not up to date" in (chain / "data/reports/index.html").read_text()
    assert call_dynvision(chain, "make", SUMMARY).exit_code == 0
    assert "not up to date: " not in (chain / FOLDER / "index.html").read_text()
    assert "UTC, not up to date" not in (chain / "data/reports/index.html").read_text()


def test_one_that_is_damaged_does_not_keep_the_others_from_a_page(chain: Path) -> None:
    assert call_dynvision(chain, "make", "summary/contrast/rcnn_ends").exit_code == 0
    (chain / "data/reports/contrast/rcnn_ends/record.json").write_text("{")
    (chain / FOLDER / "index.html").unlink()
    done = call_dynvision(chain, "report")
    assert done.exit_code == 1
    assert "rcnn_ends/record.json is damaged" in done.stderr
    assert "dynvision make --force summary/contrast/rcnn_ends" in done.stderr
    assert (chain / FOLDER / "index.html").is_file()
    assert "The record of contrast/rcnn_ends cannot be read." in (chain / "data/reports/index.html").read_text()
    rows = json.loads(call_dynvision(chain, "report", "--json").stdout)
    assert [sorted(row) for row in rows] == [["path", "target", "url"], ["error", "target"]]
