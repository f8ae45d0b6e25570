"""The items of a dataset's class: labels without loss, and one sentence for everything else."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from dynvision.data.sources.class_path import open_own_dataset
from dynvision.data.sources.labels import read_label
from dynvision.errors import ConfigError, DataError

GREY = np.full((8, 8), 7, dtype=np.uint8)
COLOUR = np.dstack([GREY, GREY + 1, GREY + 2])


class Given:
    """A dataset of the items of `Given.items`."""

    items: ClassVar[Any] = []

    def __init__(self, split: str) -> None: ...

    def __len__(self) -> int:
        return len(type(self).items)

    def __getitem__(self, index: int) -> Any:
        item = type(self).items[index]
        if isinstance(item, Exception):
            raise item
        return item


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Open a dataset of these items, with these attributes."""

    def open_items(items: Any, *, options: dict[str, Any] | None = None, **attributes: Any) -> Any:
        module = types.ModuleType("own_items")
        module.Own = type("Own", (Given,), {"items": items, **attributes})  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "own_items", module)
        return open_own_dataset("own_items:Own", {}, tmp_path, "test", "here", **(options or {}))

    return open_items


def label_all(labels: Any) -> list[Any]:
    return [(GREY, label) for label in labels]


@pytest.mark.parametrize(
    "label",
    [3, 3.0, np.int64(3), np.uint8(3), np.float32(3), np.array(3), np.array([3]), torch.tensor(3), torch.tensor([3.0])],
)
def test_a_whole_number_is_read_without_loss(label):
    assert read_label(label, "here") == 3


@pytest.mark.parametrize(
    "label",
    [
        *(1.5, float("nan"), float("inf"), "7", b"7", True, np.bool_(True), None, [3], (3,), {}, 1j),
        *(np.array([1, 2]), np.array([[3]]), np.array([True]), np.array(1.5), np.array(["7"]), np.array([])),
        *(torch.tensor(True), torch.tensor([0, 1]), torch.tensor(float("nan")), torch.tensor([[3]])),
    ],
)
def test_a_label_that_is_no_whole_number_is_an_error(label):
    with pytest.raises(DataError, match=r"^item 4 has the label .*; labels are whole numbers from 0$"):
        read_label(label, "item 4")


@pytest.mark.parametrize("label", [-1, np.int64(-1), torch.tensor([-1]), -1.0])
def test_a_label_below_0_is_no_class(label):
    with pytest.raises(DataError, match=r"item 4 has the label -1, which is no class"):
        read_label(label, "item 4")


@pytest.mark.parametrize("source", ["items", "targets"])
@pytest.mark.parametrize(
    ("wrong", "message"), [(10**9, r"has the label 1000000000, and there are 3 images"), (1.5, r"1\.5")]
)
def test_classes_are_not_counted_from_a_label_that_is_none(give, source, wrong, message):
    labels = [0, wrong, 1]
    attributes = {"targets": labels} if source == "targets" else {}
    with pytest.raises(DataError, match=rf"own_items:Own \(test\): .*item 1 .*{message}"):
        give(label_all([0, 0, 1]) if source == "targets" else label_all(labels), **attributes)


@pytest.mark.parametrize("targets", [[0, 2, 1], torch.tensor([0, 2, 1]), np.array([[0], [2], [1]]), [], None])
def test_classes_are_counted_from_targets_or_else_from_the_items(give, targets):
    assert give(label_all([0, 2, 1]), targets=targets).classes == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a", "b", "a"], r"'classes' has 'a' twice, as the names of class 0 and of class 2"),
        ("ab", r"'classes' is 'ab'; it is a list of names"),
        ([], r"'classes' is \[\]"),
        (5, r"'classes' is 5"),
    ],
)
def test_names_that_do_not_name_the_classes_are_an_error(give, classes, message):
    with pytest.raises(DataError, match=message):
        give(label_all([0, 1]), classes=classes)


def test_more_labels_than_names_names_the_item(give):
    with pytest.raises(DataError, match=r"item 2 has the label 2, and there are 2 classes"):
        list(give(label_all([0, 1, 2]), classes=["a", "b"]))


def test_labels_from_1_on_leave_class_0_empty_and_that_is_said(give, capsys):
    list(give(label_all([1, 2])))
    assert "own_items:Own (test): no image has the label 0 (0); labels are counted from 0" in capsys.readouterr().err
    list(give(label_all([0, 1])))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (KeyError("left"), r"item 1 cannot be read: KeyError: 'left'$"),
        (OSError("torn\nfile"), r"item 1 cannot be read: OSError: torn file$"),
        (IndexError("list index out of range"), r"says that it has 3 items, but item 1 does not exist: IndexError"),
        ({"image": GREY, "label": 0}, r"item 1 is not an \(image, label\) pair: dict$"),
        ((GREY, 0, "extra"), r"item 1 is not an \(image, label\) pair: tuple of 3$"),
        ("ab", r"item 1 is not an \(image, label\) pair: str$"),
        (GREY[:2], r"item 1 is not an \(image, label\) pair: ndarray$"),
        (None, r"item 1 is not an \(image, label\) pair: NoneType$"),
        ((GREY, "0"), r"item 1 has the label '0' \(str\)"),
        ((None, 0), r"item 1: an image of shape"),
    ],
)
def test_an_item_that_is_none_is_one_sentence_that_names_it(give, item, message):
    with pytest.raises(DataError, match=message) as caught:
        list(give([(GREY, 0), item, (GREY, 1)], classes=["a", "b"]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [-1, None, "ab", 1.5])
def test_a_dataset_that_cannot_be_counted_is_refused(give, length):
    with pytest.raises(
        DataError, match=r"here: 'own_items:Own' has no images for the split 'test' that can be counted"
    ):
        give([], __len__=lambda self: length)


def test_a_class_that_fails_in_any_way_is_a_configuration_error(give):
    def fail(self: Any, split: str) -> None:
        raise KeyError(split)

    with pytest.raises(ConfigError, match=r"cannot be made with \{'split': 'test'\}: KeyError: 'test'.*split_args"):
        give([], __init__=fail)


def shapes(dataset: Any) -> list[tuple[int, ...]]:
    return [pixels.shape for _, pixels in dataset]


def test_the_channels_are_those_of_the_statistics_for_all_images(give):
    mixed = [(COLOUR, 0), (GREY, 1), (Image.new("LA", (8, 8)), 1)]
    assert shapes(give(mixed, options={"channels": 3})) == [(8, 8, 3)] * 3
    grey = [(GREY, 0), (np.dstack([GREY] * 3), 1)]
    assert shapes(give(grey, options={"channels": 1})) == [(8, 8)] * 2
    assert shapes(give(label_all([0, 1]))) == [(8, 8)] * 2


def test_a_camera_image_takes_the_depth_that_is_stated(give):
    picture = Image.fromarray(np.array([[0, 4095]] * 4, dtype=np.uint16))
    assert picture.mode == "I;16"
    with pytest.raises(DataError, match=r"item 0: an image of type uint16 from 0 to 4095, which fits 12 bits"):
        list(give([(picture, 0)]))
    ((_, pixels),) = give([(picture, 0)], options={"bit_depth": 12})
    assert pixels[0].tolist() == [0, 255]


@pytest.mark.parametrize(
    ("images", "channels", "message"),
    [
        ([COLOUR, GREY], None, r"item 1 is grey, and those before it are in colour\. Give .* three means"),
        ([GREY, COLOUR], None, r"item 1 is in colour, and those before it are grey"),
        ([GREY, COLOUR], 1, r"item 1 is in colour, and data_statistics has one mean"),
        ([GREY, GREY], 3, r"all 2 images are grey, and data_statistics has three means"),
    ],
)
def test_images_that_do_not_fit_the_channels_are_an_error(give, images, channels, message):
    with pytest.raises(DataError, match=message):
        list(give([(image, n) for n, image in enumerate(images)], options={"channels": channels}))
