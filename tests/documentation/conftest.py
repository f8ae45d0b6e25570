"""One root in which everything is built once. Each page works on its own copy."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.documentation.running import Page
from tests.helpers.archives import write_cifar100_archive
from tests.helpers.chains import copy_root
from tests.helpers.commands import run_dynvision
from tests.helpers.configuration import PROJECT_CONFIG, edit_yaml, write_small_config

LEVELS = [0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0]
"""The contrasts of the project's own configuration, which pages name."""

BUILT = (
    "summary/contrast/normalizing_gratings",
    "summary/duration/normalizing_gratings",
    "summary/contrast/rcnn_gratings",
)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("DYNVISION_ROOT", "DYNVISION_CONFIG", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    # The definitions are those of the root that they were imported in, and another test may have imported them.
    definitions = "dynvision_assets.definitions"
    before = sys.modules.pop(definitions, None)
    yield
    sys.modules.pop(definitions, None)
    if before is not None:
        sys.modules[definitions] = before


def _shrink(root: Path) -> None:
    """Write a configuration with the project's names and levels, and with tiny images and networks."""
    config = write_small_config(root / "config", with_normalizing=True)

    def data(content):
        content["gratings"] |= {"orientations": 4, "train_per_class": 10}
        content["data_groups"]["gratings"] = {"cardinal": [0, 2], "oblique": [1, 3]}
        md5 = write_cifar100_archive(root / "cifar-100-python.tar.gz", n_train=200, n_test=100)["md5"]
        content["data_sources"]["cifar100"] = {"md5": md5}

    def experiments(content):
        kept = content["experiment_config"]
        own = PROJECT_CONFIG / "config_experiments.yaml"
        # Only the experiments that pages name: each further one makes every command on every page slower.
        kept["interval"] = yaml.safe_load(own.read_text())["experiment_config"]["interval"]
        kept["contrast"]["data_args"]["contrast"] = LEVELS
        kept["duration"]["data_args"] |= {"stim": [1, 2, 3, 4, 5]}
        kept["contrast_duration"]["data_args"] |= {"stim": [1, 3], "contrast": [0.1, 0.3, 1.0]}
        kept["interval"]["data_args"] |= {"tsteps": 16, "stim": 3, "interval": [1, 3, 8]}

    edit_yaml(config / "config_data.yaml", data)
    edit_yaml(config / "config_experiments.yaml", experiments)
    archive = root / "data" / "raw" / "cifar100" / "archive"
    archive.mkdir(parents=True)
    (root / "cifar-100-python.tar.gz").rename(archive / "cifar-100-python.tar.gz")


@pytest.fixture(scope="session")
def documented_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the small configuration and the archive. Tests must not change it."""
    root = tmp_path_factory.mktemp("configured") / "root"
    root.mkdir()
    _shrink(root)
    return root


@pytest.fixture(scope="session")
def documented_root(documented_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which the demo's chain is built. Tests must not change it."""
    root = Path(shutil.copytree(documented_config, tmp_path_factory.mktemp("documented") / "root"))
    done = run_dynvision(root, "make", *BUILT, timeout=480)
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the PATH: `dynvision` and `python` are those of this environment."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "dynvision").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dynvision_assets.command_line "$@"\n')
    (folder / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for name in ("dynvision", "python"):
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def page(documented_root: Path, commands: Path, tmp_path: Path) -> Page:
    """Runs the blocks of a page on a copy of the root."""
    return Page(copy_root(documented_root, tmp_path / "root"), commands)


@pytest.fixture
def light_page(documented_config: Path, commands: Path, tmp_path: Path) -> Page:
    """The same with nothing built, for commands that are only parsed."""
    root = tmp_path / "root"
    shutil.copytree(documented_config, root)
    return Page(root, commands)
