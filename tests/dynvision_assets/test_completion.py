"""Completion as bash asks for it: the script that `dynvision completion bash` prints, in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commands import call_dynvision, environment

SCRIPT = """\
source "$1"
COMP_LINE="$2" COMP_POINT=${#2}
compopt() { echo "compopt $*"; }
_dynvision_completion dynvision
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash() -> str:
    found = shutil.which("bash")
    if found is None:
        pytest.skip("bash is not installed")
    return found


def complete(bash: str, root: Path, line: str) -> list[str]:
    """What bash offers after a line that was typed."""
    folder = root.parent / "programs"
    folder.mkdir(exist_ok=True)
    program = folder / "dynvision"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dynvision_assets.command_line "$@"\n')
    program.chmod(0o755)
    script = folder / "completion.bash"
    script.write_text(call_dynvision(root, "completion", "bash").stdout)
    variables = {**environment(root), "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [bash, "--norc", "-c", SCRIPT, "bash", str(script), line]
    done = subprocess.run(command, env=variables, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dynvision ma", ["make"]),
        ("dynvision make raw", ["raw/gratings"]),
        ("dynvision make raw/gratings", ["raw/gratings", "raw/gratings:train", "raw/gratings:test"]),
        ("dynvision make raw/gratings:te", ["test"]),
        ("dynvision show --samples processed/gratings:train_", ["train_all", "train_ends"]),
        ("dynvision make responses/contrast/rcnn_ends:contrast=0.", ["0.1", "0.5", "0.8"]),
        (
            "dynvision make raw/gratings summary/contrast_",
            ["summary/contrast_duration/rcnn_gratings", "summary/contrast_duration"],
        ),
        ("dynvision make --dr", ["--dry-run"]),
        ("dynvision experiment ", ["contrast", "contrast_duration"]),
        ("dynvision experiment contrast_duration --subject rcnn_g", ["rcnn_gratings"]),
        ("dynvision make data/ra", ["compopt -o default", ""]),
        ("dynvision make nothing/like/this", [""]),
    ],
)
def test_bash_offers_commands_targets_partitions_and_names(
    bash: str, empty_root: Path, line: str, offered: list[str]
) -> None:
    assert complete(bash, empty_root, line) == offered


def test_a_mistake_in_the_configuration_offers_nothing_and_says_nothing(bash: str, empty_root: Path) -> None:
    (empty_root / "config" / "config_data.yaml").write_text("data_resolution: [")
    assert complete(bash, empty_root, "dynvision make raw") == [""]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_each_shell_is_printed(empty_root: Path, shell: str) -> None:
    done = call_dynvision(empty_root, "completion", shell)
    assert done.exit_code == 0
    assert f"_DYNVISION_COMPLETE={shell}_complete" in done.stdout
