from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dynvision.config.sections.models import ModelConfig
from dynvision.errors import ConfigError, DamagedFileError, MissingError
from dynvision.experiments.reading import open_store
from dynvision.models.checkpoint import load_checkpoint
from dynvision.models.weights_header import digest_checkpoint
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from dynvision.workspace.checking import check_targets
from dynvision_assets.pictures import draw_target
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml, set_at, write_small_config


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4))


def save(network: nn.Module, path: Path, form: str) -> Path:
    weights = {name: torch.full_like(value, 0.5) for name, value in network.state_dict().items()}
    if form == "safetensors":
        save_file(weights, path)
    elif form == "prefixed":
        torch.save({f"module.{name}": value for name, value in weights.items()}, path)
    elif form == "nested":
        torch.save({"state_dict": {f"model.{n}": v for n, v in weights.items()}, "epoch": 3}, path)
    else:
        torch.save(weights, path)
    return path


@pytest.mark.parametrize(
    ("form", "name"),
    [("safetensors", "w.safetensors"), ("plain", "w.pt"), ("prefixed", "w.pth"), ("nested", "w.ckpt")],
)
def test_checkpoint_is_loaded_whatever_its_form(network, tmp_path, form, name):
    load_checkpoint(save(network, tmp_path / name, form), network)
    assert all((value == 0.5).all() for value in network.state_dict().values())


def test_checkpoint_that_is_not_there_says_where_it_was_looked_for(network, tmp_path):
    with pytest.raises(MissingError, match=r"w\.pt does not exist\. Put it there, or change 'checkpoint'"):
        load_checkpoint(tmp_path / "w.pt", network)


def test_checkpoint_that_holds_code_is_not_run(network, tmp_path):
    torch.save(network, tmp_path / "w.pt")
    with pytest.raises(DamagedFileError, match="as code, and it is not safe to run"):
        load_checkpoint(tmp_path / "w.pt", network)


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_damaged_checkpoint_cannot_be_read(network, tmp_path, name):
    path = save(network, tmp_path / name, "safetensors" if name.endswith("s") else "plain")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DamagedFileError, match=r"the checkpoint .* cannot be read|holds more than tensors"):
        load_checkpoint(path, network)


def test_weights_of_another_network_name_what_differs(network, tmp_path):
    save_file({"other": torch.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=r"are not those of Sequential: .*1\.weight"):
        load_checkpoint(tmp_path / "w.safetensors", network)


def test_digest_follows_the_file(tmp_path):
    path = tmp_path / "w.pt"
    assert digest_checkpoint(path) == "missing"
    path.write_bytes(b"one")
    first = digest_checkpoint(path)
    path.write_bytes(b"other")
    assert digest_checkpoint(path) != first


AVERAGES = (("model", 0.25), ("ema", 0.75))
RESNET = {"class": "torchvision.models:resnet18", "training": None, "record": {"layers": ["layer*", "fc"]}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    config = write_small_config(tmp_path / "config")
    edit_yaml(config / "config_models.yaml", set_at("models.resnet", RESNET))
    edit_yaml(config / "config_experiments.yaml", set_at("subjects.resnet", {"model": "resnet", "dataset": "gratings"}))
    return tmp_path


@pytest.mark.slow
def test_a_network_of_torchvision_is_a_subject_without_training(root):
    build_chain(root, root / "config", "summary/contrast/resnet")
    assert (root / "data/reports/contrast/resnet/summary.png").is_file()
    tree = open_store(root / "data/responses/contrast/resnet/contrast=0.5.zarr")
    assert list(tree.children) == ["layer1", "layer2", "layer3", "layer4", "fc", "rest"]
    assert tree["layer1/mean"].dims == ("sample", "time", "channel")
    workspace = Workspace.open(root, root / "config")
    (target,) = [t for t in workspace.targets(("models", "resnet", "gratings")) if t.partition == "all_s0"]
    record = workspace.read_record(target)
    assert record.details["parameters"] > 11_000_000
    assert not (root / "data/processed/gratings/train_all").exists(), "an untrained network needs no training images"
    assert draw_target(workspace.stage(target), target, record)["first_layer"].startswith(b"\x89PNG")
    assert all(check["passed"] for check in check_targets([str(target)], root=str(root), config=str(root / "config")))


def test_a_changed_checkpoint_makes_the_network_stale(root):
    size = 3 * Workspace.open(root, root / "config").config.data.data_resolution["gratings"] ** 2
    network = nn.Sequential(nn.Flatten(), nn.Linear(size, 3))
    layers = f"nn.Sequential(nn.Flatten(), nn.Linear({size}, n_classes))"
    (root / "own.py").write_text(f"from torch import nn\ndef make(n_classes):\n    return {layers}\n")
    save(network, root / "w.safetensors", "safetensors")
    own = {"class": "own:make", "checkpoint": "w.safetensors"}
    edit_yaml(root / "config" / "config_models.yaml", set_at("models.own", own))
    name = "models/own/gratings:all_s0"
    build_chain(root, root / "config", name)
    folders = {"root": str(root), "config": str(root / "config")}
    (record,) = build_targets([name], **folders)
    weights = load_file(root / "data/models/own/gratings/all_s0/trained.safetensors")
    assert all((value == 0.5).all() for value in weights.values())
    save_file({key: value + 1 for key, value in weights.items()}, root / "w.safetensors")
    (again,) = build_targets([name], **folders)
    assert again["data_version"] != record["data_version"]


def test_the_key_says_which_weights_are_meant_and_belongs_to_the_version(root):
    size = 3 * Workspace.open(root, root / "config").config.data.data_resolution["gratings"] ** 2
    layers = f"nn.Sequential(nn.Flatten(), nn.Linear({size}, n_classes))"
    (root / "own.py").write_text(f"from torch import nn\ndef make(n_classes):\n    return {layers}\n")
    weights = nn.Sequential(nn.Flatten(), nn.Linear(size, 3)).state_dict()
    torch.save(
        {key: {n: torch.full_like(v, fill) for n, v in weights.items()} for key, fill in AVERAGES}, root / "w.pt"
    )
    entry = {"class": "own:make", "checkpoint": "w.pt"}
    name, folders = "models/own/gratings:all_s0", {"root": str(root), "config": str(root / "config")}
    edit_yaml(root / "config" / "config_models.yaml", set_at("models.own", entry))
    with pytest.raises(ConfigError, match="several sets of weights that fit"):
        build_chain(root, root / "config", name)
    versions = set()
    for key, fill in AVERAGES:
        edit_yaml(root / "config" / "config_models.yaml", set_at("models.own", entry | {"checkpoint_key": key}))
        (record,) = build_targets([name], **folders)
        versions.add(record["data_version"])
        path = root / "data/models/own/gratings/all_s0/trained.safetensors"
        assert all((value == fill).all() for value in load_file(path).values())
    assert len(versions) == len(AVERAGES)


def test_a_key_needs_a_checkpoint():
    with pytest.raises(ValueError, match="'checkpoint_key' says which weights of a 'checkpoint' are meant"):
        ModelConfig(**{"class": "a:B", "checkpoint_key": "ema"})
