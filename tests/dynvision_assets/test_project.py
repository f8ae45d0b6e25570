"""The project as Dagster's own tool `dg` sees it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dynvision_assets.instances.run_origins import LOCATION
from tests.helpers.commands import environment, run_python
from tests.helpers.user_interface import serve

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SECTION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["dg"]["project"]

DG = (sys.executable, "-c", "from dagster_dg_cli.cli import main; main()")

LAZY = """
import sys
import dynvision_assets.project
print("dynvision_assets.definitions" in sys.modules, "torch" in sys.modules, "distributed" in sys.modules)
"""


def test_importing_the_project_reads_no_configuration(empty_root: Path) -> None:
    assert run_python(empty_root, "-c", LAZY).stdout.split() == ["False"] * 3


def test_dagster_loads_the_module_that_the_project_names(empty_root: Path) -> None:
    (empty_root / ".dagster").mkdir()
    module = SECTION["code_location_target_module"]
    done = run_python(empty_root, "-m", "dagster", "definitions", "validate", "-m", module)
    assert done.returncode == 0, done.stderr
    assert SECTION["code_location_name"] == LOCATION


@pytest.fixture
def project(empty_root: Path) -> Path:
    """A root that `dg` takes for the repository."""
    if importlib.util.find_spec("dagster_dg_cli") is None:
        pytest.skip("dagster-dg-cli is not installed: the extra 'dev' has it")
    for name in ("dynvision", "dynvision_assets", "pyproject.toml"):
        (empty_root / name).symlink_to(REPOSITORY / name)
    return empty_root


def test_dg_lists_and_checks_the_definitions(project: Path) -> None:
    for arguments in (["check", "defs"], ["list", "defs", "--json"]):
        done = subprocess.run(
            [*DG, *arguments],
            cwd=project,
            env=environment(project),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    keys = {asset["asset_key"] for asset in json.loads(done.stdout[done.stdout.index("{") :])["assets"]}
    assert {"raw/gratings", "summary/contrast/rcnn_gratings", "config/models/rcnn"} <= keys


def test_dg_dev_serves_the_definitions_and_leaves_nothing_behind(project: Path) -> None:
    (project / ".dagster").mkdir()
    with serve(project, [*DG, "dev"]) as server:
        assets = server.query("{ assetNodes { assetKey { path } metadataEntries { label } } }")["assetNodes"]
        labels = {"/".join(a["assetKey"]["path"]): [e["label"] for e in a["metadataEntries"]] for a in assets}
        assert "page" not in labels["summary/contrast/rcnn_gratings"], "nobody serves the reports"
