"""Splits that hold the same images: what is said, and what is built on them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dynvision.errors import MissingError
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from dynvision.workspace.checking import check_targets
from tests.helpers.configuration import edit_yaml
from tests.helpers.pets import FOLDER, draw_noise, write_pets

TRAIN, TEST, INTERIM = "raw/pets:train", "raw/pets:test", "interim/pets:test_all"
UNCHECKED = "its checks have not passed: they failed, or the run ended before them"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """200 images in each split, of which none is in the other."""
    return write_pets(tmp_path, count=100)


def share(root: Path, count: int) -> None:
    """Copy the first images of each class from train to test, in place of others."""
    for number in range(count):
        pet, name = ("cat", "dog")[number % 2], f"{number // 2}.png"
        shutil.copy2(root / FOLDER / "train" / pet / name, root / FOLDER / "test" / pet / name)


def build(root: Path, *targets: str) -> None:
    for target in targets:
        build_targets([target], root=str(root), config=str(root / "config"))


def look(root: Path, target: str) -> tuple[str, str]:
    workspace = Workspace.open(root, root / "config")
    status = workspace.status(parse_target(workspace, target)[0])
    return status.state, status.reason


def check(root: Path, target: str, name: str) -> dict[str, Any]:
    results = check_targets([target], root=str(root), config=str(root / "config"))
    return next(result for result in results if result["name"] == name)


def allow(root: Path, share: float) -> None:
    edit_yaml(root / "config" / "config_data.yaml", lambda content: content.update(max_shared_images={"pets": share}))


def expect_rejected(root: Path, sentence: str) -> None:
    """Expect the test images to be rejected with this sentence, and nothing to be built on them."""
    result = check(root, TEST, "splits_hold_different_images")
    assert not result["passed"]
    assert result["sentence"].startswith(f"{sentence}. Remove them from one split")
    assert result["offenders"] == [sentence]
    assert look(root, TEST) == ("stale", UNCHECKED)
    assert look(root, TRAIN) == ("fresh", ""), "it was built first, when there was nothing to compare it with"
    with pytest.raises(MissingError, match=f"^{INTERIM} is made from {TEST}, which is stale"):
        build(root, INTERIM)


def test_splits_that_share_nothing_pass_both_checks(root):
    build(root, TRAIN, TEST, INTERIM)
    hard, soft = (check(root, TEST, name) for name in ("splits_hold_different_images", "no_image_is_in_two_splits"))
    assert (hard["passed"], hard["sentence"]) == (True, "compared with train")
    assert (soft["passed"], soft["sentence"]) == (True, "0 images are in another split, too")


def test_equal_splits_are_rejected_whatever_is_allowed(root):
    share(root, 200)
    build(root, TRAIN, TEST)
    expect_rejected(root, "200 of 200 images of test are the same images as train (100.0%, allowed 1.0%)")
    allow(root, 1.0)
    build(root, TEST)
    expect_rejected(root, "200 of 200 images of test are the same images as train (100.0%, allowed 100.0%)")


def test_two_percent_are_rejected_unless_the_configuration_allows_them(root):
    share(root, 4)
    build(root, TRAIN, TEST)
    expect_rejected(root, "4 of 200 images of test are images of train (2.0%, allowed 1.0%)")
    sentence = check(root, TEST, "splits_hold_different_images")["sentence"]
    assert sentence.endswith("or allow more: max_shared_images.pets in config_data.yaml")
    allow(root, 0.019)
    build(root, TEST)
    expect_rejected(root, "4 of 200 images of test are images of train (2.0%, allowed 1.9%)")
    allow(root, 0.02)
    build(root, TEST, INTERIM)
    assert look(root, TEST) == look(root, INTERIM) == ("fresh", "")


def test_two_percent_that_are_replaced_by_other_images_are_accepted(root):
    share(root, 4)
    build(root, TRAIN, TEST)
    for name in ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"):
        draw_noise(root / FOLDER / "test" / name, f"another {name}")
    build(root, TEST, INTERIM)
    assert look(root, TEST) == look(root, INTERIM) == ("fresh", "")


def test_half_a_percent_is_said_and_built(root):
    share(root, 1)
    build(root, TRAIN, TEST, INTERIM)
    assert look(root, TEST) == look(root, INTERIM) == ("fresh", "")
    hard, soft = (check(root, TEST, name) for name in ("splits_hold_different_images", "no_image_is_in_two_splits"))
    assert (hard["passed"], hard["sentence"]) == (True, "compared with train")
    assert (soft["passed"], soft["sentence"]) == (False, "1 images are in another split, too")
    assert soft["offenders"] == ["train: cat/0.png = cat/0.png"]
    assert soft["numbers"] == {"shared": 1}


def test_an_allowance_of_nothing_rejects_a_single_image(root):
    share(root, 1)
    allow(root, 0)
    build(root, TRAIN, TEST)
    expect_rejected(root, "1 of 200 images of test are images of train (0.5%, allowed 0.0%)")


def test_shared_images_are_found_whatever_their_class_and_name(root):
    for number in range(4):
        shutil.copy2(root / FOLDER / "train/cat" / f"{number}.png", root / FOLDER / "test/dog" / f"other{number}.png")
    build(root, TRAIN, TEST)
    expect_rejected(root, "4 of 204 images of test are images of train (2.0%, allowed 1.0%)")
    assert check(root, TEST, "no_image_is_in_two_splits")["offenders"] == [
        f"train: dog/other{number}.png = cat/{number}.png" for number in range(4)
    ]


def test_the_split_that_is_built_first_is_compared_with_nothing_and_the_other_is_rejected(root):
    share(root, 4)
    build(root, TEST)
    sentence = check(root, TEST, "splits_hold_different_images")["sentence"]
    assert sentence == "compared with no other split, as none is built"
    build(root, TRAIN)
    assert look(root, TEST) == ("fresh", "")
    assert look(root, TRAIN) == ("stale", UNCHECKED)


@pytest.mark.parametrize("name", ["train.manifest.json", "train.manifest.images.parquet"])
def test_a_damaged_split_is_compared_when_it_is_built_again(root, name):
    share(root, 4)
    build(root, TRAIN)
    (root / FOLDER / name).write_bytes(b"{}")
    build(root, TEST)
    assert look(root, TEST) == ("fresh", "")
    assert look(root, TRAIN)[0] == "damaged"
    build(root, TRAIN)
    assert look(root, TRAIN) == ("stale", UNCHECKED)
    assert check(root, TRAIN, "splits_hold_different_images")["offenders"] == [
        "4 of 200 images of train are images of test (2.0%, allowed 1.0%)"
    ]
