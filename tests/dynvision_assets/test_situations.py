"""What a machine or a user does to the command line: a sentence and an exit code, never a traceback."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynvision.errors import DynvisionError, MachineError, UnreadableError
from dynvision.workspace import Workspace
from dynvision_assets import load
from dynvision_assets.command_line import main
from tests.helpers.chains import copy_root
from tests.helpers.commands import call_dynvision
from tests.helpers.files import snapshot, without_privileges
from tests.helpers.situations import SITUATIONS, find_fault, run_situation

STARTED = ("nobody reads the output", "standard output is full", "standard error is closed", "current folder deleted")
"""Situations of a process of its own that are tried here; `python -m tests.helpers.situations` tries all."""

MODELS, STORE = "data/models/rcnn/gratings/all_s0", "data/responses/contrast/rcnn_gratings/contrast=0.1.zarr"
PLACES = {
    "data/raw": "raw/gratings:test",
    "data/raw/gratings/test": "raw/gratings:test",
    "data/raw/gratings/test/0": "raw/gratings:test",
    "data/raw/gratings/test/0/00000.png": "raw/gratings:test",
    "data/raw/gratings/test/manifest.json": "raw/gratings:test",
    "data/raw/gratings/test/manifest.images.parquet": "raw/gratings:test",
    "data/interim/gratings/test_all": "interim/gratings:test_all",
    "data/interim/gratings/test_all/folder.link": "interim/gratings:test_all",
    "data/processed/gratings/test_all": "processed/gratings:test_all",
    "data/processed/gratings/test_all/test.beton": "processed/gratings:test_all",
    "data/processed/gratings/test_all/test.beton.json": "processed/gratings:test_all",
    "data/processed/gratings/test_all/test.beton.samples.parquet": "processed/gratings:test_all",
    MODELS: "models/rcnn/gratings:all_s0",
    f"{MODELS}/record.json": "models/rcnn/gratings:all_s0",
    f"{MODELS}/trained.safetensors": "models/rcnn/gratings:all_s0",
    "data/responses": "responses/contrast/rcnn_gratings:contrast=0.1",
    STORE: "responses/contrast/rcnn_gratings:contrast=0.1",
    f"{STORE}/zarr.json": "responses/contrast/rcnn_gratings:contrast=0.1",
    "data/reports/contrast/rcnn_gratings": "summary/contrast/rcnn_gratings",
    "data/reports/contrast/rcnn_gratings/table.parquet": "summary/contrast/rcnn_gratings",
}
"""Places in a root, and the target that cannot be read if one of them cannot."""


@pytest.fixture(scope="module")
def warm_chain(made_root: Path) -> Iterator[Path]:
    """A copy of the chain in a folder that everybody may enter, which pytest's own folders are not.

    All that is imported later is imported: nobody may not read Python's own files here.
    """
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)
        yield _warm_up(copy_root(made_root, Path(scratch) / "root"))


def _warm_up(root: Path) -> Path:
    (root / "data/processed/gratings/test_all/test.beton").chmod(0o644)
    for target in dict.fromkeys(PLACES.values()):
        assert call_dynvision(root, "verify", target).exit_code == 0
        assert call_dynvision(root, "show", target).exit_code == 0
        load(target, root=root)
    return root


@pytest.mark.parametrize("place", PLACES)
def test_what_cannot_be_read_is_not_missing_and_not_built_again(
    warm_chain: Path, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    target, path = PLACES[place], warm_chain / place
    before, mode = snapshot(warm_chain / "data"), path.stat().st_mode
    path.chmod(0)
    try:
        with without_privileges():
            status = Workspace.open(warm_chain).status(Workspace.open(warm_chain).targets(_key(target))[0])
            done = {name: call_dynvision(warm_chain, name, target) for name in ("status", "show", "verify", "make")}
            listed = call_dynvision(warm_chain, "list", target.partition(":")[0])
            with pytest.raises((UnreadableError, MachineError)) as raised:
                _read(warm_chain, target)
    finally:
        path.chmod(mode)
    assert {name: result.exit_code for name, result in done.items()} == {"status": 0, "show": 0, "verify": 1, "make": 1}
    assert status.state in ("fresh", "damaged")
    for result in (*done.values(), listed):
        assert "not been built" not in result.output
        assert "Traceback" not in result.output
    assert done["status"].output.startswith(f"damaged  {target}: ")
    assert "ermission denied" in done["status"].output + str(raised.value)
    assert "It is not built again, because it may be whole" in done["make"].stderr
    assert re.search(r"[1-9] damaged", listed.output)
    assert snapshot(warm_chain / "data") == before


def _key(target: str) -> tuple[str, ...]:
    return tuple(target.partition(":")[0].split("/"))


def _read(root: Path, target: str) -> None:
    """Read a target as a user of Python does; what is read lazily is read."""
    loaded = load(target, root=root)
    if target.startswith("responses"):
        loaded.to_dataset().load()
    elif target.startswith("raw"):
        [loaded[index] for index in range(len(loaded))]


@pytest.mark.parametrize("place", ["config", "config/config_data.yaml", "."])
def test_an_unreadable_configuration_is_said(warm_chain: Path, place: str) -> None:
    (warm_chain / place).chmod(0)
    try:
        with without_privileges():
            done = call_dynvision(warm_chain, "list")
    finally:
        (warm_chain / place).chmod(0o755)
    assert done.exit_code in (1, 2)
    assert re.search(r"config_data\.yaml|\.env", done.stderr)
    assert "ermission denied" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", STARTED)
def test_a_process_of_its_own_ends_with_a_sentence(made_root: Path, name: str) -> None:
    assert find_fault(name, run_situation(made_root, name)) == ""


def test_all_situations_are_of_the_program() -> None:
    assert set(STARTED) <= set(SITUATIONS)
    assert main.name == "main"


def test_names_of_any_bytes_are_unknown_and_are_shown_escaped(empty_root: Path) -> None:
    for name in (
        "",
        "  ",
        "/",
        "..",
        "data/../..",
        "raw/*",
        "{0.__class__}",
        "%s",
        "a\0b",
        "raw/\udcff",
        "\x1b[31mx\n",
        "😀",
    ):
        for command in (["make", "--dry-run"], ["show"], ["verify"], ["experiment"], ["ui", "--port"], ["completion"]):
            done = call_dynvision(empty_root, *command, name)
            assert done.exit_code == 2, (command, name, done.output)
            assert "\x1b" not in done.output
    long = call_dynvision(empty_root, "show", "raw/" + "a" * 10_000)
    assert long.exit_code == 2
    assert len(long.stderr) < 2100


@pytest.mark.parametrize("name", ["a\0b", "raw/\udcff", "raw/" + "a" * 10_000, "data/raw/a\0b"])
def test_names_of_any_bytes_are_errors_of_ours_in_python(empty_root: Path, name: str) -> None:
    with pytest.raises(DynvisionError):
        load(name, root=empty_root)
