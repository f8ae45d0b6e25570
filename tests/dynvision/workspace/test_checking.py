"""Checks of the data stages: what passes, what fails, with which numbers and offenders."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dynvision.stages import raw_checks
from dynvision.stages.registry import STAGES
from dynvision.workspace.building import build_targets
from dynvision.workspace.checking import check_targets
from tests.helpers.configuration import edit_yaml

BALANCED = "classes_are_balanced"
DECODED = "a_sample_of_images_can_be_decoded"
STATISTICS = "statistics_are_those_of_the_images"
COUNTED = "linked_images_are_those_that_were_counted"


def check(root: Path, target: str) -> dict[str, Any]:
    """The outcome of every check of a target, by name."""
    results = check_targets([target], root=str(root), config=str(root / "config"))
    return {result["name"]: result for result in results}


def write_class(folder: Path, name: str, values: list[int], mode: str = "RGB") -> None:
    (folder / name).mkdir(parents=True)
    for number, value in enumerate(values):
        Image.new("RGB", (8, 8), (value, value, value)).convert(mode).save(folder / name / f"{number}.png")


@pytest.fixture
def pets(tmp_path: Path, small_config: Path) -> Path:
    """A dataset of one's own: 2 dark cats, 20 grey dogs, 3 bright eels, in training and test."""
    for split in ("train", "test"):
        folder = tmp_path / "data/raw/pets" / split
        for name, values in (("cat", [0] * 2), ("dog", [100] * 20), ("eel", [200] * 3)):
            write_class(folder, name, values)
    edit_yaml(small_config / "config_data.yaml", lambda content: content["data_resolution"].update(pets=8))
    return tmp_path


def observe(root: Path, *targets: str) -> None:
    for target in targets or ("raw/pets:train",):
        build_targets([target], root=str(root), config=str(root / "config"), force=True)


def give_statistics(root: Path, mean: float, std: float) -> None:
    edit_yaml(
        root / "config/config_data.yaml",
        lambda content: content["data_statistics"].update(pets={"mean": [mean] * 3, "std": [std] * 3}),
    )


@pytest.mark.parametrize(("dogs", "passed"), [(20, True), (21, False)])
def test_a_class_with_less_than_a_tenth_of_another_is_named(pets, dogs, passed):
    folder = pets / "data/raw/pets/train/dog"
    if dogs == 21:
        shutil.copy(folder / "0.png", folder / "more.png")
    observe(pets)
    found = check(pets, "raw/pets:train")[BALANCED]
    assert found["passed"] is passed
    assert found["numbers"] == {"least": 2, "most": dogs}
    assert found["offenders"] == ([] if passed else ["0 cat: 2"])
    assert found["sentence"] == f"2 to {dogs} images a class in 3 classes"


def test_images_that_cannot_be_decoded_are_named(pets):
    folder = pets / "data/raw/pets/train"
    (folder / "cat/1.png").write_bytes(b"no image")
    (folder / "eel/0.png").write_bytes(b"")
    observe(pets)
    found = check(pets, "raw/pets:train")[DECODED]
    assert not found["passed"]
    assert found["numbers"] == {"looked_at": 25, "bad": 2}
    assert found["sentence"] == "23 of 25 images can be decoded"
    assert found["offenders"] == [f"{name}: it is no image, or is damaged" for name in ("cat/1.png", "eel/0.png")]
    for name in ("cat/1.png", "eel/0.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    observe(pets)
    found = check(pets, "raw/pets:train")[DECODED]
    assert (found["passed"], found["offenders"]) == (True, [])


def test_an_image_made_whole_again_in_place_is_looked_at_again(pets):
    """An export whose pixels are the same has the same version, whatever happened to its files."""
    observe(pets, "raw/gratings:test")
    path = sorted((pets / "data/raw/gratings/test").rglob("*.png"))[0]
    content = path.read_bytes()
    path.write_bytes(b"no image")
    place = {"root": str(pets), "config": str(pets / "config")}

    def decoded() -> bool:
        return {r["name"]: r["passed"] for r in check_targets(["raw/gratings:test"], **place)}[DECODED]

    assert not decoded()
    path.write_bytes(content)
    assert decoded()


def test_a_sample_is_taken_evenly_from_all_classes(pets, monkeypatch):
    monkeypatch.setattr(raw_checks, "_SAMPLE", 9)
    observe(pets)
    assert check(pets, "raw/pets:train")[DECODED]["numbers"] == {"looked_at": 2 + 3 + 3, "bad": 0}


def true_statistics() -> tuple[float, float]:
    values = np.array([0] * 2 + [100] * 20 + [200] * 3) / 255
    return float(values.mean()), float(values.std())


@pytest.mark.parametrize(
    ("mean_off", "std_off", "offenders"),
    [
        (0, 0, []),
        (0.019, -0.019, []),
        (0.021, 0, ["mean"] * 3),
        (0, -0.021, ["std"] * 3),
        (-0.3, 0.3, ["mean"] * 3 + ["std"] * 3),
    ],
)
def test_statistics_hold_within_two_percent(pets, mean_off, std_off, offenders):
    mean, std = true_statistics()
    give_statistics(pets, mean + mean_off, std + std_off)
    observe(pets)
    found = check(pets, "raw/pets:train")[STATISTICS]
    assert found["passed"] is (not offenders)
    assert [text.split()[0] for text in found["offenders"]] == offenders
    wanted = {f"{kind}_{c}": round(v, 4) for kind, v in (("mean", mean), ("std", std)) for c in range(3)}
    assert found["numbers"] == pytest.approx(wanted, abs=1e-4)
    assert "of 25 images" in found["sentence"]
    for text in found["offenders"]:
        assert "data_statistics says" in text


def test_statistics_are_not_compared_for_test_images_or_where_there_are_none(pets):
    observe(pets)
    found = check(pets, "raw/pets:train")[STATISTICS]
    assert (found["passed"], found["sentence"]) == (True, "not compared: there are none in data_statistics")
    give_statistics(pets, 0.9, 0.9)
    observe(pets, "raw/pets:test")
    found = check(pets, "raw/pets:test")[STATISTICS]
    assert (found["passed"], found["sentence"]) == (True, "not compared: they are those of the training images")


def test_one_channel_has_one_mean(pets):
    edit_yaml(
        pets / "config/config_data.yaml",
        lambda content: content["data_statistics"].update(pets={"mean": [0.2], "std": [0.1]}),
    )
    observe(pets)
    found = check(pets, "raw/pets:train")[STATISTICS]
    assert set(found["numbers"]) == {"mean_0", "std_0"}
    assert not found["passed"]


def test_links_that_lead_to_fewer_or_more_images_than_were_counted_are_named(pets):
    observe(pets, "raw/pets:train", "interim/pets:train_all")
    found = check(pets, "interim/pets:train_all")[COUNTED]
    assert (found["passed"], found["numbers"], found["offenders"]) == (True, {"images": 25}, [])
    assert found["sentence"] == "25 images behind 3 links"
    os.unlink(pets / "data/raw/pets/train/dog/3.png")
    write_class(pets / "data/raw/pets/train/eel/..", "new", [1])
    shutil.copy(pets / "data/raw/pets/train/new/0.png", pets / "data/raw/pets/train/eel/9.png")
    shutil.rmtree(pets / "data/raw/pets/train/cat")
    found = check(pets, "interim/pets:train_all")[COUNTED]
    assert not found["passed"]
    assert found["offenders"] == ["cat: 0 of 2", "dog: 19 of 20", "eel: 4 of 3"]
    assert found["numbers"] == {"images": 23}


def test_checks_state_a_truth_and_only_those_of_soft_things_do_not_stop_the_graph():
    checks = [check for stage in STAGES for check in stage.checks]
    soft = {check.name for check in checks if not (check.is_hard or check.while_building)}
    assert soft == {
        BALANCED,
        DECODED,
        STATISTICS,
        "every_file_is_an_image",
        "no_image_is_in_two_splits",
        "validation_is_above_chance",
    }
    assert all(check.run.__doc__ and check.statement.endswith(".") for check in checks)
