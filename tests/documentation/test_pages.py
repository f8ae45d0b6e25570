"""Every block of code in README and docs runs, in its page's order, on a root of the page's own."""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import matplotlib as mpl
import pytest

from dynvision.config.conditions import parse_condition
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision_assets.command_line import main
from tests.documentation.blocks import LANGUAGES, PAGES, PROJECT, Block, command_lines, read_blocks, read_commands
from tests.documentation.running import Page, check_block, check_command
from tests.helpers.commands import environment
from tests.helpers.servers import closed_address

mpl.use("agg")

_by_name = {path.relative_to(PROJECT).as_posix(): path for path in PAGES}


@pytest.mark.filterwarnings("ignore:.*pin_memory.*no accelerator")
@pytest.mark.parametrize("name", _by_name)
def test_every_block_of_the_page_runs(name: str, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(page.root)
    monkeypatch.setenv("DYNVISION_ROOT", str(page.root))
    monkeypatch.syspath_prepend(str(page.root))
    for block in read_blocks(_by_name[name]):
        assert block.language in LANGUAGES, f"{block.place}: say which language it is"
        page.run(block)


@pytest.mark.parametrize("name", _by_name)
def test_every_command_in_a_sentence_is_one(name: str, light_page: Page) -> None:
    # A page may name what its own YAML adds.
    for block in read_blocks(_by_name[name]):
        if block.language == "yaml":
            light_page.run(block)
    for command in read_commands(_by_name[name]):
        check_command(command, light_page, name)


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_target_in_the_help_is_one(command: str, tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path, PROJECT / "config")
    text = main.commands[command].help or ""
    for target in re.findall(
        r"(?<![\w/])(?:data/)?(?:raw|interim|processed|models|responses|summary)/[\w/.:=,-]+", text
    ):
        if command != "list":  # it takes the beginning of keys
            assert parse_target(workspace, target.rstrip(".,:")), target
    for level in re.findall(r"preview (\w+) --condition (\S+)", text):
        assert parse_condition(workspace.config.experiments[level[0]], level[1]), level


def test_a_block_is_skipped_only_where_it_cannot_run() -> None:
    for path in PAGES:
        for block in read_blocks(path):
            assert (
                block.mark in ("run", "setup")
                or (block.mark == "load" and block.language == "yaml")
                or (block.mark == "check" and _cannot_run(block))
            ), f"{block.place}: '{block.mark}' is for what cannot run in a test"


def _cannot_run(block: Block) -> bool:
    words = (
        "ui",
        "make ",
        "sudo",
        "ssh",
        "brew",
        "conda",
        "pip",
        "dagster dev",
        "snakemake",
        "server",
        "completion",
        "git",
        "demo",
    )
    return any(word in block.code for word in words) or "num_workers=8" in block.code


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("dynvision make --frce raw/gratings", "No such option"),
        ("dynvision makes raw/gratings", "there is no command"),
        ("dynvision make raw/grating", "Did you mean 'gratings'"),
        ("make dmo", "make has the targets"),
        ("sudo apt-get install libfoo", "names other packages"),
        ("if true; then", "syntax error"),
    ],
)
def test_a_wrong_command_would_be_found(code: str, message: str, light_page: Page) -> None:
    with pytest.raises(Exception, match=message):
        check_block(Block("x.md", 1, "bash", code, "check"), light_page)


def test_python_in_a_sentence_can_be_parsed() -> None:
    for path in PAGES:
        for text in re.findall(r"`(dva\.[^`]+)`", path.read_text()):
            ast.parse(text.replace("…", "..."))


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (PROJECT / "README.md").read_text()
    for target in re.findall(r"\]\(([^)#]+?)\)", text):
        if not target.startswith("http"):
            assert (PROJECT / target).exists(), f"README.md names {target}, which is not there"


def test_readme_is_short_and_names_every_page_of_the_how_to() -> None:
    text = (PROJECT / "README.md").read_text()
    assert len(text.splitlines()) <= 250
    for path in sorted((PROJECT / "docs" / "how-to").glob("*.md")):
        assert f"docs/how-to/{path.name}" in text, f"README.md does not lead to {path.name}"


def test_the_ui_that_pages_start_answers_and_stops(light_page: Page) -> None:
    """`dynvision ui` serves for ever: it is started as pages show it, asked, and stopped."""
    port = closed_address().rpartition(":")[2]
    with (light_page.root / "ui.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dynvision_assets.command_line", "ui", "--read-only", "--port", port],
            cwd=light_page.root,
            env=environment(light_page.root),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            for _ in range(300):
                assert process.poll() is None, (light_page.root / "ui.log").read_text()
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5) as answer:
                        assert b"dagster" in answer.read()
                    break
                except OSError:
                    time.sleep(0.1)
            else:
                pytest.fail((light_page.root / "ui.log").read_text())
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


def test_shell_lines_are_read_with_their_continuations() -> None:
    assert command_lines("a \\\n  b\n# c\n\nd") == ["a b", "d"]
