"""Which home is used, and several processes that make it at once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import click.testing
import pytest

from dynvision.errors import ConfigError, DynvisionError
from dynvision.paths import Paths
from dynvision_assets.command_line import main
from dynvision_assets.instances.homes import describe_home, find_home
from dynvision_assets.instances.opening import open_instance, prepare_home
from dynvision_assets.instances.storage import DATABASES
from tests.helpers.commands import call_dynvision, environment

OPEN = """
import sys
from pathlib import Path
from dynvision.paths import Paths
from dynvision_assets.instances.opening import open_instance, prepare_home
with open_instance(prepare_home(Paths(Path(sys.argv[1])))) as instance:
    print(len(instance.get_runs()))
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("DAGSTER_HOME", "x")  # so that it is removed after the test
    monkeypatch.delenv("DAGSTER_HOME")
    return Paths(tmp_path)


def revisions(home: Path, name: str) -> list[str]:
    with sqlite3.connect(home / name) as connection:
        return [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]


def test_the_home_is_that_of_the_environment_or_of_env_or_the_usual_one(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_home(paths) == paths.root / ".dagster"
    assert describe_home(paths) == ""
    (paths.root / ".env").write_text("DAGSTER_HOME=mine\n")
    assert find_home(paths) == paths.root / "mine"
    assert describe_home(paths) == f"runs are kept in {paths.root / 'mine'} (DAGSTER_HOME in {paths.root / '.env'})"
    monkeypatch.setenv("DAGSTER_HOME", "other")
    assert find_home(paths) == paths.root / "other"
    assert describe_home(paths) == f"runs are kept in {paths.root / 'other'} ($DAGSTER_HOME)"
    monkeypatch.setenv("DAGSTER_HOME", str(paths.root / ".dagster"))
    assert describe_home(paths) == ""


def test_the_home_of_another_root_is_named(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    (paths.root / "b/data").mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(paths.root / "b/.dagster"))
    assert f"which is also the home of the root {paths.root / 'b'}: the UI shows the runs of both" in describe_home(
        paths
    )


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ("nowhere/home", "nowhere does not exist. Make that folder, or correct $DAGSTER_HOME"),
        ("file", "file cannot be a folder: it is a file. Correct $DAGSTER_HOME"),
        ("file/home", "file/home cannot be a folder: Not a directory"),
        ("dangling", "dangling cannot be a folder: File exists"),
    ],
)
def test_a_home_that_cannot_be_one_says_so(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, chosen: str, says: str
) -> None:
    (paths.root / "file").write_text("")
    (paths.root / "dangling").symlink_to("gone")
    monkeypatch.setenv("DAGSTER_HOME", chosen)
    with pytest.raises(ConfigError) as error:
        prepare_home(paths)
    assert says in str(error.value)
    assert (paths.root / "file").read_text() == ""


def test_a_home_that_is_not_writable_says_so(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who may write everywhere
    with pytest.raises(ConfigError, match=r"\.dagster is not writable\. Set DYNVISION_ROOT to a place"):
        prepare_home(paths)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (b"a: [", r"dagster\.yaml: not valid YAML: while parsing a flow node.* Mend it, or remove the file"),
        (b"nonsense: 1", r"dagster\.yaml: .*unexpected config entry \"nonsense\""),
        (b"- 1", r"dagster\.yaml is not valid: "),
        (b"concurrency: 3", r"dagster\.yaml is not valid: "),
        (b"\xff\xfe", r"dagster\.yaml cannot be read: it is not UTF-8 text"),
        (b"storage: {sqlite: {base_dir: /proc/none}}", "/proc/none: it does not exist"),
        (b"storage: {sqlite: {base_dir: {env: NO_SUCH_NAME}}}", "cannot be opened: .*NO_SUCH_NAME"),
    ],
)
def test_settings_that_cannot_be_used_end_in_a_sentence(paths: Paths, settings: bytes, says: str) -> None:
    (prepare_home(paths) / "dagster.yaml").write_bytes(settings)
    with pytest.raises(DynvisionError, match=says):
        open_instance(prepare_home(paths))


def test_make_uses_the_home_of_env_and_says_so(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_root / ".env").write_text("DAGSTER_HOME=../runs\n")
    monkeypatch.setenv("DAGSTER_HOME", "x")  # so that it is removed after the test
    runner = click.testing.CliRunner(env={"DYNVISION_ROOT": str(empty_root), "DAGSTER_HOME": None})
    done = runner.invoke(main, ["make", "raw/gratings:test"], catch_exceptions=False)
    assert done.exit_code == 0
    assert f"runs are kept in {empty_root / '../runs'} (DAGSTER_HOME in {empty_root / '.env'})" in done.output
    assert (empty_root.parent / "runs/history/runs.db").exists()
    assert not (empty_root / ".dagster").exists()


def test_processes_that_make_a_home_at_once_make_a_whole_one(tmp_path: Path) -> None:
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(tmp_path)],
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for opener in openers:
        output, errors = opener.communicate(timeout=240)
        assert (output, opener.returncode) == ("0\n", 0), errors
    heads = {tuple(revisions(tmp_path / ".dagster", name)) for name in DATABASES}
    assert len(heads) == 1
    assert len(heads.pop()) == 1


def test_a_home_whose_maker_was_killed_is_completed(paths: Paths) -> None:
    home = prepare_home(paths)
    with open_instance(home):
        pass
    head = revisions(home, DATABASES[0])
    for name in DATABASES[1:]:
        (home / name).unlink()
    (home / ".storage.partial-12-abcdef/history").mkdir(parents=True)
    (home / ".storage.partial-12-abcdef/history/runs.db").write_bytes(b"half")
    with open_instance(home) as instance:
        assert len(instance.get_runs()) == 0
    assert [revisions(home, name) for name in DATABASES] == [head] * 3
    assert not list(home.glob(".storage.partial-*"))


def test_a_home_that_several_programs_broke_says_how_to_mend_it(empty_root: Path) -> None:
    home = empty_root / ".dagster"
    assert call_dynvision(empty_root, "make", "raw/gratings:test").exit_code == 0
    with sqlite3.connect(home / "history/runs.db") as connection:
        connection.execute("INSERT INTO alembic_version VALUES ('5771160a95ad')")
    done = call_dynvision(empty_root, "make", "--force", "raw/gratings:test")
    assert done.exit_code == 1
    assert f"error: {home / 'history/runs.db'} has two revisions (" in done.output
    command = f"mv {home / 'history'} {home / 'history'}.broken"
    assert command in done.output
    shutil.move(home / "history", home / "history.broken")
    assert call_dynvision(empty_root, "make", "--force", "raw/gratings:test").exit_code == 0


def test_a_database_that_is_none_says_so(paths: Paths) -> None:
    home = prepare_home(paths)
    with open_instance(home):
        pass
    (home / "schedules/schedules.db").write_bytes(b"something else" * 200)
    with pytest.raises(DynvisionError, match=r"schedules\.db is damaged \(file is not a database\).*mv .*/schedules "):
        open_instance(home)
