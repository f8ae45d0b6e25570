"""Networks whose builders fetch their weights, on a machine with and without a network."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dynvision.config.sections.models import ModelConfig
from dynvision.errors import ConfigError, MissingError
from dynvision.models.downloads import without_downloads
from dynvision.models.loading import build_network
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml, set_at, write_small_config

SHAPE = {"resolution": 32, "channels_in": 3, "seed": 0}

BUILDERS = """
import torch
from torch import nn
from torch.hub import load_state_dict_from_url
from torch.utils import model_zoo


def net(n_classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, n_classes))


def plain(url, n_classes):
    network = net(n_classes)
    network.load_state_dict(load_state_dict_from_url(url, progress=False))
    return network


def by_the_hub(url, n_classes):
    network = nn.DataParallel(net(n_classes))
    weights = torch.hub.load_state_dict_from_url(url, map_location="cpu")
    network.load_state_dict({f"module.{name}": value for name, value in weights.items()})
    return network


def by_key(url, n_classes):
    network = net(n_classes)
    content = model_zoo.load_url(url)
    network.load_state_dict(content.get("state_dict", content))
    return network


def renamed(url, n_classes):
    network, weights = net(n_classes), load_state_dict_from_url(url)
    weights["2.weight"], weights["2.bias"] = weights.pop("2.weight"), weights.pop("2.bias")
    network.load_state_dict(weights)
    return network


def computed(url, n_classes):
    network, weights = net(n_classes), load_state_dict_from_url(url)
    network.load_state_dict({name: 1.0 * value for name, value in weights.items()})
    network.register_buffer("mean", weights["2.bias"].mean())
    return network
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    """A server with the weights of a network, and a folder of the hub's own."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "served").mkdir()
    weights = nn.Sequential(nn.Flatten(), nn.Identity(), nn.Linear(12, 3)).state_dict()
    torch.save({name: torch.full_like(value, 0.25) for name, value in weights.items()}, tmp_path / "served" / "w.pt")
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.fixture
def builders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_builders.py").write_text(BUILDERS)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_weights_are_fetched_once(tmp_path, builders, server):
    config, name = write_small_config(tmp_path / "config"), "models/own/gratings:all_s0"
    url = f"http://127.0.0.1:{server.server_port}/w.pt"
    entry = {"class": "own_builders:plain", "args": {"url": url}, "training": None, "record": {"layers": ["2"]}}
    edit_yaml(config / "config_models.yaml", set_at("models.own", entry))
    edit_yaml(config / "config_experiments.yaml", set_at("subjects.own", {"model": "own", "dataset": "gratings"}))
    build_chain(tmp_path, config, name)
    server.shutdown()
    server.server_close()
    shutil.rmtree(tmp_path / "torch")
    build_chain(tmp_path, config, "responses/contrast/own:0.5")
    workspace = Workspace.open(tmp_path, config)
    (target,) = [t for t in workspace.targets(("models", "own", "gratings")) if t.partition == "all_s0"]
    network = workspace.stage(target).load([target])
    assert all((value == 0.25).all() for value in network.state_dict().values())
    assert not (tmp_path / "torch").exists()
    with pytest.raises(
        MissingError, match=r"own_builders:plain could not fetch its weights \(.*name their file as 'ch"
    ):
        build_targets([name], root=str(tmp_path), config=str(config), force=True)
    edit_yaml(config / "config_models.yaml", set_at("models.own.checkpoint", "served/w.pt"))
    build_targets([name], root=str(tmp_path), config=str(config))
    network = Workspace.open(tmp_path, config).stage(target).load([target])
    assert all((value == 0.25).all() for value in network.state_dict().values())


@pytest.mark.parametrize("builder", ["plain", "by_the_hub", "by_key", "renamed"])
def test_builders_do_without_weights_that_are_not_needed(builders, builder):
    model = ModelConfig(**{"class": f"own_builders:{builder}", "args": {"url": "http://127.0.0.1:9/w.pt"}})
    network = build_network(model, n_classes=3, **SHAPE, fetch=False)
    assert sum(value.numel() for value in network.parameters()) == 39
    with pytest.raises(MissingError, match=r"could not fetch its weights \(.*refused"):
        build_network(model, n_classes=3, **SHAPE)


def test_a_builder_that_computes_with_its_weights_fetches_them(builders, server):
    url = f"http://127.0.0.1:{server.server_port}/w.pt"
    model = ModelConfig(**{"class": "own_builders:computed", "args": {"url": url}})
    network = build_network(model, n_classes=3, **SHAPE, fetch=False)
    assert network.mean == 0.25


def test_weights_that_are_not_there_are_said_to_be_missing(builders, server):
    model = ModelConfig(**{"class": "own_builders:plain", "args": {"url": f"http://127.0.0.1:{server.server_port}/x"}})
    with pytest.raises(MissingError, match=r"could not fetch its weights \(HTTP Error 404"):
        build_network(model, n_classes=3, **SHAPE)


def test_wrong_arguments_are_said_also_where_nothing_is_fetched(builders):
    model = ModelConfig(**{"class": "own_builders:plain", "args": {"address": "x"}})
    with pytest.raises(ConfigError, match=r"own_builders:plain does not take these args: .*address"):
        build_network(model, n_classes=3, **SHAPE, fetch=False)


TORCHVISION = {
    "resnet18": ({"weights": "IMAGENET1K_V1"}, {}),
    "densenet121": ({"weights": "DEFAULT"}, {}),
    "squeezenet1_1": ({"pretrained": True}, {}),
    "googlenet": ({"weights": "IMAGENET1K_V1"}, {"aux_logits": False, "transform_input": True}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION)
def test_what_weights_imply_is_kept_without_them(name, monkeypatch):
    def refuse(*arguments: Any, **named: Any) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    ready, bare = TORCHVISION[name]
    args = {"num_classes": 1000, **ready}
    bare = {"num_classes": 1000, **bare, **({"init_weights": False} if name == "googlenet" else {})}
    model, other = (ModelConfig(**{"class": f"torchvision.models:{name}", "args": a}) for a in (args, bare))
    network = build_network(model, n_classes=1000, **SHAPE, fetch=False)
    expected = build_network(other, n_classes=1000, **SHAPE)
    assert {n: v.shape for n, v in network.state_dict().items()} == {
        n: v.shape for n, v in expected.state_dict().items()
    }
    assert getattr(network, "transform_input", None) == getattr(expected, "transform_input", None)


def test_loading_is_as_before_afterwards():
    load, fetch = nn.Module.load_state_dict, torch.hub.load_state_dict_from_url
    with without_downloads():
        network = nn.Linear(2, 2)
        network.load_state_dict(nn.Linear(2, 2).state_dict())
        with pytest.raises(RuntimeError, match="Missing key"):
            network.load_state_dict({"weight": torch.ones(2, 2)})
    assert nn.Module.load_state_dict is load
    assert torch.hub.load_state_dict_from_url is fetch
