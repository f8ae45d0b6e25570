"""A training that stops after any epoch and goes on in new objects ends in the same weights, to the bit."""

from __future__ import annotations

import errno
import random
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.transforms import v2

from dynvision.config.sections.models import TrainingConfig
from dynvision.data.dataloader import get_data_loader
from dynvision.errors import LockLostError
from dynvision.models import RCNN, NormalizingNetwork
from dynvision.models.making import checkpoints as module
from dynvision.models.making.checkpoints import Checkpoints
from dynvision.models.making.history import History
from dynvision.models.making.training import train_network
from dynvision.models.seeding import seeded
from dynvision.system.guards import guard_outputs
from tests.helpers.files import flip_byte

pytestmark = pytest.mark.slow

EPOCHS = 4
SETTINGS = TrainingConfig(
    epochs=EPOCHS,
    n_timesteps=2,
    loss_from=1,
    batch_size=8,
    learning_rate=0.02,
    sensor_noise=0.2,
    contrast_range=(0.5, 1.0),
)
IDENTITY = {"training.learning_rate": 0.02, "seed": 0}


class Drawing(nn.Module):
    """Draws from every global generator and two of its own, normalizes, and changes attributes in training."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(3), nn.Linear(3, 2)
        self.own, self.other = np.random.default_rng(1), torch.Generator().manual_seed(2)
        self.register_buffer("largest", torch.zeros(()), persistent=False)
        self.updates, self.past, self.table, self.scale = 0, deque(maxlen=2), {"mean": np.zeros(3)}, np.float64(1)

    def forward(self, x):
        if self.training:
            self.updates += 1
            self.largest = torch.maximum(self.largest, x.detach().abs().max())
            self.past.append(float(self.largest))
            self.table["mean"] = self.table["mean"] + x.detach().mean((0, 2, 3)).numpy()
            self.scale = np.float64(self.scale * 0.99)
            drawn = random.random() + np.random.standard_normal() + self.own.standard_normal()
            x = x + 0.1 * (drawn + torch.rand((), generator=self.other)) + 0.01 * sum(self.past) * float(self.scale)
            x = x + 0.001 * self.updates + 0.01 * float(self.table["mean"].sum())
        return nn.functional.dropout(self.head(self.norm(x).mean((2, 3))), 0.3, self.training)


class Dropping(nn.Module):
    """Draws on the device, which keeps a tensor of the network, too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head, self.mean = nn.BatchNorm2d(3), nn.Linear(3, 2), None

    def forward(self, x):
        if self.training:
            self.mean = x.detach().mean() if self.mean is None else 0.9 * self.mean + 0.1 * x.detach().mean()
            x = x - 0.1 * self.mean
        return self.head(nn.functional.dropout(self.norm(x).mean((2, 3)), 0.3, self.training))


NETWORKS = {
    "rcnn": lambda: RCNN(2, 8, channels=[4, 4, 4, 4]),
    "normalizing": lambda: NormalizingNetwork(2, 8, channels=[4, 4], kernel=3),
    "drawing": Drawing,
    "dropping": Dropping,
}
AUGMENT = v2.Compose([v2.RandomHorizontalFlip(0.5), v2.RandomAffine(10, translate=(0.1, 0.1))])


class Stopped(Exception):
    """In place of a kill."""


@pytest.fixture(autouse=True)
def _every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)
    monkeypatch.setattr(module, "LARGEST_SHARE", float("inf"))


def make_loader(count: int, shuffle: bool) -> Any:
    labels = torch.arange(count) % 2
    images = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + labels.view(-1, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    dataset = TensorDataset(images, labels)
    return get_data_loader(dataset, batch_size=8, n_timesteps=2, lazy=True, shuffle=shuffle, generator=generator)


def train(
    name: str, checkpoints: Checkpoints | None, stop_in: int | None = None, device: str = "cpu"
) -> tuple[dict[str, torch.Tensor], History]:
    """Train a new network with new loaders; `stop_in` stops in that epoch, after its updates."""

    def stop(epoch: int) -> None:
        if epoch == stop_in:
            raise Stopped

    with seeded(0):
        network = NETWORKS[name]()
    loaders = make_loader(25, True), make_loader(8, False)
    options = {"on_epoch": stop, "checkpoints": checkpoints, "device": device}
    history = train_network(network, *loaders, SETTINGS, 0, AUGMENT, **options)
    return network.state_dict(), history


def open_checkpoints(folder: Path, identity: dict[str, Any] = IDENTITY, **options: Any) -> Checkpoints:
    return Checkpoints(folder / ".all_s0.training", "models/x/y:all_s0", identity, **options)


def assert_same(one: tuple[dict[str, torch.Tensor], History], other: tuple[dict[str, torch.Tensor], History]) -> None:
    assert one[1] == other[1]
    assert one[0].keys() == other[0].keys()
    assert [name for name, value in one[0].items() if not torch.equal(value, other[0][name])] == []


@pytest.fixture(scope="module")
def whole() -> dict[str, tuple[dict[str, torch.Tensor], History]]:
    return {name: train(name, None) for name in NETWORKS}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
def test_a_training_that_stops_in_any_epoch_ends_in_the_same_weights(tmp_path, whole, name, epoch, capsys):
    with pytest.raises(Stopped):
        train(name, open_checkpoints(tmp_path), stop_in=epoch)
    np.random.seed(epoch)  # another process has other generators
    torch.manual_seed(epoch)
    capsys.readouterr()
    checkpoints = open_checkpoints(tmp_path)
    assert_same(train(name, checkpoints), whole[name])
    assert checkpoints.resumed_after == epoch - 1
    said = f"models/x/y:all_s0: resumed after epoch {epoch - 1}\n"
    assert (said in capsys.readouterr().err) == (epoch > 1)


def test_a_training_that_stops_in_every_epoch_ends_in_the_same_weights(tmp_path, whole):
    for epoch in range(2, EPOCHS + 1):
        with pytest.raises(Stopped):
            train("drawing", open_checkpoints(tmp_path), stop_in=epoch)
    assert_same(train("drawing", open_checkpoints(tmp_path)), whole["drawing"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
@pytest.mark.parametrize("name", ["rcnn", "normalizing", "dropping"])
def test_a_training_on_a_gpu_that_stops_in_every_epoch_ends_in_the_same_weights(tmp_path, name):
    whole = train(name, None, device="cuda")
    for epoch in range(2, EPOCHS + 1):
        with pytest.raises(Stopped):
            train(name, open_checkpoints(tmp_path), stop_in=epoch, device="cuda")
    assert_same(train(name, open_checkpoints(tmp_path), device="cuda"), whole)


def test_a_training_that_was_finished_but_not_saved_is_not_trained_again(tmp_path, whole):
    assert_same(train("rcnn", open_checkpoints(tmp_path)), whole["rcnn"])
    checkpoints = open_checkpoints(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", None)
        assert_same(train("rcnn", checkpoints), whole["rcnn"])
    checkpoints.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """The folder of a training that stopped in epoch 3."""
    with pytest.raises(Stopped):
        train("rcnn", open_checkpoints(tmp_path), stop_in=3)
    assert {path.name for path in (tmp_path / ".all_s0.training").iterdir()} == {"checkpoint.json", "state-2.pt"}
    return tmp_path


def test_a_checkpoint_of_other_settings_is_not_used(stopped, whole, capsys):
    checkpoints = open_checkpoints(stopped, {**IDENTITY, "seed": 1})
    assert_same(train("rcnn", checkpoints), whole["rcnn"])
    assert checkpoints.resumed_after == 0
    assert (
        "its training begins anew, because its checkpoint is of a training with other seed" in capsys.readouterr().err
    )


def test_a_forced_training_begins_anew(stopped, whole):
    checkpoints = open_checkpoints(stopped, fresh=True)
    assert_same(train("rcnn", checkpoints), whole["rcnn"])
    assert checkpoints.resumed_after == 0


@pytest.mark.parametrize(("file", "position"), [("checkpoint.json", 30), ("checkpoint.json", 0), ("state-2.pt", -900)])
def test_a_damaged_checkpoint_is_not_used(stopped, whole, capsys, file, position):
    path = stopped / ".all_s0.training" / file
    flip_byte(path, position)
    checkpoints = open_checkpoints(stopped)
    assert_same(train("rcnn", checkpoints), whole["rcnn"])
    assert checkpoints.resumed_after == 0
    said = f"its training begins anew, because its checkpoint cannot be used: {path} is damaged"
    assert said in capsys.readouterr().err


def test_a_checkpoint_without_its_file_is_not_used(stopped, capsys):
    (stopped / ".all_s0.training/state-2.pt").unlink()
    assert open_checkpoints(stopped).resume(lambda state: pytest.fail("it was used")) == 0
    assert "state-2.pt is missing" in capsys.readouterr().err


def test_a_checkpoint_without_weights_that_an_experiment_asks_for_now_is_not_used(stopped, capsys):
    assert open_checkpoints(stopped, epochs=[4]).resume(lambda state: None) == 2
    assert open_checkpoints(stopped, epochs=[1, 4]).resume(lambda state: pytest.fail("it was used")) == 0
    assert "because an experiment asks for the weights after epoch 1, and its" in capsys.readouterr().err
    assert list(stopped.iterdir()) == []


def test_weights_that_are_kept_are_written_once_and_read_again(tmp_path):
    first = open_checkpoints(tmp_path, epochs=[1, 3])
    first.kept[1] = {"w": torch.arange(3.0)}
    first.keep(1, lambda: {"a": 1})
    written = (tmp_path / ".all_s0.training/epoch=1.pt").stat().st_mtime_ns
    first.keep(2, lambda: {"a": 2})
    assert (tmp_path / ".all_s0.training/epoch=1.pt").stat().st_mtime_ns == written
    states: list[dict[str, Any]] = []
    second = open_checkpoints(tmp_path, epochs=[1, 3])
    assert second.resume(states.append) == 2
    assert states == [{"a": 2}]
    assert second.kept[1]["w"].tolist() == [0.0, 1.0, 2.0]


def test_a_full_disk_is_said_once_and_the_training_goes_on(tmp_path, whole, monkeypatch, capsys):
    def refuse(content: Any, file: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", refuse)
    checkpoints = open_checkpoints(tmp_path)
    assert_same(train("rcnn", checkpoints), whole["rcnn"])
    said = capsys.readouterr().err
    assert said.count("if this training is interrupted now, it cannot be resumed from here: no space is left on") == 1
    checkpoints.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("every", [0.0, 1e6], ids=["a checkpoint is written", "no checkpoint is due"])
def test_a_training_whose_lock_was_taken_over_ends_with_the_next_epoch(tmp_path, monkeypatch, every):
    monkeypatch.setattr(module, "EVERY", every)
    checkpoints = open_checkpoints(tmp_path)
    looks: list[float] = []

    def check(within: float) -> None:
        looks.append(within)
        if len(looks) > 2:
            raise LockLostError("its lock has been taken over")

    with guard_outputs([tmp_path / "all_s0"], check), pytest.raises(LockLostError, match="has been taken over"):
        train("rcnn", checkpoints)
    assert len(looks) == 3


def test_a_disk_that_is_full_for_a_while_keeps_the_last_checkpoint(stopped, whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_json", lambda *arguments: (_ for _ in ()).throw(OSError(errno.EDQUOT, "quota")))
        with pytest.raises(Stopped):
            train("rcnn", open_checkpoints(stopped), stop_in=4)
    checkpoints = open_checkpoints(stopped)
    assert_same(train("rcnn", checkpoints), whole["rcnn"])
    assert checkpoints.resumed_after == 2


def test_a_value_that_cannot_be_written_down_is_said_once(tmp_path, monkeypatch, capsys):
    class Number(int):
        pass

    class Odd(Drawing):
        def forward(self, x):
            self.count = Number(self.updates)
            return super().forward(x)

    monkeypatch.setitem(NETWORKS, "odd", Odd)
    train("odd", open_checkpoints(tmp_path))
    assert capsys.readouterr().err.count("from here: the network keeps a value of the class Number") == 1
    assert list(tmp_path.iterdir()) == []


def test_short_epochs_are_not_slowed_down_by_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 10.0)
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    checkpoints, written = open_checkpoints(tmp_path), []
    for epoch in range(1, 101):
        now[0] += 0.3
        checkpoints.keep(epoch, lambda: written.append(epoch) or {"a": 1})  # noqa: B023  # called at once
    assert written == [34, 68]


def test_checkpoints_take_a_small_share_of_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 10.0)
    monkeypatch.setattr(module, "LARGEST_SHARE", 0.05)
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def take() -> dict[str, Any]:
        now[0] += 2.0
        written.append(epoch)
        return {}

    checkpoints, written = open_checkpoints(tmp_path), []
    for epoch in range(1, 13):
        now[0] += 11.0
        checkpoints.keep(epoch, take)
    assert written == [1, 5, 9]


def test_nothing_but_checkpoints_is_removed(stopped):
    (stopped / ".all_s0.training/notes.txt").write_text("mine")
    (stopped / ".all_s0.training/.state-3.pt.partial-1-abc").touch()
    open_checkpoints(stopped).remove()
    assert [path.name for path in (stopped / ".all_s0.training").iterdir()] == ["notes.txt"]
