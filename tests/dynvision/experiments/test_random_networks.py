"""A network that draws random numbers in evaluation, recorded by the chain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dynvision.experiments.reading import open_store
from dynvision.workspace.building import build_targets
from tests.helpers.chains import Chain
from tests.helpers.configuration import edit_yaml

pytestmark = pytest.mark.slow

TARGET = "responses/contrast/dropping_gratings:0.5"


class Dropping(nn.Module):
    def __init__(self, n_classes: int, resolution: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * resolution**2, n_classes)

    def step(self, x, state):
        seen = self.layer(nn.functional.dropout(x.flatten(1), 0.5, training=True))
        return seen, seen if state is None else 0.5 * state + seen


@pytest.fixture
def root(chain_copy: Chain):
    def models(content):
        content["models"]["dropping"] = {
            "class": f"{__name__}:Dropping",
            "training": None,
            "record": {"layers": ["*"], "resolution": "unit", "batch_size": 3},
        }

    def experiments(content):
        content["subjects"]["dropping_gratings"] = {"model": "dropping", "dataset": "gratings", "sensor_noise": 0.5}

    edit_yaml(chain_copy.config / "config_models.yaml", models)
    edit_yaml(chain_copy.config / "config_experiments.yaml", experiments)
    return chain_copy.root


def record(root, batch_size: int):
    change = {"batch_size": batch_size}
    path = root / "config" / "config_models.yaml"
    edit_yaml(path, lambda content: content["models"]["dropping"]["record"].update(change))
    (made,) = build_targets([TARGET], root=str(root), config=str(root / "config"))
    folder = root / "data/responses/contrast/dropping_gratings/contrast=0.5.zarr"
    return made, open_store(folder).load()


def test_what_is_stored_does_not_depend_on_the_batch(root, capsys):
    build_targets(["models/dropping/gratings:all_s0"], root=str(root), config=str(root / "config"))
    made, first = record(root, 3)
    assert "Dropping draws random numbers in evaluation" in capsys.readouterr().err
    assert made["details"]["random_draws"] == first.attrs["random_draws"]
    _, second = record(root, 5)
    for name in ("scores", "layer/response", "rest/layer"):
        np.testing.assert_array_equal(first[name].values, second[name].values)
    assert not torch.equal(*(torch.from_numpy(first["scores"].values[:, t]) for t in (0, 1)))
