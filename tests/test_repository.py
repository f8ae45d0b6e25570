from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_no_source_file_is_ignored_by_git():
    if shutil.which("git") is None or not (PROJECT / ".git").exists():
        pytest.skip("this is no git checkout, so there is nothing to ignore")
    sources = [
        p for package in ("dynvision", "dynvision_assets", "tests", "config") for p in (PROJECT / package).rglob("*")
    ]
    names = [str(p.relative_to(PROJECT)) for p in sources if p.suffix in {".py", ".yaml", ".typed"}]
    assert len(names) > 50
    found = subprocess.run(
        ["git", "check-ignore", "--stdin"],
        cwd=PROJECT,
        input="\n".join(names),
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode in (0, 1), found.stderr
    assert found.stdout.splitlines() == []


@pytest.mark.slow
def test_outputs_are_ignored_by_git():
    if shutil.which("git") is None or not (PROJECT / ".git").exists():
        pytest.skip("this is no git checkout, so there is nothing to ignore")
    names = ["data/raw/mnist/train/0/00000.png", ".dagster/dagster.yaml", ".env"]
    found = subprocess.run(["git", "check-ignore", *names], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert found.stdout.splitlines() == names
