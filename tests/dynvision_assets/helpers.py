"""A small configuration, commands as a user runs them, and what Dagster's instance holds afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click.testing
import dagster as dg

from dynvision.records import Record
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.command_line import main
from dynvision_assets.partitions import asset_key, partition_key

CONFIG = {
    "config_data.yaml": """\
use_ffcv: true
train_ratio: 0.75
data_resolution: {gratings: 32}
data_statistics:
  gratings: {mean: [0.5, 0.5, 0.5], std: [0.29, 0.29, 0.29]}
data_groups:
  gratings: {ends: [0, 2]}
gratings: {orientations: 3, train_per_class: 12, test_per_class: 4}
transform_presets: {train: []}
""",
    "config_models.yaml": """\
models:
  rcnn:
    class: "dynvision.models:RCNN"
    args: {channels: [4, 4, 4, 4], strides: [2, 2, 2, 1], tau: 10.0, dt: 5.0, max_gain: 0.9}
    training: {epochs: 1, n_timesteps: 3, loss_from: 1, batch_size: 12, transform: train}
    record: {layers: [V1, IT, classifier], resolution: channel}
""",
    "config_experiments.yaml": """\
subjects:
  rcnn_gratings: {model: rcnn, dataset: gratings, trained_on: all, group: all, seed: 0, sensor_noise: 0.5}
  rcnn_ends: {model: rcnn, dataset: gratings, trained_on: all, group: ends, seed: 0, sensor_noise: 0.25}
experiment_config:
  contrast:
    parameter: contrast
    data_loader: StimulusContrast
    subjects: all
    idle: 2
    data_args: {tsteps: 6, intro: 1, stim: 3, contrast: [0.1, 0.5, 0.8, 1.0]}
  contrast_duration:
    parameter: [duration, contrast]
    data_loader: StimulusContrast
    subjects: [rcnn_gratings]
    data_args: {tsteps: 5, intro: 1, stim: [1, 3], contrast: [0.1, 0.5, 1.0]}
""",
}
"""Gratings of three orientations; two parameters swept in an order that is not that of the alphabet."""


def write_config(root: Path) -> Path:
    """Write the small configuration as the root's own."""
    folder = root / "config"
    folder.mkdir(parents=True)
    for name, text in CONFIG.items():
        (folder / name).write_text(text)
    return folder


def edit_config(root: Path, old: str, new: str) -> None:
    """Replace a text that stands once in the configuration."""
    files = [path for path in sorted((root / "config").iterdir()) if old in path.read_text()]
    assert [path.read_text().count(old) for path in files] == [1], f"'{old}' stands in {files}"
    files[0].write_text(files[0].read_text().replace(old, new))


def environment(root: Path) -> dict[str, str]:
    """The environment for a child process in which only this root and its own instance are set."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER_", "DYNVISION_"))}
    return {**inherited, "DYNVISION_ROOT": str(root), "DAGSTER_HOME": str(root / ".dagster")}


def run_python(root: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run Python on a root, in a working directory that holds nothing of the project."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=environment(root),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run_dynvision(root: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return run_python(root, "-m", "dynvision_assets.command_line", *arguments, timeout=timeout)


def call_dynvision(root: Path, *arguments: str) -> click.testing.Result:
    """Run the command line in this process; errors that it does not expect are raised."""
    variables = {"DYNVISION_ROOT": str(root), "DAGSTER_HOME": str(root / ".dagster"), "DYNVISION_CONFIG": None}
    runner = click.testing.CliRunner(env=variables)
    return runner.invoke(main, list(arguments), prog_name="dynvision", catch_exceptions=False)


def open_workspace(root: Path, config: Path | None = None) -> Workspace:
    """The workspace of a root, with the configuration that lies in it or another."""
    return Workspace.open(root, config or root / "config")


def copy_root(made: Path, root: Path) -> Path:
    """Copy everything that was made, links as links, so that a test may change it.

    `.beton` files, of 17 MB and more, are shared: to change one, a test removes it first.
    """

    def copy(source: str, target: str) -> None:
        (os.link if source.endswith(".beton") else shutil.copy2)(source, target)

    return Path(shutil.copytree(made, root, symlinks=True, copy_function=copy))


def states(root: Path, config: Path | None = None) -> dict[str, str]:
    """The state of every target, by the root's own configuration or another."""
    workspace = open_workspace(root, config)
    return {str(t): workspace.status(t).state for key in workspace.keys for t in workspace.targets(key)}


def records(root: Path) -> dict[Target, Record]:
    """The record of everything that has been made."""
    workspace = open_workspace(root)
    found = {t: workspace.stage(t).read_record(t) for key in workspace.keys for t in workspace.targets(key)}
    return {target: record for target, record in found.items() if record is not None}


def open_instance(root: Path) -> dg.DagsterInstance:
    """The Dagster instance of a root; to be used in a `with` block."""
    return dg.DagsterInstance.from_config(str(root / ".dagster"))


def materializations(instance: dg.DagsterInstance, root: Path, target: Target) -> list[dg.AssetMaterialization]:
    """What Dagster has recorded of a target, newest first."""
    name = partition_key(open_workspace(root), target)
    key = asset_key(target.key)
    chosen = dg.AssetRecordsFilter(key, asset_partitions=[name]) if name is not None else key
    events = instance.fetch_materializations(chosen, limit=100).records
    return [record.asset_materialization for record in events if record.asset_materialization is not None]


def latest_check(instance: dg.DagsterInstance, key: tuple[str, ...], name: str) -> dg.AssetCheckEvaluation | None:
    """The last outcome of a check."""
    record = instance.get_latest_asset_check_evaluation_record(dg.AssetCheckKey(asset_key(key), name))
    if record is None or record.event is None or record.event.dagster_event is None:
        return None
    outcome = record.event.dagster_event.event_specific_data
    return outcome if isinstance(outcome, dg.AssetCheckEvaluation) else None
