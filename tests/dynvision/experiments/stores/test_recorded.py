"""Stores as their records name them: what is read was recorded, or there is an error; never a fill value."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray
import zarr

from dynvision.errors import DamagedFileError
from dynvision.experiments.reading import open_store
from dynvision.experiments.stores.recorded import RecordedStore
from dynvision.records import read_record
from dynvision.system.checked_files import CheckedFiles
from tests.helpers.files import flip_byte
from tests.helpers.stores import seal_store, write_responses

N, T, BATCH = 6, 4, 2
TARGET = "responses/contrast/rcnn_gratings:contrast={}"


def draw_values(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    trailing = {"V1/mean": (3,), "V1/std": (3,), "scores": (2,)}
    return {name: rng.random((N, T, *shape), dtype=np.float32) + 1 for name, shape in trailing.items()}


def write(root: Path, level: str, seed: int) -> Path:
    coordinates = {
        "sample": ("sample", np.arange(N)),
        "time": ("time", np.arange(T)),
        "label": ("sample", np.arange(N) + 1),
        "class": ("class", np.array([7, 9])),
    }
    return write_responses(
        root / "data/responses/contrast/rcnn_gratings" / f"contrast={level}.zarr",
        draw_values(seed),
        BATCH,
        TARGET.format(level),
        coordinates=coordinates,
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store of one condition, in its place in a root; `other` is that of another one."""
    return write(tmp_path, "0.1", seed=0)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write(tmp_path, "1.0", seed=1)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that readers asked for, in order."""
    names: list[str] = []
    original = CheckedFiles.check

    def check(files: CheckedFiles, name: str) -> Path:
        names.append(name)
        return original(files, name)

    monkeypatch.setattr(CheckedFiles, "check", check)
    return names


def read_all(path: Path) -> dict[str, np.ndarray]:
    tree = open_store(path)
    return {name: tree[name].values for name in ("V1/mean", "V1/std", "scores", "label", "class", "sample", "time")}


def chunks(folder: Path, array: str) -> list[Path]:
    return sorted(path for path in (folder / array / "c").rglob("*") if path.is_file())


def exchange(first: Path, second: Path) -> None:
    aside = first.with_name("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


ARRAYS = ["V1/mean", "V1/std", "scores", "label", "class", "sample", "time"]
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "removed": (lambda path: path.unlink(), "is missing, and the record names it"),
    "emptied": (lambda path: os.truncate(path, 0), "is damaged: it has 0 bytes where"),
    "cut": (lambda path: os.truncate(path, path.stat().st_size - 1), "is damaged: it has"),
    "flipped": (lambda path: flip_byte(path, path.stat().st_size // 2), "is damaged: its contents are not those that"),
    "replaced by a folder": (lambda path: (path.unlink(), path.mkdir()), "is damaged|cannot be read"),
}


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_chunk_of_an_array_or_coordinate_is_an_error_that_names_it(store, array, damage):
    apply, sentence = DAMAGES[damage]
    chunk = chunks(store, array)[-1]
    apply(chunk)
    with pytest.raises(DamagedFileError, match=sentence) as caught:
        read_all(store)
    assert str(caught.value).startswith(str(chunk))
    assert str(caught.value).endswith(f"Build it again: dynvision make --force {TARGET.format('0.1')}")


@pytest.mark.parametrize("name", ["V1", "V1/mean", "scores", "label", "class", "time"])
def test_removed_array_layer_or_coordinate_is_an_error(store, name):
    shutil.rmtree(store / name)
    with pytest.raises(DamagedFileError, match="is missing, and the record names it"):
        read_all(store)


@pytest.mark.parametrize("array", ["V1/mean", "scores"])
def test_swapped_chunks_of_an_array_are_an_error(store, array):
    first, *_, last = chunks(store, array)
    exchange(first, last)
    with pytest.raises(DamagedFileError, match="is damaged: "):
        read_all(store)


def test_swapped_arrays_are_an_error(store):
    exchange(store / "V1/mean", store / "V1/std")
    with pytest.raises(DamagedFileError, match="is damaged: "):
        read_all(store)


def test_swapped_stores_are_an_error_that_names_both(store, other):
    exchange(store, other)
    with pytest.raises(DamagedFileError) as caught:
        open_store(store)
    assert str(caught.value) == (
        f"{store / 'record.json'} holds the record of {TARGET.format('1.0')}, not of {TARGET.format('0.1')}: files "
        f"were swapped, moved or copied. Build it again: dynvision make --force {TARGET.format('0.1')}"
    )


def test_swapped_stores_are_an_error_for_one_who_stands_next_to_them(store, other, monkeypatch):
    exchange(store, other)
    monkeypatch.chdir(store.parent)
    with pytest.raises(DamagedFileError, match="files were swapped, moved or copied"):
        open_store(Path(store.name))


def test_chunks_of_another_store_are_an_error(store, other):
    for array in ARRAYS[:3]:
        shutil.copytree(other / array, store / array, dirs_exist_ok=True)
    with pytest.raises(DamagedFileError, match="is damaged: "):
        read_all(store)


def test_copy_of_a_store_elsewhere_is_read(store, tmp_path):
    copy = shutil.copytree(store, tmp_path / "copied for a talk.zarr")
    assert (open_store(copy)["scores"].values == draw_values(0)["scores"]).all()


def test_files_that_the_record_does_not_name_are_not_seen(store):
    before = read_all(store)
    (store / "scores/c/9/0").mkdir(parents=True)
    shutil.copy(chunks(store, "scores")[0], store / "scores/c/9/0/0")
    shutil.copytree(store / "V1", store / "V9")
    shutil.copytree(store / "scores", store / "V1/more")
    after = read_all(store)
    assert all((after[name] == value).all() for name, value in before.items())
    assert list(open_store(store).children) == ["V1"]
    assert sorted(open_store(store)["V1"].data_vars) == ["mean", "std"]


def test_chunk_that_the_record_does_not_name_is_not_read_in_its_place(store):
    """A record may leave a chunk out only if none was written; then there are fill values, whatever lies there now."""
    chunk = chunks(store, "scores")[-1]
    aside = chunk.with_name("aside")
    chunk.rename(aside)
    aside.rename(store / "aside")
    seal_store(store, TARGET.format("0.1"))
    (store / "aside").rename(chunk)
    read = open_store(store)["scores"].values
    assert np.isnan(read[-BATCH:]).all()
    assert (read[:-BATCH] == draw_values(0)["scores"][:-BATCH]).all()


EDITS: dict[str, Callable[[str], str]] = {
    "cut": lambda text: text[:-10],
    "another format": lambda text: text.replace("zarr_format", "zarx_format"),
    "a blank": lambda text: f" {text}",
    "another type": lambda text: text.replace("node_type", "node_typo"),
    "zeros": lambda text: "\0" * len(text),
}


@pytest.mark.parametrize("name", ["zarr.json", "V1/zarr.json", "V1/mean/zarr.json", "scores/zarr.json"])
@pytest.mark.parametrize("edit", EDITS)
def test_edited_metadata_is_an_error_or_not_seen(store, name, edit):
    before, path = read_all(store), store / name
    text = path.read_text()
    path.write_text(EDITS[edit](text))
    assert path.read_text() != text
    if name == "zarr.json":
        with pytest.raises(DamagedFileError, match=re.escape(f"{path} is damaged: ")):
            read_all(store)
    else:  # The metadata of the whole store holds that of each array, and readers read no other.
        after = read_all(store)
        assert all((after[key] == value).all() for key, value in before.items())


def test_other_shape_or_fill_value_in_the_metadata_of_the_whole_store_is_an_error(store):
    path = store / "zarr.json"
    for old, new in (('"NaN"', "0.0"), ("float32", "float64"), ("time", "time_")):
        text = path.read_text()
        path.write_text(text.replace(old, new))
        with pytest.raises(DamagedFileError, match=r"zarr\.json is damaged: "):
            open_store(store)
        path.write_text(text)
    assert (read_all(store)["scores"] == draw_values(0)["scores"]).all()


@pytest.mark.parametrize("name", ["zarr.json", "record.json"])
def test_store_without_metadata_or_record_is_refused(store, name):
    (store / name).unlink()
    with pytest.raises(DamagedFileError, match=r"zarr\.json is missing|is incomplete: it has no record\.json\. Run it"):
        open_store(store)


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, "\0" * 50, "{}"])
def test_store_with_a_damaged_record_is_refused_in_one_sentence(store, content):
    (store / "record.json").write_text(content)
    with pytest.raises(DamagedFileError) as caught:
        open_store(store)
    assert str(caught.value).endswith(f"Build it again: dynvision make --force {TARGET.format('0.1')}")
    assert "\n" not in str(caught.value)


def test_nothing_of_the_responses_is_read_when_a_store_is_opened(store, reads):
    tree = open_store(store)
    of_responses = [name for name in reads if name.startswith(("scores/c", "V1/mean/c", "V1/std/c"))]
    assert of_responses == []
    assert "label/c/0" in reads, "coordinates are in memory"
    assert "zarr.json" in reads
    reads.clear()
    tree["V1/mean"][:BATCH].values  # noqa: B018
    assert {name.rpartition("/c/")[0] for name in reads} == {"V1/mean"}
    assert len(set(reads)) == 1


def test_damage_after_opening_is_found_when_values_are_computed(store):
    tree = open_store(store)
    chunk = chunks(store, "scores")[1]
    flip_byte(chunk, 0)
    assert (tree["V1/mean"].values == draw_values(0)["V1/mean"]).all()
    with pytest.raises(DamagedFileError, match="is damaged: its contents are not those that were written"):
        tree["scores"].sum().compute()


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_values_are_computed_later_by_every_scheduler(store, scheduler):
    later = open_store(store)["scores"].mean()
    with dask.config.set(scheduler=scheduler):
        np.testing.assert_allclose(later.compute(), draw_values(0)["scores"].mean(), rtol=1e-6)


def test_pickled_tree_reads_the_same_and_finds_damage(store):
    tree = open_store(store)
    again = pickle.loads(pickle.dumps(tree))
    xarray.testing.assert_identical(again.load(), tree.load())
    once_more = pickle.dumps(open_store(store))
    chunks(store, "scores")[0].unlink()
    with pytest.raises(DamagedFileError, match="is missing, and the record names it"):
        pickle.loads(once_more)["scores"].load()


def recorded(store: Path) -> RecordedStore:
    record = read_record(store / "record.json")
    assert record is not None
    return RecordedStore(record.check_files(store))


def test_store_is_pickled_with_its_record_and_equals_itself(store, other):
    first, again = recorded(store), pickle.loads(pickle.dumps(recorded(store)))
    assert again == first
    assert hash(again) == hash(first)
    assert again.files.digests == first.files.digests
    assert recorded(other) != first
    assert zarr.open_group(again, mode="r")["scores"].shape == (N, T, 2)


def test_recorded_responses_are_not_written(store):
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"read-only|read only|recorded responses, which are not written"):
        zarr.open_group(recorded(store), mode="a").create_array("new", shape=(1,), dtype="i4")
    with pytest.raises(ValueError, match="holds recorded responses, which are not written"):
        recorded(store).with_read_only(False)
    assert recorded(store).with_read_only(True) == recorded(store)
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_names_in_a_store_are_those_in_its_record(store):
    names = [*zarr.open_group(recorded(store), mode="r").group_keys()]
    assert names == ["V1"]
    metadata = json.loads((store / "zarr.json").read_text())["consolidated_metadata"]["metadata"]
    arrays = {name for name in metadata if metadata[name]["node_type"] == "array"}
    assert {"V1/mean", "V1/std", "scores", "label"} <= arrays
    assert set(zarr.open_group(recorded(store), mode="r").array_keys()) == {n for n in arrays if "/" not in n}
