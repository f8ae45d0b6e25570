"""The threads of a training are a setting that counts, and is obeyed wherever the training runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dynvision.config.sections.models import ModelConfig, TrainingConfig
from dynvision.errors import ConfigError
from dynvision.models.reproducible import torch_threads
from dynvision.stages.trained.files import digest_weights
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from tests.helpers.chains import Chain
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.files import reseal

MODEL = Target(("models", "rcnn", "gratings"), "all_s0")
THREADS = "models.rcnn.training.threads"
PROJECT = Path(__file__).resolve().parent.parent.parent.parent

TRAIN = """
import torch
from dynvision.config.sections.models import TrainingConfig
from dynvision.data.dataloader import get_data_loader
from dynvision.models import RCNN
from dynvision.models.making.training import train_network
from dynvision.models.reproducible import torch_threads
from dynvision.models.seeding import seeded
from dynvision.stages.trained.files import digest_weights
for threads in (1, 2):
    settings = TrainingConfig(epochs=1, n_timesteps=2, loss_from=1, threads=threads)
    with seeded(0), torch_threads(1):
        network = RCNN(4, 16)
        images = torch.utils.data.TensorDataset(torch.randn(96, 3, 16, 16), torch.arange(96) % 4)
    loader = get_data_loader(images, batch_size=48, n_timesteps=2, lazy=True)
    train_network(network, loader, loader, settings, 0)
    print(digest_weights(network.state_dict()))
"""


def train(omp: str | None) -> list[str]:
    """Train with one and with two threads in a process of its own, and return the digests of the weights."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"PYTHONPATH": str(PROJECT)} | ({} if omp is None else {"OMP_NUM_THREADS": omp})
    done = subprocess.run(
        [sys.executable, "-P", "-c", TRAIN], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_the_environment_changes_no_bit_of_a_training():
    one, two = train(None)
    assert one != two, "the number of threads changes nothing here, so this shows nothing"
    assert train("1") == [one, two]


@pytest.mark.slow
@pytest.mark.parametrize("use_ffcv", [True, False])
def test_a_training_uses_its_threads_and_leaves_those_of_the_process(chain_copy, monkeypatch, use_ffcv):
    used = set()
    step = torch.optim.AdamW.step

    def watch(self: Any, closure: Any = None) -> Any:
        used.add(torch.get_num_threads())
        return step(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", watch)
    edit_yaml(chain_copy.config / "config_models.yaml", set_at(THREADS, 3))
    edit_yaml(chain_copy.config / "config_data.yaml", set_at("use_ffcv", use_ffcv))
    with torch_threads(1):
        (record,) = build_targets([str(MODEL)], root=str(chain_copy.root), config=str(chain_copy.config))
        assert torch.get_num_threads() == 1
    assert used == {3}
    assert record["details"]["threads"] == record["config"]["training"]["threads"] == 3


def age(chain: Chain, threads: int, **details: Any) -> None:
    """Make the record of the model one from before threads were a setting."""
    folder = chain.root / "data/models/rcnn/gratings/all_s0"
    record = chain.open().read_record(MODEL)
    config = {**record.config, "training": dict(record.config["training"])}
    del config["training"]["threads"]
    reseal(folder, config=config, details={**record.details, "threads": threads, **details})


@pytest.mark.slow
def test_a_model_from_before_stays_fresh_if_it_was_trained_with_as_many_threads(chain_copy):
    age(chain_copy, 2)
    assert chain_copy.open().status(MODEL).state == "fresh"


@pytest.mark.slow
def test_a_model_from_before_that_was_trained_with_other_threads_is_stale_and_says_what_keeps_it(chain_copy):
    age(chain_copy, 4)
    status = chain_copy.open().status(MODEL)
    assert (status.state, status.reason) == (
        "stale",
        "it was trained with 4 threads, and training.threads is 2; the last digits of its weights depend on it. Set "
        "threads: 4 to keep it",
    )
    edit_yaml(chain_copy.config / "config_models.yaml", set_at(THREADS, 4))
    assert chain_copy.open().status(MODEL).state == "fresh"


@pytest.mark.slow
def test_a_model_from_before_that_was_trained_on_a_gpu_stays_fresh(chain_copy):
    age(chain_copy, 16, device="cuda")
    assert chain_copy.open().status(MODEL).state == "fresh"


@pytest.mark.slow
def test_a_changed_setting_of_training_is_named(chain_copy):
    edit_yaml(chain_copy.config / "config_models.yaml", set_at("models.rcnn.training.learning_rate", 0.25))
    assert chain_copy.open().status(MODEL).reason == "the configuration changed: training.learning_rate"


def test_a_model_that_is_not_trained_here_has_no_threads(small_config: Path):
    edit_yaml(small_config / "config_models.yaml", set_at("models.rcnn.training", None))
    workspace = Workspace.open(small_config.parent, small_config)
    assert workspace.stage(MODEL).settings(MODEL)["training"] is None


def test_threads_are_two_unless_said_otherwise_and_may_differ_for_a_dataset():
    assert TrainingConfig().threads == 2
    assert TrainingConfig(datasets={"mnist": {"threads": 8}}).for_dataset("mnist").threads == 8


@pytest.mark.parametrize("threads", [0, 1025, 1.5, "many"])
def test_a_number_of_threads_that_no_machine_has_is_refused(small_config: Path, threads: Any):
    edit_yaml(small_config / "config_models.yaml", set_at(THREADS, threads))
    with pytest.raises(ConfigError, match=r"config_models\.yaml.*training\.threads"):
        Workspace.open(small_config.parent, small_config)


@pytest.mark.slow
def test_initial_weights_have_the_same_bits_in_every_process():
    from dynvision.models.making.orders import NetworkOrder, take_network

    model = ModelConfig(**{"class": "tests.dynvision.stages.test_threads_of_training:Orthogonal", "training": None})
    classes = [{"index": i, "name": str(i), "folder": str(i)} for i in range(4)]
    order = NetworkOrder("models/x/y:all_s0", model, classes, 3, 16, 0, None, [])
    digests = set()
    for threads in (1, 2, 3):
        with torch_threads(threads):
            digests.add(digest_weights(take_network(order, []).weights["init"]))
    assert len(digests) == 1


class Orthogonal(torch.nn.Sequential):
    """A network whose initial weights come from a decomposition, which divides its sums among threads."""

    def __init__(self, n_classes: int = 4) -> None:
        hidden = torch.nn.Linear(768, 300)
        torch.nn.init.orthogonal_(hidden.weight)
        super().__init__(torch.nn.Flatten(), hidden, torch.nn.Linear(300, n_classes))
