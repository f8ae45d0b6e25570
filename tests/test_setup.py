"""`scripts/setup.sh`, with stand-ins for Python and the compiler: it says what it does, and why it failed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "setup.sh"

PIP = """\
Collecting torch
  Downloading torch-2.14.1-cp311-manylinux_2_28_x86_64.whl (873.4 MB)
  Downloading six-1.17.0-py2.py3-none-any.whl (11 kB)
  Building wheel for ffcv (pyproject.toml): started
WARNING: of somebody else
Installing collected packages: torch, six, ffcv"""


def set_up(folder: Path, pip_fails: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the script in a folder whose Python prints what pip says."""
    tools = folder / "tools"
    tools.mkdir()
    ending = "echo 'ERROR: No space left on device'; exit 1" if pip_fails else "exit 0"
    python = f'#!/bin/sh\n[ "$2" = pip ] || exit 0\ncat <<END\n{PIP}\nEND\n{ending}\n'
    venv = folder / ".venv" / "bin"
    venv.mkdir(parents=True)
    scripts = {venv / "python": python} | {tools / name: "#!/bin/sh\n" for name in ("python3", "g++", "pkg-config")}
    for path, text in scripts.items():
        path.write_text(text)
        path.chmod(0o755)
    environment = {
        "PATH": f"{tools}:/usr/bin:/bin",
        "PYTHON": str(tools / "python3"),
        "VENV": ".venv",
        "TMPDIR": str(folder),
    }
    return subprocess.run(["sh", SCRIPT], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_set_up_says_what_takes_long_and_nothing_else(tmp_path: Path) -> None:
    done = set_up(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "making .venv (about 7 GB; a few minutes the first time)",
        "  downloading torch (873.4 MB)",
        "  compiling ffcv",
        "  installing 3 packages (a minute or two)",
    ]
    assert done.stderr == ""


def test_a_set_up_that_fails_shows_why_and_where_everything_is_written(tmp_path: Path) -> None:
    done = set_up(tmp_path, pip_fails=True)
    assert done.returncode == 1
    assert "ERROR: No space left on device" in done.stderr
    assert "could not be installed into .venv; all that was said is in /" in done.stderr
    assert not (tmp_path / ".env").exists()
