"""A training that is killed (SIGKILL) in a process of its own, and goes on in another one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from dynvision.errors import DynvisionError, KilledError
from dynvision.models.making import checkpoints
from dynvision.records import Record
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from dynvision.workspace.failures import say_what_is_kept
from dynvision.workspace.leftovers import find_leftovers
from tests.helpers.chains import Chain
from tests.helpers.configuration import edit_yaml
from tests.helpers.interrupted import MODEL, build_until_killed

pytestmark = pytest.mark.slow

EPOCHS, UPDATES = 5, 3
FOLDER = "data/models/rcnn/gratings"


def change_training(chain: Chain, **changes: Any) -> None:
    edit_yaml(
        chain.config / "config_models.yaml", lambda content: content["models"]["rcnn"]["training"].update(changes)
    )


def prepare(made: Chain, root: Path, *, use_ffcv: bool) -> Chain:
    """A root whose images are ready, with a training of five epochs and augmented images; weights are kept after 2."""
    shutil.copytree(made.root, root, symlinks=True, ignore=shutil.ignore_patterns("models", "responses", "summary"))
    chain = Chain(root, root / "config")

    def set_data(content: dict[str, Any]) -> None:
        content["use_ffcv"] = use_ffcv
        content["transform_presets"]["train_gratings"] = ["RandomHorizontalFlip(0.5)", "RandomRotation(20)"]

    edit_yaml(chain.config / "config_data.yaml", set_data)
    edit_yaml(
        chain.config / "config_experiments.yaml",
        lambda content: content["experiment_config"]["contrast"].update(status="trained-epoch=2"),
    )
    change_training(chain, epochs=EPOCHS)
    return chain


def build(chain: Chain, **options: Any) -> Record:
    (record,) = build_targets([MODEL], root=str(chain.root), config=str(chain.config), **options)
    return Record.from_dict(record, "")


def read_weights(chain: Chain) -> dict[str, dict[str, torch.Tensor]]:
    return {path.stem: load_file(path) for path in sorted((chain.root / FOLDER / "all_s0").glob("*.safetensors"))}


def assert_same_weights(one: Any, other: Any) -> None:
    assert one.keys() == other.keys() == {"epoch=2", "init", "trained"}
    for name, weights in one.items():
        assert weights.keys() == other[name].keys()
        assert [key for key, value in weights.items() if not torch.equal(value, other[name][key])] == []


def unfinished(chain: Chain) -> list[str]:
    names = [path.name for path in (chain.root / FOLDER).iterdir()]
    return sorted(name for name in names if name.endswith(".training") or "partial" in name)


@pytest.fixture(scope="module", params=[True, False], ids=["ffcv", "files"])
def whole(
    request: pytest.FixtureRequest, chain: Chain, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Chain, Record, Any]:
    """A root, and the model that an uninterrupted training makes in it."""
    chain = prepare(chain, tmp_path_factory.mktemp("whole") / "root", use_ffcv=request.param)
    record = build(chain)
    weights = read_weights(chain)
    return chain, record, weights


def test_a_training_that_is_killed_ends_in_the_same_weights_history_and_version(whole, capsys):
    chain, expected, weights = whole
    (chain.root / FOLDER / "all_s0/record.json").unlink()
    target = parse_target(chain.open(), MODEL)[0]
    assert chain.open().status(target).reason == "it has not been built"
    build_until_killed(chain.root, chain.config, 2 * UPDATES + 1)  # in the third epoch
    assert unfinished(chain) == [".all_s0.training"]
    assert chain.open().status(target).reason == "it has not been built; its training came to the end of epoch 2"
    assert find_leftovers(chain.open(), ("models",)) == []
    assert str(say_what_is_kept(chain.open(), [target], KilledError(f"{target}: it was killed"))) == (
        f"{target}: it was killed. Its training came to the end of epoch 2; the next make of the same goes on from "
        "there."
    )
    epoch = 2
    if not chain.open().config.data.use_ffcv:  # FFCV takes long to start, and the rest is the same
        build_until_killed(chain.root, chain.config, 2 * UPDATES, in_write=True)  # at the end of the fourth
        assert chain.open().status(target).reason.endswith("its training came to the end of epoch 3")
        epoch = 3
    capsys.readouterr()
    record = build(chain)
    assert f"{MODEL}: resumed after epoch {epoch}" in capsys.readouterr().err
    assert_same_weights(read_weights(chain), weights)
    assert record.data_version == expected.data_version
    for name in ("loss", "val_accuracy"):
        assert record.details[name] == expected.details[name]
    assert record.details["resumed_after"] == epoch
    assert "resumed_after" not in expected.details
    assert unfinished(chain) == []
    assert chain.open().status(target).state == "fresh"


@pytest.fixture
def stopped(chain: Chain, tmp_path: Path) -> Chain:
    """A root in which a training stopped after epoch 2."""
    copy = prepare(chain, tmp_path / "root", use_ffcv=False)
    stop_after(copy, 2)
    assert unfinished(copy) == [".all_s0.training"]
    return copy


def stop_after(chain: Chain, epoch: int) -> None:
    keep = checkpoints.Checkpoints.keep

    def keep_and_stop(self: Any, number: int, take: Any) -> None:
        self._next = 0.0
        keep(self, number, take)
        if number == epoch:
            raise DynvisionError("stopped")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints.Checkpoints, "keep", keep_and_stop)
        with pytest.raises(DynvisionError, match="stopped"):
            build(chain)


def test_a_checkpoint_of_other_settings_is_ignored_and_the_reason_is_said(stopped, capsys):
    change_training(stopped, learning_rate=0.004)
    assert "resumed_after" not in build(stopped).details
    assert "its checkpoint is of a training with other training.learning_rate\n" in capsys.readouterr().err
    assert unfinished(stopped) == []


def test_another_number_of_threads_begins_anew(stopped, capsys):
    change_training(stopped, threads=1)
    assert build(stopped).details["threads"] == 1
    assert "its checkpoint is of a training with other training.threads\n" in capsys.readouterr().err


def test_force_begins_anew(stopped, capsys):
    assert "resumed_after" not in build(stopped, force=True).details
    assert "resumed" not in capsys.readouterr().err
    assert unfinished(stopped) == []


def test_what_is_left_of_the_training_of_a_fresh_model_is_removed(stopped):
    folder, kept = stopped.root / FOLDER / ".all_s0.training", stopped.root / "kept"
    os.rename(folder, kept)
    build(stopped)
    os.rename(kept, folder)
    build(stopped)
    assert unfinished(stopped) == []


def test_a_training_that_the_configuration_names_no_more_is_left_over(stopped):
    def rename(content: dict[str, Any]) -> None:
        content["models"]["other"] = content["models"].pop("rcnn")

    edit_yaml(stopped.config / "config_models.yaml", rename)
    edit_yaml(
        stopped.config / "config_experiments.yaml",
        lambda content: [subject.update(model="other") for subject in content["subjects"].values()],
    )
    (left,) = find_leftovers(stopped.open(), ("models",))
    assert (left.name, left.path) == ("models/rcnn", stopped.root / "data/models/rcnn")
    assert left.count_bytes() > 0
