"""The index of a class is decided once, over all splits."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.data.sources.folders.class_folders import scan_class_folders
from dynvision.data.sources.folders.class_order import ClassOrder, order_classes
from dynvision.errors import DataError, MissingError


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "0.png").write_bytes(b"not opened")
    return folder


def order_both(tmp_path: Path, train: list[str], test: list[str]) -> tuple[ClassOrder, ClassOrder]:
    folders = write(tmp_path / "train", *train), write(tmp_path / "test", *test)
    return order_classes(folders[0], None, [folders[1]]), order_classes(folders[1], None, [folders[0]])


def test_one_name_that_is_no_number_makes_all_indices_positions_in_every_split(tmp_path):
    train, test = order_both(tmp_path, ["1", "2", "10"], ["1", "10", "2", "unknown"])
    assert train.of_split == [(0, "1"), (1, "10"), (2, "2")]
    assert test.of_split == [(0, "1"), (1, "10"), (2, "2"), (3, "unknown")]
    for order in (train, test):
        notes = order.notes()
        assert any(note.startswith("not all names are whole numbers (unknown)") for note in notes)
        assert "train lacks 1 of 4 classes: unknown" in notes


def test_numbers_in_all_splits_are_the_indices_and_the_lowest_gaps_are_named(tmp_path):
    train, test = order_both(tmp_path, ["1", "2", "10"], ["1", "2", "10"])
    assert train.of_split == test.of_split == [(1, "1"), (10, "10"), (2, "2")]
    expected = "classes 0, 3, 4, 5, 6 and 3 more are empty: no folder has this index. The indices are 1 to 10"
    assert train.notes() == test.notes() == [expected]


def test_labels_from_one_on_leave_class_zero_empty(tmp_path):
    train, _ = order_both(tmp_path, ["1", "2", "3"], ["1", "2", "3"])
    assert train.notes() == ["class 0 is empty: no folder has this index. The indices are 1 to 3"]


def test_datasets_as_they_should_be_need_no_note(tmp_path):
    assert [order.notes() for order in order_both(tmp_path, ["ant", "bee"], ["ant", "bee"])] == [[], []]


def test_number_that_is_written_differently_in_a_split_is_the_same_class(tmp_path):
    train, test = order_both(tmp_path, ["00", "01"], ["0", "1"])
    assert (train.of_split, test.of_split) == ([(0, "00"), (1, "01")], [(0, "0"), (1, "1")])
    (note,) = test.notes()
    assert note == "2 numbers are written differently in test and train, first '0' and '00'; the number counts"


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (["Cat", "dog"], ["cat", "dog"], r"train and .*test: the class folders 'Cat' and 'cat' look alike"),
        (["Cat", "cat", "dog"], ["dog"], r"train: the class folders 'Cat' and 'cat' look alike"),
        (["caf\u00e9", "dog"], ["cafe\u0301", "dog"], r"'cafe\\u0301' and 'caf\\xe9' look alike"),
        (["1", "dog"], ["01", "dog"], r"'01' and '1' look alike but would be two classes\. Rename one"),
        (["cat ", "dog"], ["cat", "dog"], r"'cat' and 'cat ' look alike"),
        (["sea-urchin", "dog"], ["sea_urchin", "dog"], r"'sea-urchin' and 'sea_urchin' look alike"),
        (["n01440764"], ["1"], r"train and .*test share no class: n01440764 in the first, 1 in the second"),
        (["ant", "bee"], ["images"], r"test holds the single folder 'images', whose name is not that of a class"),
        (["images"], ["images"], r"holds the single folder 'images'"),
        (["1", "99999999999"], ["1"], r"train: the number '99999999999' is too large for a class index"),
        (["1", "01"], ["1"], r"train: two class folders have the same number; rename one: '01' and '1'"),
    ],
)
def test_classes_whose_labels_would_not_be_certain_are_refused_in_every_split(tmp_path, train, test, message):
    folders = write(tmp_path / "train", *train), write(tmp_path / "test", *test)
    for folder, other in (folders, reversed(folders)):
        with pytest.raises(DataError) as caught:
            order_classes(folder, None, [other])
        text = str(caught.value)
        swapped = text.replace(f"{folders[1]} and {folders[0]}", f"{folders[0]} and {folders[1]}")
        swapped = swapped.replace("1 in the first, n01440764 in the second", "n01440764 in the first, 1 in the second")
        assert re.search(message, swapped), text


def test_numbers_that_no_other_split_has_are_reported_and_keep_their_meaning(tmp_path):
    train, test = order_both(tmp_path, ["0", "1"], ["2"])
    assert test.of_split == [(2, "2")]
    assert train.notes()[0] == "train and test share no class: 2 classes in train, 1 in test"


def test_folders_of_other_programs_are_no_classes_and_are_named(tmp_path):
    train, test = order_both(tmp_path, ["1", "2", "__MACOSX", "@eaDir"], ["1", "2", "lost+found", "$RECYCLE.BIN"])
    assert train.of_split == test.of_split == [(1, "1"), (2, "2")]
    assert train.notes()[0] == "left out, because other programs make such folders: @eaDir, __MACOSX"


def test_images_in_no_class_folder_are_counted(tmp_path):
    folder = write(tmp_path / "train", "ant")
    (folder / "stray.png").write_bytes(b"x")
    (folder / "readme.txt").write_text("x")
    assert order_classes(folder).notes()[0] == "1 images are in no class folder and are left out: stray.png"


def test_split_without_another_says_that_it_decides_alone(tmp_path):
    (note,) = order_classes(write(tmp_path / "val", "ant"), None, [tmp_path / "train"]).notes()
    assert note == "no other split has classes, so val alone decides the indices of the classes"


def test_class_index_file_decides_alone_and_tells_which_classes_have_no_folder(tmp_path):
    index = {0: ("n01", "ant"), 1: ("n02", "bee"), 4: ("n03", "fly"), 5: ("images", "all")}
    train, test = write(tmp_path / "train", "n01", "n02"), write(tmp_path / "val", "images")
    assert order_classes(train, index, [test]).of_split == [(0, "n01"), (1, "n02")]
    assert order_classes(test, index, [train]).of_split == [(5, "images")]
    assert order_classes(test, index, [train]).notes() == [
        "val and train share no class: 1 classes in val, 2 in train",
        "classes 2, 3 are empty: no folder has this index. The indices are 0 to 5",
        "1 of 4 classes of the class index file have no folder: n03",
    ]


def test_folder_that_is_not_in_the_class_index_names_the_one_it_looks_like(tmp_path):
    folder = write(tmp_path / "train", "N01", "n02", "x")
    with pytest.raises(DataError, match=r"'N01' is not in the class index file \(2 of 3 folders are not\)\. It looks"):
        order_classes(folder, {0: ("n01", "ant"), 1: ("n02", "bee")})


def test_classes_of_one_name_in_the_class_index_keep_their_indices(tmp_path):
    folder = write(tmp_path / "train", "n02", "n03")
    classes = scan_class_folders(folder, {134: ("n02", "crane"), 517: ("n03", "crane")}).classes
    assert {c.name: c.index for c in classes} == {"crane (n02)": 134, "crane (n03)": 517}


def test_images_one_level_deeper_are_found_and_named(tmp_path):
    folder = write(tmp_path / "train", "n01/images", "n02/images")
    with pytest.raises(
        DataError, match=r"2 class folders hold no image: n01, n02\. Images were found one level deeper"
    ):
        scan_class_folders(folder)


def test_flat_split_says_what_it_holds(tmp_path):
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "1.JPEG").write_bytes(b"x")
    with pytest.raises(DataError, match=r"test holds no class folders\..* Found there: 1 images \(1\.JPEG\)\."):
        order_classes(tmp_path / "test")


def test_single_folder_of_images_says_where_the_classes_may_be(tmp_path):
    folder = write(tmp_path / "train", "images/ant", "images/bee")
    with pytest.raises(DataError, match=r"It holds the folders ant, bee: if these are the classes, move them up"):
        order_classes(folder)


def test_links_to_splits_and_classes_count_like_folders(tmp_path):
    write(tmp_path / "disk", "ant", "bee")
    (tmp_path / "train").symlink_to("disk")
    (tmp_path / "test").mkdir()
    for name in ("ant", "bee"):
        (tmp_path / "test" / name).symlink_to(f"../disk/{name}")
    for split in ("train", "test"):
        assert order_classes(tmp_path / split).of_split == [(0, "ant"), (1, "bee")]


def test_link_to_a_class_that_leads_nowhere_is_an_error_in_every_split(tmp_path):
    train, test = write(tmp_path / "train", "ant", "bee"), write(tmp_path / "test", "bee")
    (test / "ant").symlink_to(tmp_path / "gone")
    for folder, other in ((train, test), (test, train)):
        with pytest.raises(DataError, match=r"test: 'ant' is a link that leads nowhere\. Mend or remove it"):
            order_classes(folder, None, [other])


def test_circle_of_links_is_an_error_and_no_traceback(tmp_path):
    folder = write(tmp_path / "train", "ant")
    (folder / "bee").symlink_to("bee")
    with pytest.raises(DataError, match="'bee' is a link that leads nowhere"):
        order_classes(folder)


def test_two_class_folders_that_are_one_are_an_error(tmp_path):
    folder = write(tmp_path / "train", "ant")
    (folder / "bee").symlink_to("ant")
    with pytest.raises(DataError, match=r"'ant' and 'bee' are one folder, .*its images would have two labels"):
        order_classes(folder)


def test_split_that_is_a_link_to_nowhere_says_so(tmp_path):
    (tmp_path / "train").symlink_to("gone")
    with pytest.raises(MissingError, match=r"train is a link that leads nowhere\. Put one folder"):
        order_classes(tmp_path / "train")


def test_name_that_is_not_utf8_in_another_split_is_an_error(tmp_path):
    train, test = write(tmp_path / "train", "ant"), write(tmp_path / "test", "ant")
    Path(os.fsdecode(os.fsencode(test) + b"/dog\xff")).mkdir()
    with pytest.raises(DataError, match=r"is not UTF-8, so it cannot be written to a record; rename it"):
        order_classes(train, None, [test])


NAMES = st.lists(st.sampled_from(["0", "1", "2", "10", "ant", "bee", "n01", "unknown"]), unique=True, min_size=1)


@given(NAMES, NAMES)
def test_same_name_has_the_same_index_in_every_split_or_the_dataset_is_refused(tmp_path_factory, train, test):
    try:
        first, second = order_both(tmp_path_factory.mktemp("x"), train, test)
    except DataError:
        assert not set(train) & set(test)
        return
    assert first.indices == second.indices
    assert len(set(first.indices.values())) == len({*train, *test})
