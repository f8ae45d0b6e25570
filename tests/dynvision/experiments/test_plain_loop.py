"""Every experiment that is shipped, recorded by the chain and once more by a plain loop with hooks.

The loop knows nothing of presentations, sweeps, batches or stores. It reads the YAML, lays out what is shown at each
step, opens the image files that the store names, and calls `network.step`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
import yaml
from PIL import Image

from dynvision.config import load_config
from dynvision.experiments.reading import open_store
from dynvision.models.loading import rebuild_network
from dynvision.stimuli.noise import Noise, add_noise, sensor_noise
from dynvision.targets import Target
from tests.helpers.chains import build_chain, open_workspace
from tests.helpers.configuration import PROJECT_CONFIG, edit_yaml

pytestmark = pytest.mark.slow

SIZE, SAMPLES = 16, 3
EXPERIMENTS = yaml.safe_load((PROJECT_CONFIG / "config_experiments.yaml").read_text())
SHIPPED = load_config(PROJECT_CONFIG)


def choose_subjects(experiment: str) -> list[str]:
    """The subjects on gratings, or the first one if there is none; here all are shown gratings."""
    subjects = SHIPPED.subjects_of(experiment)
    return [name for name in subjects if SHIPPED.subjects[name].dataset == "gratings"] or subjects[:1]


SHOWN = [(experiment, subject) for experiment in SHIPPED.experiments for subject in choose_subjects(experiment)]


def shrink(config: Path) -> None:
    """Make the shipped configuration small: few images, small networks that are not trained, few samples."""

    def data(content: dict[str, Any]) -> None:
        content["use_ffcv"] = False
        content["data_resolution"]["gratings"] = SIZE
        content["data_groups"]["gratings"] = {}
        content["gratings"] |= {"orientations": 3, "train_per_class": 2, "test_per_class": 2}

    def models(content: dict[str, Any]) -> None:
        for model in content["models"].values():
            model["training"] = None
        content["models"]["rcnn"]["args"]["channels"] = [3, 4, 4, 5]

    def experiments(content: dict[str, Any]) -> None:
        for subject in content["subjects"].values():
            subject |= {"dataset": "gratings", "trained_on": "all", "group": "all"}
        for experiment in content["experiment_config"].values():
            experiment["record"] = {**experiment.get("record", {}), "samples": SAMPLES}

    for name, change in (("data", data), ("models", models), ("experiments", experiments)):
        edit_yaml(config / f"config_{name}.yaml", change)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shipped") / "root"
    (root / "config").mkdir(parents=True)
    for path in PROJECT_CONFIG.iterdir():
        (root / "config" / path.name).write_text(path.read_text())
    shrink(root / "config")
    return root


@dataclass(frozen=True)
class Step:
    """What one step shows: which image of the trial, -1 for none, at what contrast and in what noise."""

    image: int = -1
    contrast: float = 1.0
    noise: Noise | None = None


def conditions(experiment: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each condition, and the settings with their levels, by the short names of the shipped file."""
    swept = experiment["parameter"]
    names = [swept] if isinstance(swept, str) else swept
    keys = ["stim" if name == "duration" else name for name in names]
    args = experiment["data_args"]
    for levels in itertools.product(*(args[key] for key in keys)):
        condition = ",".join(f"{name}={level}" for name, level in zip(names, levels, strict=True))
        yield condition, {**args, **dict(zip(keys, levels, strict=True))}


def lay_out(loader: str, args: dict[str, Any]) -> list[Step]:
    """Return what is shown at each step of a trial, without the idle steps."""
    dt = args.get("dt", 1)

    def repeat(step: Step, duration: float) -> list[Step]:
        return [step] * round(duration / dt)

    image = Step(0, args.get("contrast", 1.0))
    if loader == "StimulusProgram":
        shown, following = [], 0
        for segment in args["program"]:
            length = segment.get("image", segment.get("void"))
            length = args[length[1:]] if isinstance(length, str) else length
            if "void" in segment:
                shown += repeat(Step(), length)
                continue
            following += segment.get("which") in ("next", "other") and any(step.image >= 0 for step in shown)
            shown += repeat(Step(following, segment.get("contrast", 1.0)), length)
    else:
        if loader == "StimulusNoise":
            image = replace(image, noise=Noise(args["noise_type"], args["ssnr"]))
        shown = repeat(Step(), args["intro"]) + repeat(image, args["stim"])
        if loader == "StimulusInterval":
            shown += repeat(Step(), args["interval"]) + repeat(image, args["stim"])
    return shown + [Step()] * (args["tsteps"] - len(shown))


def first_alone(trial: list[Step]) -> list[Step]:
    """The same trial with its first showing alone."""
    start = next(t for t, step in enumerate(trial) if step.image >= 0)
    stop = next(t for t in range(start, len(trial)) if trial[t] != trial[start])
    return [step if t < stop else Step() for t, step in enumerate(trial)]


class Loop:
    """A plain loop over steps with hooks, for the trials of one subject.

    Args:
        network: The network.
        images: The normalized images of each trial, `[N, K, C, H, W]`.
        ids: The sample that names each trial, `[N]`.
        sensor: The standard deviation of the sensor noise.
    """

    def __init__(self, network: torch.nn.Module, images: np.ndarray, ids: np.ndarray, sensor: float) -> None:
        self.network, self.images, self.ids, self.sensor = network, images, ids, sensor

    @torch.no_grad()
    def show(self, trial: list[Step], idle: int, layers: list[str]) -> dict[str, np.ndarray]:
        """Show a trial after idle steps; return each layer's output and the scores of its steps, `[N, T, …]`."""
        latest: dict[str, np.ndarray] = {}

        def keep(name: str) -> Any:
            return lambda module, inputs, output: latest.update({name: output.float().numpy().copy()})

        handles = [self.network.get_submodule(name).register_forward_hook(keep(name)) for name in layers]
        state, kept = None, []
        for t, step in enumerate([Step()] * idle + trial):
            scores, state = self.network.step(torch.from_numpy(self.frame(step, t)), state)
            kept.append({**latest, "scores": scores.numpy().copy()})
        for handle in handles:
            handle.remove()
        return {name: np.stack([step[name] for step in kept[idle:]], axis=1) for name in kept[0]}

    def frame(self, step: Step, t: int) -> np.ndarray:
        frame = np.zeros_like(self.images[:, 0])
        if step.image >= 0:
            frame = self.images[:, step.image]
            if step.noise is not None:
                frame = add_noise(frame, step.noise, self.ids, t)
            frame = frame * np.float32(step.contrast)
        if self.sensor:
            frame = frame + np.float32(self.sensor) * sensor_noise(self.ids, t, frame.shape[1:], 0)
        return frame


def read_images(root: Path, store: xarray.DataTree, mean: list[float], std: list[float]) -> np.ndarray:
    """Open the files that a store names: normalized, `[N, K, C, H, W]`."""
    sources = store["image_source"].values if "image_source" in store.coords else store["source"].values[:, None]
    pixels = np.array([[np.asarray(Image.open(root / str(path))) for path in row] for row in sources])
    scaled = (pixels.astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, 2))


def reduce(output: np.ndarray, resolution: str) -> dict[str, np.ndarray]:
    """What a store keeps of a layer's output `[N, T, C, …]`."""
    values = output.astype(np.float64)
    space = tuple(range(3, values.ndim))
    if resolution == "layer":
        units = tuple(range(2, values.ndim))
        channels = values.mean(axis=space) if space else values
        return {"mean": values.mean(axis=units), "std": values.std(axis=units), "feature_std": channels.std(axis=2)}
    return {"mean": values.mean(axis=space), "std": values.std(axis=space)} if space else {"response": values}


def average(output: np.ndarray) -> np.ndarray:
    return output.astype(np.float64).mean(axis=tuple(range(2, output.ndim)))


def assert_near(stored: xarray.DataArray, expected: np.ndarray, what: str) -> None:
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(stored.values, expected, rtol=1e-4, atol=3e-6 * scale, err_msg=what)


def open_loop(root: Path, target: Target, store: xarray.DataTree) -> Loop:
    workspace = open_workspace(root)
    model = next(upstream for upstream in workspace.upstream(target) if upstream.key[0] == "models")
    record = workspace.read_record(model)
    assert record is not None
    weights = workspace.stage(model).output(model) / "trained.safetensors"
    statistics = workspace.config.data.data_statistics["gratings"]
    images = read_images(root, store, statistics.mean, statistics.std)
    subject = workspace.config.subjects[target.key[2]]
    return Loop(rebuild_network(record, weights), images, store["sample"].values, subject.sensor_noise)


@pytest.mark.parametrize(("name", "subject"), SHOWN)
def test_plain_loop_with_hooks_gives_what_the_store_has(root, name, subject):
    experiment = EXPERIMENTS["experiment_config"][name]
    config = open_workspace(root).config
    resolution, idle = config.record(name, subject).resolution, experiment.get("idle", 0)
    dt = experiment["data_args"].get("dt", config.models[config.subjects[subject].model].args["dt"])
    key = f"responses/{name}/{subject}"
    build_chain(root, root / "config", key)
    loop, compared, averages = None, 0, {}
    for condition, args in conditions(experiment):
        store = open_store(root / "data" / key / f"{condition}.zarr")
        layers = list(store.attrs["layers"])
        loop = loop or open_loop(root, Target(tuple(key.split("/")), condition), store)
        trial = lay_out(experiment["data_loader"], args)
        onset = next(t for t, step in enumerate(trial) if step.image >= 0)
        time = np.arange(len(trial)) - onset + 1
        np.testing.assert_array_equal(store["time"], time)
        np.testing.assert_allclose(store["time_ms"], time * dt)
        np.testing.assert_array_equal(store["shown"], [step.image for step in trial])

        outputs = loop.show(trial, idle, layers)
        assert_near(store["scores"], outputs["scores"], f"{condition}: scores")
        for layer in layers:
            for variable, expected in reduce(outputs[layer], resolution).items():
                assert_near(store[layer][variable], expected, f"{condition}: {layer}/{variable}")
        runs = {"rest": [Step()] * len(trial)}
        if sum(a.image < 0 <= b.image or -1 < a.image < b.image for a, b in itertools.pairwise(trial)) > 1:
            runs["single"] = first_alone(trial)
        assert {"rest", "single"} & set(store.children) == set(runs)
        for run, shown in runs.items():
            if tuple(shown) not in averages:  # conditions share them
                outputs = loop.show(shown, idle, layers)
                averages[tuple(shown)] = {layer: average(outputs[layer]) for layer in layers}
            for layer in layers:
                assert_near(store[run][layer], averages[tuple(shown)][layer], f"{condition}: {run}/{layer}")
        compared += 1
    assert compared == len(list((root / "data" / key).glob("*.zarr"))) > 0
