"""What a recorded store says about itself, to whoever opens it with xarray alone."""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray

from dynvision.experiments.readout import LABELS_MATCH
from dynvision.experiments.stores.store import RECORD, consolidate_store
from dynvision.records import read_record
from dynvision.system.file_digests import digest_files, list_files
from dynvision.system.files import write_json
from dynvision.workspace import Workspace
from tests.helpers.chains import Chain
from tests.helpers.recordings import store

NAMES = ["0 deg", "60 deg", "120 deg"]


def open_plainly(folder: Path) -> xarray.DataTree:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return xarray.open_datatree(folder, engine="zarr", consolidated=False)


def test_recorded_store_names_its_classes(chain: Chain) -> None:
    tree = open_plainly(store(chain.root))
    assert tree["class_name"].dims == ("class",)
    assert [str(name) for name in tree["class_name"].values] == [NAMES[k] for k in tree["class"].values]
    assert [str(name) for name in tree["label_name"].values] == [NAMES[k] for k in tree["label"].values]


def test_every_variable_of_a_recorded_store_has_a_long_name_and_a_unit(chain: Chain) -> None:
    for node in open_plainly(store(chain.root)).subtree:
        for name, variable in node.to_dataset(inherit=False).variables.items():
            assert variable.attrs.get("long_name"), (node.path, name)
            if np.issubdtype(variable.dtype, np.number):
                assert variable.attrs.get("units") in ("1", "step", "ms"), (node.path, name)


def test_names_of_classes_are_no_part_of_the_data_version(chain_copy: Chain) -> None:
    """A store that was recorded before it named its classes is fresh, and `load` names them."""
    target = next(t for t in chain_copy.open().targets(("responses", "contrast", "rcnn_gratings")))
    workspace: Workspace = chain_copy.open()
    folder = workspace.stage(target).output(target)
    before = workspace.read_record(target)
    for name in ("class_name", "label_name"):
        shutil.rmtree(folder / name)
    forget_files(folder, ["class_name", "label_name"])
    workspace = chain_copy.open()
    after = workspace.read_record(target)
    assert before is not None
    assert after is not None
    assert after.data_version == before.data_version
    assert workspace.status(target).state == "fresh"
    tree = workspace.stage(target).load([target])
    assert tree["label_name"].values.tolist() == [NAMES[k] for k in tree["label"].values]
    assert tree["class_name"].values.tolist() == NAMES


def forget_files(folder: Path, names: Sequence[str]) -> None:
    """Make the record and the metadata of a store those of one that never had some coordinates."""
    consolidate_store(folder)
    record = read_record(folder / RECORD)
    assert record is not None
    files = digest_files(folder, list_files(folder, [RECORD]))
    assert not any(file.startswith(tuple(f"{name}/" for name in names)) for file in files)
    details = {name: value for name, value in record.details.items() if name != LABELS_MATCH}
    write_json(folder / RECORD, dataclasses.replace(record, files=files, details=details).to_dict())
