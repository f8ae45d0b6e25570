"""A root with networks of others, which are shown photographs that they were not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor, nn

from dynvision.experiments.reading import open_store
from tests.helpers.chains import open_workspace
from tests.helpers.configuration import edit_yaml, set_at, write_small_config

NAMES = ["green ball", "red_ball", "blue ball", "black ball", "white ball"]


class Ready(nn.Module):
    """A network with five outputs, whatever it is shown: weighted means of the colours."""

    def __init__(self, n_outputs: int = 5) -> None:
        super().__init__()
        self.relu, self.scores = nn.ReLU(), nn.Linear(3, n_outputs)

    def forward(self, frame: Tensor) -> Tensor:
        return self.scores(self.relu(frame.mean(dim=(2, 3))))


READY = {
    "class": f"{__name__}:Ready",
    "training": None,
    "classes": NAMES,
    "statistics": {"mean": [0.5] * 3, "std": [0.25] * 3},
    "record": {"layers": ["relu", "scores"], "resolution": "layer"},
}
SUBJECTS = {
    "plain": {"model": "ready", "dataset": "balls"},
    "named": {"model": "ready", "dataset": "balls", "match": "name"},
    "moved": {"model": "rcnn", "dataset": "balls", "trained_on": "gratings/pair", "seed": 2},
    "numbered": {"model": "bare", "dataset": "gratings"},
    "home": {"model": "rcnn", "dataset": "gratings"},
}


def write_root(root: Path) -> Path:
    """A root with gratings, and with one photograph a class of balls, in a split for testing alone."""
    config = write_small_config(root / "config")
    bare = {key: value for key, value in READY.items() if key != "classes"}
    edit_yaml(config / "config_models.yaml", lambda c: c["models"].update(ready=READY, bare=bare))
    edit_yaml(config / "config_data.yaml", lambda c: (c["data_resolution"].update(balls=16), c.update(use_ffcv=False)))
    edit_yaml(config / "config_data.yaml", set_at("data_groups.balls", {"bright": [0, 2]}))

    def choose(content) -> None:
        content["subjects"] = SUBJECTS
        experiments = content["experiment_config"]
        experiments.pop("contrast_duration")
        experiments["contrast"].pop("compare_on", None)
        experiments["contrast"]["data_args"]["contrast"] = [0.5, 1.0]
        experiments["contrast"]["subjects"] = ["plain", "named", "home"]
        experiments["duration"]["data_args"]["stim"] = [2]
        experiments["duration"]["subjects"] = ["moved", "numbered"]

    edit_yaml(config / "config_experiments.yaml", choose)
    for number, name in enumerate(("blue_ball", "Green Ball", "no ball")):
        folder = root / "data/raw/balls/test" / name
        folder.mkdir(parents=True)
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "one.png")
    return root


def record_of(root: Path, target: str):
    workspace = open_workspace(root)
    [parsed] = [t for key in workspace.keys for t in workspace.targets(key) if str(t) == target]
    return workspace.stage(parsed).require([parsed])[0]


def responses_of(root: Path, subject: str):
    """The record of one condition of a subject, and the root of its store."""
    condition = "duration=2" if subject in ("moved", "numbered") else "contrast=0.5"
    experiment = condition.partition("=")[0]
    store = root / f"data/responses/{experiment}/{subject}/{condition}.zarr"
    return record_of(root, f"responses/{experiment}/{subject}:{condition}"), open_store(store).to_dataset()
