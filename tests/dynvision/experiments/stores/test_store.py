from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from dynvision.errors import DamagedFileError, MissingError
from dynvision.experiments.reading import combine_conditions, open_store
from dynvision.experiments.stores.store import consolidate_store, partial_path, reject_partial, verify_store
from dynvision.experiments.stores.writer import StoreWriter
from tests.helpers.files import flip_byte
from tests.helpers.stores import layout_of, open_writer, seal_store, write_batches

pytestmark = pytest.mark.slow

TRAILING = {"V1/mean": (4,), "V1/std": (4,), "V2/response": (3, 5, 5), "scores": (2,)}
N, T, BATCH, BLOCK = 7, 3, 3, 2


def draw_values(seed: int = 0, dtype: str = "float32") -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    values = {name: rng.random((N, T, *trailing), dtype=np.float32) for name, trailing in TRAILING.items()}
    return {name: value if name == "scores" else value.astype(dtype) for name, value in values.items()}


def begin_store(store: Path, values: dict[str, Any], header: dict[str, Any] | None = None) -> StoreWriter:
    coordinates = {
        "sample": ("sample", np.arange(N)),
        "time": ("time", np.arange(T)),
        "label": ("sample", np.arange(N) % 2),
        "source": ("sample", np.asarray([f"{i}.png" for i in range(N)], dtype=object)),
        "shown": ("time", np.array([-1, 0, 0])),
        "class": ("class", np.arange(2)),
    }
    return open_writer(
        store,
        layout_of(values, BATCH, BLOCK),
        header,
        coordinates=coordinates,
        layer_coordinates={"V1": {"channel": ("channel", np.arange(4))}},
        attributes={"layers": ["V1", "V2"], "target": "responses/x/y:contrast=1.0"},
    )


def write_store(store: Path, values: dict[str, Any], finish: bool = True) -> StoreWriter:
    writer = begin_store(store, values)
    write_batches(writer, values)
    if finish:
        writer.finish({"target": "t"})
    return writer


def put_in_place(store: Path) -> None:
    consolidate_store(partial_path(store))
    seal_store(partial_path(store))
    os.rename(partial_path(store), store)


def chunk_files(folder: Path, array: str) -> list[Path]:
    return sorted(p for p in (folder / array).rglob("*") if p.is_file() and p.name != "zarr.json")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where a finished store will be; it has been written next to it and waits to be verified."""
    write_store(tmp_path / "contrast=1.0.zarr", draw_values())
    return tmp_path / "contrast=1.0.zarr"


def test_store_is_written_next_to_its_final_place(store):
    assert not store.exists()
    assert partial_path(store) == store.parent / ".contrast=1.0.zarr.partial"
    assert verify_store(partial_path(store))["record"] == {"target": "t"}


def test_values_come_back_as_they_were_written(store):
    put_in_place(store)
    tree = open_store(store)
    values = draw_values()
    for name in ("V1/mean", "V1/std", "V2/response"):
        np.testing.assert_array_equal(tree[name].values, values[name])
    np.testing.assert_array_equal(tree["scores"].values, values["scores"])
    assert tree["V1/mean"].dims == ("sample", "time", "channel")
    assert tree["V2/response"].dims == ("sample", "time", "channel", "y", "x")
    assert tree["scores"].dims == ("sample", "time", "class")
    assert tree["V1"].coords["label"].values.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert tree["source"].values.tolist() == [f"{i}.png" for i in range(N)]


def test_store_is_opened_lazily(store):
    put_in_place(store)
    assert open_store(store)["V1/mean"].chunks is not None


@pytest.mark.parametrize("array", sorted(TRAILING))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.999])
def test_flipped_byte_is_found(store, array, share):
    folder = partial_path(store)
    chunk = chunk_files(folder, array)[-1]
    flip_byte(chunk, int(share * chunk.stat().st_size))
    with pytest.raises(DamagedFileError, match=str(folder / array).replace(".", r"\.")):
        verify_store(folder)


@pytest.mark.parametrize("array", sorted(TRAILING))
def test_missing_chunk_is_found(store, array):
    folder = partial_path(store)
    chunk_files(folder, array)[0].unlink()
    with pytest.raises(DamagedFileError, match="holds responses that are not finite"):
        verify_store(folder)


def test_truncated_chunk_is_found(store):
    folder = partial_path(store)
    chunk = chunk_files(folder, "V1/mean")[0]
    os.truncate(chunk, chunk.stat().st_size // 2)
    with pytest.raises(DamagedFileError, match="V1/mean"):
        verify_store(folder)


def test_missing_array_is_found(store):
    folder = partial_path(store)
    shutil.rmtree(folder / "V2")
    with pytest.raises(DamagedFileError, match="V2/response cannot be read"):
        verify_store(folder)


def test_array_of_another_shape_is_found(store):
    folder = partial_path(store)
    path = folder / "scores" / "zarr.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "shape": [N - 1, T, 2]}))
    with pytest.raises(DamagedFileError, match=r"scores has the shape \[6, 3, 2\] where \[7, 3, 2\] was written"):
        verify_store(folder)


def test_chunk_of_another_store_is_found(store, tmp_path):
    folder, other = partial_path(store), tmp_path / "other.zarr"
    write_store(other, draw_values(seed=1))
    shutil.copy(chunk_files(partial_path(other), "scores")[0], chunk_files(folder, "scores")[0])
    with pytest.raises(DamagedFileError, match="scores does not hold what was written"):
        verify_store(folder)


def test_run_that_did_not_finish_is_incomplete(tmp_path):
    write_store(tmp_path / "x.zarr", draw_values(), finish=False)
    with pytest.raises(DamagedFileError, match=r"is incomplete: showing the stimuli did not finish\. Run it again"):
        verify_store(partial_path(tmp_path / "x.zarr"))


def test_reader_refuses_an_incomplete_store(store):
    os.rename(partial_path(store), store)
    with pytest.raises(
        DamagedFileError, match=r"is incomplete: it has no record\.json\. Run it again: dynvision make --force"
    ):
        open_store(store)


def test_missing_store_names_the_command(tmp_path):
    with pytest.raises(MissingError, match=r"x\.zarr does not exist\. Make it: dynvision make "):
        open_store(tmp_path / "x.zarr")


def test_half_precision_is_stored_as_it_is_and_read_as_float32(tmp_path):
    values = draw_values(dtype="float16")
    write_store(tmp_path / "x.zarr", values)
    verify_store(partial_path(tmp_path / "x.zarr"))
    put_in_place(tmp_path / "x.zarr")
    kept = open_store(tmp_path / "x.zarr")["V2/response"]
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept.values, values["V2/response"].astype(np.float32))


def test_interrupted_store_is_resumed_to_the_same_bytes(tmp_path):
    values = draw_values()
    write_store(tmp_path / "whole.zarr", values)
    write_batches(begin_store(tmp_path / "x.zarr", values), values, stop=1)
    again = begin_store(tmp_path / "x.zarr", values)
    assert again.batches_done == 1
    write_batches(again, values)
    again.finish({"target": "t"})
    whole, resumed = partial_path(tmp_path / "whole.zarr"), partial_path(tmp_path / "x.zarr")
    names = sorted(p.relative_to(whole) for p in whole.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(resumed) for p in resumed.rglob("*") if p.is_file())
    assert all((whole / name).read_bytes() == (resumed / name).read_bytes() for name in names)


def test_store_of_other_settings_is_started_anew(tmp_path):
    values = draw_values()
    write_batches(begin_store(tmp_path / "x.zarr", values, {"seed": 1}), values, stop=2)
    assert begin_store(tmp_path / "x.zarr", values, {"seed": 2}).batches_done == 0


@pytest.mark.parametrize("damage", ["label/c/0", "label/zarr.json", "V1/mean/zarr.json", "zarr.json"])
@pytest.mark.parametrize("is_emptied", [False, True])
def test_store_that_lost_what_it_started_with_is_started_anew(tmp_path, damage, is_emptied):
    values = draw_values()
    writer = begin_store(tmp_path / "x.zarr", values)
    write_batches(writer, values, stop=2)
    assert begin_store(tmp_path / "x.zarr", values).batches_done == 2
    lost = writer.folder / damage
    assert lost.is_file()
    lost.unlink()
    if is_emptied:
        lost.touch()
    assert begin_store(tmp_path / "x.zarr", values).batches_done == 0


def test_permissions_of_new_stores_are_those_of_their_folder(tmp_path):
    tmp_path.chmod(0o2775)
    (tmp_path / "peer").mkdir()
    writer = write_store(tmp_path / "x.zarr", draw_values(), finish=False)
    wanted = (tmp_path / "peer").stat().st_mode
    folders = [writer.folder, *(path for path in writer.folder.rglob("*") if path.is_dir())]
    assert [oct(path.stat().st_mode) for path in folders] == [oct(wanted)] * len(folders)


def test_line_that_was_being_written_does_not_count(tmp_path):
    values = draw_values()
    write_batches(begin_store(tmp_path / "x.zarr", values), values, stop=2)
    journal = partial_path(tmp_path / "x.zarr") / "journal.jsonl"
    os.truncate(journal, journal.stat().st_size - 5)
    again = begin_store(tmp_path / "x.zarr", values)
    assert again.batches_done == 1
    write_batches(again, values)
    again.finish({"target": "t"})
    verify_store(again.folder)


def test_rejected_store_is_started_anew(store):
    reject_partial(store)
    assert begin_store(store, draw_values()).batches_done == 0


def test_responses_that_are_not_finite_are_kept_if_that_is_allowed(tmp_path):
    values = draw_values()
    values["V1/mean"][2, 1, 3] = np.nan
    writer = write_store(tmp_path / "x.zarr", values)
    with pytest.raises(DamagedFileError, match="V1/mean holds responses that are not finite"):
        verify_store(writer.folder)
    writer.finish({"target": "t"}, allow_nonfinite=True)
    verify_store(writer.folder)


def test_content_depends_on_every_value(tmp_path):
    first = write_store(tmp_path / "a.zarr", draw_values()).content
    assert write_store(tmp_path / "b.zarr", draw_values()).content == first
    changed = draw_values()
    changed["V1/std"][6, 2, 3] += 1
    assert write_store(tmp_path / "c.zarr", changed).content != first


def test_conditions_are_combined_and_missing_ones_are_nan(tmp_path):
    stores = []
    for seed, level in enumerate((0.1, 1.0)):
        path = tmp_path / f"contrast={level}.zarr"
        write_store(path, draw_values(seed))
        put_in_place(path)
        stores.append(({"contrast": level}, path))
    tree = combine_conditions(stores, {"contrast": [0.1, 0.5, 1.0]})
    assert isinstance(tree, xarray.DataTree)
    mean = tree["V1/mean"]
    assert mean.dims == ("contrast", "sample", "time", "channel")
    np.testing.assert_array_equal(mean.sel(contrast=1.0).values, draw_values(1)["V1/mean"])
    np.testing.assert_array_equal(mean.sel(contrast=0.1).values, draw_values(0)["V1/mean"])
    assert np.isnan(mean.sel(contrast=0.5).values).all()
