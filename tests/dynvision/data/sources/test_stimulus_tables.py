"""Reading the table of a stimulus set: whatever spreadsheets write is read, and each fault is one sentence."""

from __future__ import annotations

import datetime
import math

import numpy as np
import pandas as pd
import pytest

from dynvision.config.sections.stimulus_sets import ColumnGroup, LabelColumn
from dynvision.data.sources.stimulus_sets.columns import read_texts
from dynvision.data.sources.stimulus_sets.listing import list_tree, sort_naturally
from dynvision.data.sources.stimulus_sets.table import read_stimulus_table
from dynvision.errors import DataError, DynvisionError, MissingError

IMAGES = ["a.png", "b.png", "deeper/c.jpg"]


def read(path, images=IMAGES):
    return read_stimulus_table(path, "stimulus_sets.scenes.table").match(path.parent, images)


def write(tmp_path, content, name="stimuli.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "filename,size\na.png,1\nb.png,2\ndeeper/c.jpg,3\n",
        "\ufefffilename,size\r\na.png,1\r\nb.png,2\r\ndeeper/c.jpg,3",
        "filename;size\na.png;1\nb.png;2\ndeeper/c.jpg;3\n",
        "filename\tsize\na.png\t1\nb.png\t2\ndeeper/c.jpg\t3\n",
        " filename , size \n a.png , 1 \nb.png  ,2\ndeeper\\c.jpg,3\n\n",
        '"filename","size"\n"a.png","1"\n"b.png","2"\n"./deeper/c.jpg","3"\n',
        ",filename,size\n0,a.png,1\n1,b.png,2\n2,deeper/c.jpg,3\n",
        "filename,size\na.png,1\nb.png,2\ndeeper/c.jpg,3\n".encode("utf-16"),
        "image_file_name,size,\na.png,1,\nb.png,2,\ndeeper/c.jpg,3,\n",
    ],
)
def test_tables_of_every_program_are_read_alike(tmp_path, content):
    columns = read(write(tmp_path, content))
    assert columns == {"filename": IMAGES, "stimulus_id": ["a", "b", "c"], "size": [1, 2, 3]}


def test_the_order_is_that_of_the_table(tmp_path):
    assert read(write(tmp_path, "filename\nb.png\ndeeper/c.jpg\na.png\n"))["filename"] == [
        "b.png",
        "deeper/c.jpg",
        "a.png",
    ]


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "-2", "30"], [1, -2, 30]),
        (["007", "008"], ["007", "008"]),
        (["0.5", "1e-3", "2"], [0.5, 0.001, 2.0]),
        (["true", "FALSE"], [True, False]),
        (["2024-01-02", ""], ["2024-01-02", ""]),
        (["1", "x"], ["1", "x"]),
        (["NA", "left"], ["NA", "left"]),
        (["", ""], ["", ""]),
        (["9223372036854775807", "-1"], [9223372036854775807, -1]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),  # a float would round it
        (["9" * 5000], ["9" * 5000]),
        (["9007199254740993", ""], ["9007199254740993", ""]),
        (["1000000000000000001.0", "2"], [1e18, 2.0]),
        (["inf", "1"], [math.inf, 1.0]),
    ],
)
def test_a_column_has_the_type_that_all_of_its_values_have(texts, values):
    assert read_texts(texts) == values
    assert [type(value) for value in read_texts(texts)] == [type(value) for value in values]


def test_blanks_in_the_name_of_a_column_become_underscores(tmp_path):
    columns = read(write(tmp_path, "filename, taken  on\na.png,1\nb.png,2\ndeeper/c.jpg,3\n"))
    assert columns["taken_on"] == [1, 2, 3]
    assert LabelColumn(column="taken on").column == "taken_on"
    assert ColumnGroup(where={"taken on": 1}).where == {"taken_on": [1]}
    pd.DataFrame({"filename": IMAGES, "taken on": [1, 2, 3]}).to_parquet(tmp_path / "stimuli.parquet")
    assert read(tmp_path / "stimuli.parquet")["taken_on"] == [1, 2, 3]


def test_long_numbers_that_are_names_stay_different(tmp_path):
    rows = "".join(f"{name},12345678901234567890{place}\n" for place, name in enumerate(IMAGES))
    columns = read(write(tmp_path, f"filename,stimulus_id\n{rows}"))
    assert columns["stimulus_id"] == [f"12345678901234567890{place}" for place in range(3)]
    frame = pd.DataFrame({"filename": IMAGES, "code": pd.array([2**53 + 1, 2**53 + 2, None], dtype="Int64")})
    frame.to_parquet(tmp_path / "stimuli.parquet")
    assert read(tmp_path / "stimuli.parquet")["code"] == ["9007199254740993", "9007199254740994", ""]


def test_missing_numbers_are_nan():
    for texts in (["1", ""], ["1.0", "NaN"], ["1", "n/a"]):
        values = read_texts(texts)
        np.testing.assert_array_equal(values, [1.0, np.nan])


def test_numbers_with_a_decimal_comma_are_read_between_semicolons(tmp_path):
    columns = read(write(tmp_path, "filename;contrast\na.png;0,5\nb.png;1,25\ndeeper/c.jpg;2\n"))
    assert columns["contrast"] == [0.5, 1.25, 2.0]


def test_parquet_keeps_its_types_and_dates_become_text(tmp_path):
    frame = pd.DataFrame(
        {
            "filename": IMAGES,
            "stimulus_id": [3, 1, 2],
            "taken": [datetime.date(2024, 1, 2), None, datetime.date(2024, 1, 3)],
            "contrast": [0.5, None, 1.0],
            "indoor": [True, False, True],
            "category": pd.Categorical(["x", "y", "x"]),
        }
    )
    frame.to_parquet(tmp_path / "stimuli.parquet")
    columns = read(tmp_path / "stimuli.parquet")
    assert columns["stimulus_id"] == [3, 1, 2]
    assert columns["taken"] == ["2024-01-02", "", "2024-01-03"]
    np.testing.assert_array_equal(columns["contrast"], [0.5, np.nan, 1.0])
    assert columns["indoor"] == [True, False, True]
    assert columns["category"] == ["x", "y", "x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ("filename,size\n", "has no rows"),
        ("file,size\na.png,1\n", r"no column is named 'filename'.*Did you mean 'file'|Valid: file"),
        ("filename\na.png\nb.png\n", r"the image 'deeper/c.jpg' in .* has no row"),
        ("filename\na.png\n", r"the image 'b.png' \(and 1 more\)"),
        ("filename\na.png\nb.png\ndeeper/c.jpg\nd.png\n", r"row 5: there is no image 'd.png'"),
        ("filename\na.png\nb.png\na.png\ndeeper/c.jpg\n", "row 4: the filename 'a.png' is in row 2, too"),
        ("filename,stimulus_id\na.png,1\nb.png,1\ndeeper/c.jpg,2\n", "row 3: the stimulus_id '1' is in row 2, too"),
        ("filename,stimulus_id\na.png,x\nb.png,\ndeeper/c.jpg,y\n", "row 3: the row has no 'stimulus_id'"),
        ("filename,x\na.png,1\n,2\n", "row 3: the row has no 'filename'"),
        ("filename\n/photos/a.png\n", "'/photos/a.png' is an absolute path"),
        ("filename\nC:\\a.png\n", "'C:/a.png' is an absolute path"),
        ("filename\n../a.png\n", "leads out of the folder of the images"),
        ("filename\nA.png\nb.png\ndeeper/c.jpg\n", r"row 2: the image is named 'a.png' in .*capital letters alike"),
        ("filename,size\na.png,1,2\n", "row 2: 3 values, where the first row has 2 names"),
        ("filename,size\na.png\n", "row 2: 1 values"),
        ("filename,x,x\na.png,1,2\n", "two columns are named 'x'"),
        ("filename,x y,x_y\na.png,1,2\n", "two columns are named 'x_y'"),
        ("filename,x,X\na.png,1,2\n", "two columns are named 'X' and 'x'"),
        ("filename,\na.png,5\n", "a column has no name"),
        ("filename,a/b\na.png,5\n", "the column 'a/b' becomes a variable"),
        (b"filename,name\na.png,M\xfcller\n", r"is no text in UTF-8 \(byte 21\). Save it again"),
        (b"PK\x03\x04\x00\x00", "zero byte"),
        ('filename,x\na.png,"1\n', "is no CSV"),
    ],
)
def test_each_fault_of_a_table_is_one_sentence_with_its_place(tmp_path, content, message):
    with pytest.raises(DataError, match=message) as caught:
        read(write(tmp_path, content))
    assert str(tmp_path / "stimuli.csv") in str(caught.value)


def test_a_table_that_is_missing_or_no_parquet_is_said(tmp_path):
    with pytest.raises(
        MissingError, match=r"stimuli.csv does not exist. It is the table that stimulus_sets.scenes.table"
    ):
        read(tmp_path / "stimuli.csv")
    with pytest.raises(DynvisionError, match="is no Parquet file"):
        read(write(tmp_path, "filename\na.png\n", "stimuli.parquet"))
    pd.DataFrame({"filename": ["a.png"], "box": [[1, 2]]}).to_parquet(tmp_path / "lists.parquet")
    with pytest.raises(DataError, match="the column 'box': it holds lists"):
        read(tmp_path / "lists.parquet")


def test_names_are_the_same_whichever_way_an_accent_is_written(tmp_path):
    columns = read(write(tmp_path, "filename\ncafe\u0301.png\n"), ["caf\u00e9.png"])
    assert columns["filename"] == ["caf\u00e9.png"]


def test_natural_order_counts_as_people_do():
    given = ["10.png", "2.png", "img12.png", "img2.png", "b/1.png", "a.png", "A1.png"]
    assert sort_naturally(given) == ["2.png", "10.png", "a.png", "A1.png", "b/1.png", "img2.png", "img12.png"]


def test_folders_that_links_reach_twice_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(DataError, match="would be shown twice"):
        list_tree(tmp_path)


def test_a_circle_of_links_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    with pytest.raises(DataError, match="would be shown twice"):
        list_tree(tmp_path)


def test_hidden_files_and_those_of_other_programs_are_left_out(tmp_path):
    for name in ("x.png", ".hidden.png", "__MACOSX/y.png", ".cache/z.png", "notes.txt", "deeper/w.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    tree = list_tree(tmp_path)
    assert sorted(tree.paths) == ["deeper/w.png", "x.png"]
    assert tree.others == ["notes.txt"]
