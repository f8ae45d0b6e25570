"""Names from the user's data in the UI: in Markdown, in tables, in pictures; none is read as anything but a name."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from dynvision.analysis.figures.condition import draw_condition
from dynvision.analysis.figures.targets import draw_contact_sheet, draw_training
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from dynvision.workspace.checking import check_targets
from dynvision_assets.metadata import describe_record
from dynvision_assets.runs.checks import report_check
from tests.helpers.configuration import edit_yaml

pytestmark = pytest.mark.slow

NAMES = [
    "<img src=x onerror=alert(1)>",
    "a|b",
    "[x](javascript:alert(1))",
    "$\\frac{",
    "`code` $x$",
    "two\nlines",
    "_x_",
]


@pytest.fixture
def hostile(tmp_path: Path, small_config: Path) -> tuple[Workspace, Target]:
    """A dataset of the user's own whose class folders have hostile names; its training images are built."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for count, name in enumerate(NAMES, 1):
            folder = tmp_path / "data" / "raw" / "own" / split / name
            folder.mkdir(parents=True)
            for number in range(1 if count < len(NAMES) else 11):
                Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number}.png")
            (folder / "<b>notes.txt").write_text("no image")
    edit_yaml(small_config / "config_data.yaml", lambda c: c["data_resolution"].update(own=16))
    build_targets(["raw/own:train"], root=str(tmp_path), config=str(small_config))
    return Workspace.open(tmp_path, small_config), Target(("raw", "own"), "train")


def test_names_of_classes_reach_tables_as_text_and_pictures_without_mathtext(hostile):
    workspace, target = hostile
    record = workspace.stage(target).read_record(target)
    assert record is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metadata = describe_record(workspace, target, record)
    table = metadata["classes"]
    assert isinstance(table, dg.TableMetadataValue)
    names = sorted(str(row.data["name"]) for row in table.records)
    assert names == sorted(name.replace("\n", "\\n") for name in NAMES)
    pictures = [value for value in metadata.values() if isinstance(value, dg.MarkdownMetadataValue)]
    assert pictures
    assert all(
        re.fullmatch(r"!\[raw/own:train: [\w\\]+\]\(data:image/(png|webp);base64,[\w+/=]+\)", p.value or "")
        for p in pictures
    )


def test_names_in_checks_are_one_line_each_and_sentences_hold_no_markdown(hostile):
    workspace, target = hostile
    results = {
        r["name"]: r
        for r in check_targets([str(target)], root=str(workspace.paths.root), config=str(workspace.config.folder))
    }
    balance = report_check(target.key, results["classes_are_balanced"], set())
    offenders = str(balance.metadata["offenders"].value).splitlines()
    assert len(offenders) == 6
    assert any("two\\nlines: 1" in line for line in offenders)
    sentence = f"{NAMES[0]} has {NAMES[2]} in it\nand more"
    result = {"name": "a", "passed": False, "sentence": sentence, "numbers": {}, "offenders": ["a\nb"]}
    reported = report_check(target.key, result, set())
    expected = r"\<img src=x onerror=alert(1)\> has \[x\](javascript:alert(1)) in it\\nand more"
    assert reported.description == expected
    assert reported.metadata["offenders"].value == "a\\nb"


@pytest.mark.parametrize("name", [*NAMES, "$a$", "a" * 500])
def test_any_name_can_stand_over_a_picture(name):
    image = np.zeros((8, 8), np.uint8)
    for figure in (
        draw_contact_sheet([(name, [image])], name),
        draw_training([1.0], [0.5], name),
    ):
        figure.draw_without_rendering()
    assert draw_condition({name: [0.0, 1.0]}, [0.5, 0.5], name).size == (640, 208)


def test_the_description_of_a_network_shows_its_class_as_code(small_workspace: Workspace):
    described = small_workspace.stages["models"].describe(("models", "rcnn", "gratings"))
    assert described.startswith("The network `dynvision.models:RCNN` trained on gratings")
