from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_no_file_of_the_packages_is_ignored_by_git_so_that_the_wheel_holds_it():
    if shutil.which("git") is None or not (PROJECT / ".git").exists():
        pytest.skip("this is no git checkout, so there is nothing to ignore")
    sources = [
        p for package in ("dynvision", "dynvision_assets", "tests", "config") for p in (PROJECT / package).rglob("*")
    ]
    names = [str(p.relative_to(PROJECT)) for p in sources if p.is_file() and "__pycache__" not in p.parts]
    assert {"dynvision/reports/templates/style.css", "dynvision_assets/py.typed", "config/config_data.yaml"} <= {*names}
    found = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
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


def find_imports_of_tests(folder: Path) -> list[str]:
    """The imports below a folder that name a test module or a conftest. What tests share is in `tests/helpers`."""
    wrong = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                parts = name.split(".")
                if parts[0] == "tests" and any(part == "conftest" or part.startswith("test_") for part in parts):
                    wrong.append(f"{path.relative_to(folder)}, line {node.lineno}: imports {name}")
    return wrong


def test_no_test_imports_from_another_test_or_a_conftest():
    assert find_imports_of_tests(PROJECT / "tests") == []


def test_a_planted_import_of_a_test_is_found(tmp_path):
    (tmp_path / "test_one.py").write_text("from tests.helpers.files import md5\nimport tests.dynvision.test_keys\n")
    (tmp_path / "test_two.py").write_text("def look():\n    from tests.conftest import small_config\n")
    assert find_imports_of_tests(tmp_path) == [
        "test_one.py, line 2: imports tests.dynvision.test_keys",
        "test_two.py, line 2: imports tests.conftest.small_config",
    ]
