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

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SECTION = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["dg"]["project"]

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


def test_dg_lists_and_checks_the_definitions(empty_root: Path) -> None:
    if importlib.util.find_spec("dagster_dg_cli") is None:
        pytest.skip("dagster-dg-cli is not installed: the extra 'dev' has it")
    for name in ("dynvision", "dynvision_assets", "pyproject.toml"):
        (empty_root / name).symlink_to(REPOSITORY / name)
    program = [sys.executable, "-c", "from dagster_dg_cli.cli import main; main()"]
    for arguments in (["check", "defs"], ["list", "defs", "--json"]):
        done = subprocess.run(
            [*program, *arguments],
            cwd=empty_root,
            env=environment(empty_root),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    keys = {asset["asset_key"] for asset in json.loads(done.stdout[done.stdout.index("{") :])["assets"]}
    assert {"raw/gratings", "summary/contrast/rcnn_gratings", "config/models/rcnn"} <= keys
