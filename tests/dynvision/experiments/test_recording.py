"""Recording a whole sweep on the small chain: what is stored, alone and with other conditions."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from dynvision.errors import ConfigError, DamagedFileError, DataError
from dynvision.experiments import recording
from dynvision.experiments.reading import open_store
from dynvision.experiments.stores.store import partial_path
from dynvision.experiments.writing import SweepWriter
from dynvision.workspace.building import build_targets
from tests.helpers.chains import Chain
from tests.helpers.files import reseal
from tests.helpers.recordings import KEY, change_record, change_run, read_files, show, store
from tests.helpers.stores import damage_before_verifying

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recordable(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which everything that responses are made from is built; the configuration is in `config`."""
    root = tmp_path_factory.mktemp("recording") / "root"
    shutil.copytree(chain.root, root, symlinks=True)
    for folder in ("responses", "reports"):
        shutil.rmtree(root / "data" / folder)
    change_record(root, batch_size=3)
    return root


@pytest.fixture
def root(recordable: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(recordable, tmp_path / "root", symlinks=True)
    return tmp_path / "root"


def versions(records: list[dict[str, Any]]) -> list[str]:
    return [record["data_version"] for record in records]


def test_conditions_together_are_those_alone_to_the_bit(root):
    together = show(root)
    files = read_files(store(root))
    shutil.rmtree(root / "data" / "responses")
    alone = [record for level in ("0.1", "0.5", "1.0") for record in show(root, level)]
    assert versions(alone) == versions(together)
    assert read_files(store(root)) == files


def test_store_says_how_it_was_made_and_what_was_shown(root):
    (record,) = show(root, "0.5")
    tree = open_store(store(root))
    assert tree["scores"].dtype == np.float32
    assert tree["predicted"].dims == tree["confidence"].dims == tree["rank"].dims == ("sample", "time")
    classes, best = tree["class"].values, tree["scores"].values.argmax(axis=2)
    np.testing.assert_array_equal(tree["predicted"].values, classes[best])
    assert ((tree["rank"].values == 0) == (tree["predicted"].values == tree["label"].values[:, None])).all()
    np.testing.assert_array_equal(tree["V1"].coords["channel"], np.arange(tree["V1"].sizes["channel"]))
    np.testing.assert_allclose(tree["V1"].coords["time_ms"], 5.0 * tree["V1"].coords["time"])
    assert all((root / path).is_file() for path in tree["source"].values)
    made = {key: tree.attrs[key] for key in ("threads", "torch", "device", "batch_size", "block_steps")}
    assert made.items() <= record["details"].items()
    settings = json.loads(tree.attrs["settings"])
    assert settings["record"]["batch_size"] == 3
    assert json.loads(tree.attrs["model"])["seed"] == json.loads(tree.attrs["subject"])["seed"] == 0
    assert json.loads(tree.attrs["inputs"]) == record["inputs"]
    assert settings["run"] == {"dtype": "float32", "mixed_precision": False}
    assert record["details"]["steps_computed"] == 2 + 6 + 5  # five of the resting run are its own


def test_own_contrast_of_each_image_is_stored_however_the_run_went(root, monkeypatch):
    (record,) = show(root, "0.5")
    tree = open_store(store(root))
    contrast = tree["image_contrast"]
    pixels = np.stack([plt.imread(root / path)[..., :3] for path in tree["source"].values]).astype(np.float64)
    wanted = np.sqrt(np.square((pixels - 0.5) / 0.29).mean(axis=(1, 2, 3)))  # the statistics of gratings
    np.testing.assert_allclose(contrast.values, wanted, rtol=1e-5)
    assert contrast.dims == ("sample",)
    assert contrast.attrs["reference"] == 0
    assert "Peli 1990" in contrast.attrs["long_name"]
    assert "image_contrast" in tree["V1"].coords
    np.testing.assert_allclose(record["details"]["image_contrast"], wanted.mean(), rtol=1e-5)
    written = read_files(store(root))
    shutil.rmtree(root / "data" / "responses")
    # A run that is stopped after the first batches is resumed, and knows the contrast of their images.
    stopped = iter(range(2))
    end_batch = SweepWriter.end_batch

    def end_some(writer: SweepWriter, steps: int) -> None:
        if next(stopped, None) is None:
            raise DataError("stopped here")
        end_batch(writer, steps)

    with monkeypatch.context() as stop:
        stop.setattr(SweepWriter, "end_batch", end_some)
        with pytest.raises(DataError, match="stopped here"):
            show(root, "0.5")
    show(root, "0.5")
    assert read_files(store(root)) == written


def test_responses_do_not_depend_on_the_size_of_blocks_or_batches(root):
    show(root, "0.5")
    before = open_store(store(root)).load()
    change_record(root, batch_size=5)
    show(root, "0.5")
    after = open_store(store(root))
    np.testing.assert_allclose(after["V1/mean"].values, before["V1/mean"].values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(after["scores"].values, before["scores"].values, rtol=1e-4, atol=1e-5)


def test_repeated_run_gives_the_same_bits(root):
    first = show(root)
    files = read_files(store(root))
    again = build_targets([f"{KEY}:0.5"], root=str(root), config=str(root / "config"), force=True)
    assert versions(again) == versions(first[1:2])
    assert read_files(store(root)) == files


@pytest.mark.parametrize("resolution", ["unit", "layer"])
def test_every_resolution_can_be_recorded_and_read(root, resolution):
    change_record(root, resolution=resolution, dtype="float16")
    show(root, "0.5")
    layer = open_store(store(root))["V1"]
    dims = {"unit": ("sample", "time", "channel", "y", "x"), "layer": ("sample", "time")}[resolution]
    names = {"unit": ["response"], "layer": ["mean", "std", "feature_std"]}[resolution]
    assert sorted(layer.data_vars) == sorted(names)
    assert all(layer[name].dims == dims for name in names)
    assert all(layer[name].dtype == np.float32 for name in names)


def test_chosen_units_carry_their_positions_and_are_those_of_the_whole(root):
    change_record(root, resolution="unit")
    show(root, "0.5")
    whole = open_store(store(root))["V1/response"].load()
    change_record(root, resolution="unit", units=7, unit_seed=3)
    show(root, "0.5")
    chosen = open_store(store(root))["V1/response"].load()
    assert chosen.dims == ("sample", "time", "unit")
    assert chosen.sizes["unit"] == 7
    positions = (chosen.coords[name].values for name in ("channel", "y", "x"))
    np.testing.assert_array_equal(chosen.values, whole.values[(slice(None), slice(None), *positions)])


def test_half_precision_that_does_not_fit_the_weights_is_an_error(root):
    change_run(root, dtype="float16")
    with pytest.raises(ConfigError, match="frames of dtype float16 do not fit weights of float32: add 'mixed_prec"):
        show(root, "0.5")


def test_mixed_precision_is_recorded_as_such(root):
    change_run(root, dtype="bfloat16", mixed_precision=True)
    show(root, "0.5")
    settings = json.loads(open_store(store(root)).attrs["settings"])
    assert settings["run"]["mixed_precision"] is True


def test_device_that_does_not_exist_is_an_error(root):
    change_run(root, device="cuda:7")
    with pytest.raises(ConfigError, match="there is no device 'cuda:7' on this machine"):
        show(root, "0.5")


def spoil_weights(root: Path) -> None:
    """Make V1's weights infinite, as if they had been trained to be."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = root / "data/models/rcnn/gratings/all_s0/trained.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    weights = load_file(path)
    weights["V1.feedforward.bias"] = torch.full_like(weights["V1.feedforward.bias"], torch.inf)
    save_file(weights, path, metadata)
    reseal(path.parent)


def test_responses_that_are_not_finite_stop_the_run_and_leave_nothing(root):
    spoil_weights(root)
    with pytest.raises(DataError, match=rf"'V1' is not finite at sample 0, recorded step 0, in {KEY}:contrast=0.5"):
        show(root, "0.5")
    assert not store(root).exists()


def test_responses_that_are_not_finite_are_recorded_if_that_is_asked_for(root):
    spoil_weights(root)
    change_record(root, allow_nonfinite=True)
    show(root, "0.5")
    assert not np.isfinite(open_store(store(root))["V1/mean"].values).any()


def test_partial_store_is_refused_by_every_reader(root):
    show(root, "0.5")
    folder = store(root)
    folder.rename(partial_path(folder))
    (partial_path(folder) / "record.json").unlink()
    with pytest.raises(DamagedFileError, match="is incomplete"):
        open_store(partial_path(folder))


def test_damage_found_in_what_was_written_is_never_resumed(root, monkeypatch):
    with monkeypatch.context() as patched:
        damage_before_verifying(patched, "V1/mean")
        with pytest.raises(DamagedFileError, match="V1/mean"):
            show(root, "0.5")
    show(root, "0.5")
    assert open_store(store(root))["V1/mean"].notnull().all()


def test_progress_counts_trials_and_moves_from_condition_to_condition_within_a_batch(root, monkeypatch):
    """A sweep of many conditions stood at `0 of 400 images` for as long as its first batch took."""
    bars: list[tuple[int, str, int]] = []
    steps: list[int] = []

    class Bar:
        def update(self, count: int) -> None:
            steps.append(count)

    @contextlib.contextmanager
    def progress_bar(total: int, description: str, unit: str, *, initial: int) -> Iterator[Bar]:
        bars.append((total, unit, initial))
        yield Bar()

    monkeypatch.setattr(recording, "progress_bar", progress_bar)
    show(root)
    ((total, unit, initial),) = bars
    assert (unit, initial) == ("trial", 0)
    assert total == 3 * 12
    # Four batches of three images; within each, the three conditions end one after the other. References count nothing.
    assert [count for count in steps if count] == [3] * 12
