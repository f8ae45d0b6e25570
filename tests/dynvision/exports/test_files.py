"""Files of exports: whole or not at all, never over another file, and written without holding them in memory."""

from __future__ import annotations

import errno
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray

from dynvision.errors import ConfigError, DynvisionError, MachineError, UnknownNameError
from tests.helpers.configuration import PROJECT_CONFIG
from tests.helpers.exports import LABELS, N, export
from tests.helpers.stores import CHANNEL, SPATIAL, write_store

FORMS = ["netcdf", "brainio"]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_export_replaces_its_own_file_and_no_other(responses, tmp_path, form):
    path = export(responses, tmp_path / "out.nc", form)
    before = path.read_bytes()
    assert export(responses, path, form) == path
    path.write_bytes(b"notes")
    with pytest.raises(ConfigError, match=r"out\.nc exists already, and is no export of responses/contrast/rcnn_grat"):
        export(responses, path, form)
    assert path.read_bytes() == b"notes"
    export(responses, path, form, overwrite=True)
    assert len(path.read_bytes()) == len(before)
    assert [p.name for p in tmp_path.iterdir()] == ["out.nc"]


def test_export_of_something_else_is_another_file(responses, tmp_path):
    path = export(responses, tmp_path / "out.nc", "netcdf")
    with pytest.raises(ConfigError, match="is no export of responses/contrast/rcnn_gratings as brainio"):
        export(responses, path, "brainio")
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        export(responses, tmp_path, "netcdf")


def test_unknown_format_names_the_nearest(responses, tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown format 'netcfd'\. Did you mean 'netcdf'\?"):
        export(responses, tmp_path / "out.nc", "netcfd")


class FullDisk(io.FileIO):
    """A file on a disk that is full after some bytes."""

    def write(self, content: Any) -> int:
        if self.tell() > 5_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


@pytest.mark.parametrize("form", FORMS)
def test_full_disk_is_one_sentence_and_leaves_the_old_file(responses, tmp_path, monkeypatch, form):
    path = export(responses, tmp_path / "out.nc", form)
    before = path.read_bytes()
    monkeypatch.setattr(Path, "open", lambda path, *_, **__: FullDisk(path, "w+"))
    with pytest.raises(MachineError, match=r"out\.nc could not be written: no space is left on the disk") as caught:
        export(responses, path, form)
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out.nc"]


@pytest.mark.parametrize("form", FORMS)
def test_too_little_room_is_said_before_anything_is_written(responses, tmp_path, monkeypatch, form):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(DynvisionError, match=r"the export needs about 0 MB, but .* has 0 MB free\. Make room"):
        export(responses, tmp_path / "out.nc", form)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_columns_of_any_type_and_name_are_exported(responses, tmp_path, form):
    columns = {"in colour": np.array([True, False] * 3)[:N], "artist": ["a", None, float("nan"), "b", 3], "n": LABELS}
    added = {
        name: ("sample", np.array(values, dtype=object) if name == "artist" else values)
        for name, values in columns.items()
    }
    responses.dataset = responses.to_dataset().assign_coords(added)
    read = xarray.open_dataset(export(responses, tmp_path / "out.nc", form), engine="h5netcdf")
    assert read["artist"].values.tolist()[:N] == ["a", "", "", "b", "3"]
    assert read["in_colour"].values.tolist()[:N] == columns["in colour"].tolist()
    assert read["n"].values.tolist()[:N] == LABELS.tolist()


GROWTH = """
import json, resource, sys
from pathlib import Path
from typing import Any
import numpy as np
from dynvision.experiments.reading import combine_conditions
from tests.helpers.exports import export, make_responses

folder, form = Path(sys.argv[1]), sys.argv[2]
export(make_responses(folder / "small"), folder / "small.nc", form)  # so that every library is loaded
stores = [({"contrast": level}, folder / f"contrast={level}.zarr") for level in (0.25, 1.0)]
tree = combine_conditions(stores, {"contrast": [0.25, 1.0]})
size = sum(v.nbytes for node in tree.subtree for v in node.data_vars.values())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
path = export(tree, folder / "big.nc", form)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"growth": (after - before) * 1024, "size": size, "file": path.stat().st_size}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_export_is_streamed(tmp_path: Path, form: str) -> None:
    """What is exported is many times larger than what is in memory at once."""
    rng = np.random.default_rng(0)
    for level in (0.25, 1.0):
        layers = {
            "V1": {"response": (SPATIAL, rng.random((200, 20, 8, 16, 16), np.float32))},
            "classifier": {"response": (CHANNEL, rng.random((200, 20, 10), np.float32))},
        }
        scores = np.zeros((200, 20, 3), np.float32)
        write_store(tmp_path / f"contrast={level}.zarr", layers, scores, np.arange(200) % 3, [0, 1, 2], rows=10)
    command = [sys.executable, "-c", GROWTH, str(tmp_path), form]
    done = subprocess.run(command, cwd=PROJECT_CONFIG.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["size"] > 60e6
    assert measured["growth"] < measured["size"] / 4


LIMITED = """
import resource, sys
from pathlib import Path
from typing import Any
from dynvision.errors import MachineError
from tests.helpers.exports import export, make_responses

folder, form = Path(sys.argv[1]), sys.argv[2]
tree = make_responses(folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    export(tree, folder / "out.nc", form)
except MachineError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_file_that_may_not_grow_is_one_sentence_and_leaves_nothing(tmp_path: Path, form: str) -> None:
    command = [sys.executable, "-c", LIMITED, str(tmp_path), form]
    done = subprocess.run(command, cwd=PROJECT_CONFIG.parent, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{tmp_path / 'out.nc'} could not be written: the file becomes larger than allowed")
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 1, "")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []
