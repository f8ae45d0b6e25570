"""Class folders of so many images that not all are looked at each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dynvision.data.sources.folders import folder_scan
from dynvision.stages.raw import RawStage
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from dynvision.workspace.verifying import verify_targets
from tests.helpers.configuration import edit_yaml

TEST = Target(("raw", "pets"), "test")


@pytest.fixture
def pets(tmp_path: Path, small_config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a dataset of the user's own that counts as large and has a record."""
    monkeypatch.setattr(folder_scan, "MANY_IMAGES", 3)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / "data/raw/pets" / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (8, 8), (40 * number, len(split), ord(name[0]))).save(folder / f"{number}.png")
    edit_yaml(small_config / "config_data.yaml", lambda content: content["data_resolution"].update(pets=8))
    build(tmp_path)
    return tmp_path


def build(root: Path, **options: Any) -> dict[str, Any]:
    (record,) = build_targets([str(TEST)], root=str(root), config=str(root / "config"), **options)
    return record


def test_image_changed_in_place_in_a_large_dataset_is_noticed_by_verify_and_by_building(pets):
    workspace = Workspace.open(pets, pets / "config")
    before = workspace.status(TEST)
    assert before.state == "fresh"
    assert (pets / "data/raw/pets/.test.scan.json").is_file()
    changed = pets / "data/raw/pets/test/dog/1.png"
    Image.new("RGB", (8, 8), (9, 99, 9)).save(changed)
    workspace = Workspace.open(pets, pets / "config")
    assert workspace.status(TEST).state == "fresh", "it is looked for only when something is built or verified"
    (result,) = verify_targets(workspace, [TEST])
    assert (result.state, result.sentence) == (
        "damaged",
        f"{changed} is not the image that was written: these are not the recorded images. "
        f"Make it: dynvision make {TEST}",
    )
    assert Workspace.open(pets, pets / "config").status(TEST).state == "stale", "the result is not forgotten"
    record = build(pets)
    assert record["data_version"] != before.data_version
    workspace = Workspace.open(pets, pets / "config")
    assert workspace.status(TEST).state == "fresh"
    assert [result.state for result in verify_targets(workspace, [TEST])] == ["whole"]


def test_image_that_is_added_to_a_large_dataset_makes_it_stale(pets):
    Image.new("RGB", (8, 8)).save(pets / "data/raw/pets/test/dog/2.png")
    status = Workspace.open(pets, pets / "config").status(TEST)
    folder = pets / "data/raw/pets/test"
    reason = f"images or classes in {folder} changed, or their sizes or times did"
    assert (status.state, status.reason) == ("stale", reason)
    assert build(pets)["details"]["images"] == 5


def test_without_its_cache_raw_is_stale_and_building_it_gives_the_same_version(pets):
    before = Workspace.open(pets, pets / "config").status(TEST)
    cache = pets / "data/raw/pets/.test.scan.json"
    cache.write_text("{")
    stage = Workspace.open(pets, pets / "config").stages["raw"]
    assert isinstance(stage, RawStage)
    assert stage.settings(TEST)["files"] == ""
    assert Workspace.open(pets, pets / "config").status(TEST).state == "stale"
    assert build(pets)["data_version"] == before.data_version
    assert Workspace.open(pets, pets / "config").status(TEST) == before
