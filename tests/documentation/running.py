"""Running what a page shows: shell in a root, Python in one namespace a page, YAML merged over the configuration."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import yaml

from dynvision.config import load_config
from dynvision.config.schema import ExperimentsFile, ModelsFile
from dynvision.config.sections.compute import ComputeConfig
from dynvision.config.sections.data import DataConfig
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision_assets.command_line import main
from tests.documentation.blocks import PROJECT, Block, command_lines
from tests.helpers.commands import call_dynvision, environment

FILES = {
    "config_data.yaml": DataConfig,
    "config_models.yaml": ModelsFile,
    "config_experiments.yaml": ExperimentsFile,
    "config_compute.yaml": ComputeConfig,
}


class Page:
    """A page's own root, and what its Python blocks have defined so far.

    Args:
        root: The root.
        commands: The folder that holds `dynvision` and `python`.
    """

    def __init__(self, root: Path, commands: Path) -> None:
        self.root = root
        self.config = root / "config"
        self.commands = commands
        self.names: dict[str, Any] = {"__name__": "__page__"}

    def run(self, block: Block) -> None:
        """Run a block, or check it where it is marked so."""
        if block.mark == "check":
            check_block(block, self)
        elif block.language == "bash":
            self.run_shell(block)
        elif block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.code, block.page, "exec"), self.names)
        elif block.language == "yaml":
            self.merge_yaml(block)

    def run_shell(self, block: Block) -> None:
        """Run a block: commands of `dynvision` alone in this process, which is faster; anything else in a shell."""
        lines = [line for line in command_lines(block.code) if line]
        if block.mark == "run" and all(
            re.fullmatch(r"dynvision [^|&;<>$]*", line.partition(" #")[0]) for line in lines
        ):
            for line in lines:
                done = call_dynvision(self.root, *shlex.split(line, comments=True)[1:])
                assert done.exit_code == 0, f"{block.place}: {line}\n{done.output}"
            return
        inherited = environment(self.root)
        path = os.pathsep.join((str(self.commands), inherited["PATH"]))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.code],
            cwd=self.root,
            env={**inherited, "PATH": path, "PYTHONPATH": str(PROJECT), "MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{block.place}:\n{block.code}\n{done.stdout}\n{done.stderr}"

    def merge_yaml(self, block: Block) -> None:
        """Merge a block over the root's configuration and load that; with the mark `load`, put it back as it was."""
        content = yaml.safe_load(block.code)
        name = named_file(block, content)
        path = self.config / name
        before = path.read_text() if path.exists() else None
        merged = merge(yaml.safe_load(before or "{}"), content)
        path.write_text(yaml.safe_dump(merged, sort_keys=False, allow_unicode=True))
        load_config(self.config)
        if block.mark == "load" and before is None:
            path.unlink()
        elif block.mark == "load":
            path.write_text(before)


def named_file(block: Block, content: dict[str, Any]) -> str:
    """The configuration file that a block belongs to; its comment, if it names one, has to be right."""
    fits = [name for name, schema in FILES.items() if content.keys() <= schema.model_fields.keys()]
    assert len(fits) == 1, f"{block.place}: the keys {list(content)} stand in no file of the configuration together"
    said = re.search(r"config_\w+\.yaml", block.code.partition("\n")[0])
    assert said is None or said[0] == fits[0], f"{block.place}: says {said and said[0]}, and it is {fits[0]}"
    return fits[0]


def merge(held: Any, new: Any) -> Any:
    """The new values over those that are held, in depth; a list is replaced as a whole."""
    if not isinstance(held, dict) or not isinstance(new, dict):
        return new
    return {**held, **{key: merge(held.get(key), value) for key, value in new.items()}}


def check_block(block: Block, page: Page) -> None:
    """Check a block that cannot run here."""
    if block.language == "bash":
        done = subprocess.run(["bash", "-n", "-c", block.code], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block.place}: {done.stderr}"
        for line in command_lines(block.code):
            check_command(line, page, block.place)
    elif block.language == "python":
        compile(block.code, block.place, "exec")
    elif block.language == "nginx":
        check_proxy(block)
    else:
        raise AssertionError(f"{block.place}: '{block.language}' is run or checked otherwise, not by a mark")


def check_command(line: str, page: Page, place: str) -> None:
    """Check a command line: options and targets of `dynvision`, targets of make, system packages of the set-up."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"\w+=.*|export|sudo|exec", words[0]):
        words = words[1:]
    if not words:
        return
    if words[0] == "dynvision":
        check_dynvision(words[1:], page, place)
    elif words[0] == "make":
        targets = re.findall(r"^([a-z-]+):.*##", (PROJECT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets), f"{place}: make has the targets {targets}"
    elif words[0] in ("apt-get", "dnf", "brew", "conda"):
        known = (PROJECT / "scripts" / "setup.sh").read_text()
        packages = [w for w in words[2:] if not w.startswith("-") and w != "conda-forge"]
        unknown = [name for name in packages if name not in known]
        assert not unknown, f"{place}: scripts/setup.sh names other packages"
    else:
        known_words = (
            "ssh",
            "pip",
            "git",
            "dagster",
            "dg",
            "cd",
            "source",
            "eval",
            "htpasswd",
            "snakemake",
            "ln",
            "echo",
            "mkdir",
        )
        assert words[0] in known_words, f"{place}: nothing is known of '{words[0]}'"


def check_dynvision(words: list[str], page: Page, place: str) -> None:
    """Parse a command as `dynvision` would; its targets have to exist, where they are no placeholders."""
    if words[0].startswith("-"):
        return
    assert words[0] in main.commands, f"{place}: there is no command '{words[0]}'"
    command = main.commands[words[0]]
    given = [re.sub(r"[…]|\bTARGET\b", "raw/gratings", word) for word in words[1:]]
    needs_more = any(isinstance(p, click.Argument) and p.required for p in command.params) and not given
    try:
        context = command.make_context(words[0], ["raw/gratings"] if needs_more else given)
    except click.exceptions.Exit:
        return
    except click.UsageError as error:
        raise AssertionError(f"{place}: {' '.join(words)}: {error.format_message()}") from error
    workspace = Workspace.open(page.root, page.config)
    if words[0] == "experiment":
        assert context.params["name"] in (*workspace.config.experiments, "NAME"), place
        return
    named = context.params.get("targets") or (context.params.get("target"),)
    for target in named:
        if target and not re.search(r"[<>]", target):
            parse_target(workspace, target)


def check_proxy(block: Block) -> None:
    """A proxy asks for a password, passes on to the port of `dynvision ui`, and lets websockets through."""
    assert block.code.count("{") == block.code.count("}"), block.place
    port = next(p.default for p in main.commands["ui"].params if p.name == "port")
    for wanted in (f"proxy_pass http://127.0.0.1:{port}", "auth_basic_user_file", "proxy_set_header Upgrade"):
        assert wanted in block.code, f"{block.place}: {wanted} is not in it"
    if shutil.which("nginx"):
        whole = f"events {{}}\nhttp {{\n{block.code}\n}}\n"
        done = subprocess.run(
            ["nginx", "-t", "-c", "/dev/stdin"], input=whole, text=True, capture_output=True, check=False
        )
        assert "syntax is ok" in done.stderr or "cannot load certificate" in done.stderr, done.stderr
