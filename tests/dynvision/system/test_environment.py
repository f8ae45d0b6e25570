from __future__ import annotations

import os
from pathlib import Path

import pytest

from dynvision.config.reading import find_config_folder
from dynvision.errors import ConfigError
from dynvision.system.environment import load_environment, read_env_file, read_setting, without_launcher


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DAGSTER_HOME", "DYNVISION_CONFIG", "MY_TOKEN", "A", "B", "X"):
        monkeypatch.setenv(name, "x")  # so that it is removed after the test, whatever the test sets
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text(
        "DAGSTER_HOME=home\nDYNVISION_CONFIG = '../mine'\nexport MY_TOKEN=a b\n# a note\nBARE\n"
    )
    return tmp_path


def test_a_line_of_env_counts_and_the_environment_wins(root, monkeypatch):
    assert read_env_file(root)["MY_TOKEN"] == "a b"
    assert read_setting("DAGSTER_HOME", root) == str(root / "home"), "a path is relative to the root"
    monkeypatch.setenv("DAGSTER_HOME", "/other")
    assert read_setting("DAGSTER_HOME", root) == "/other"
    monkeypatch.setenv("DAGSTER_HOME", "")
    assert read_setting("DAGSTER_HOME", root) == ""
    assert read_setting("BARE", root) is None
    assert read_env_file(root / "nowhere") == {}


def test_the_config_folder_may_be_a_line_of_env(root, monkeypatch):
    for folder in (root / "../mine", root / "that"):
        folder.mkdir()
    assert find_config_folder(root) == root / "../mine"
    monkeypatch.setenv("DYNVISION_CONFIG", str(root / "that"))
    assert find_config_folder(root) == root / "that"


def test_loading_sets_what_the_environment_lacks(root, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "/other")
    monkeypatch.setenv("DYNVISION_CONFIG", "there")
    load_environment(root)
    assert os.environ["MY_TOKEN"] == "a b"
    assert os.environ["DAGSTER_HOME"] == "/other"
    assert os.environ["DYNVISION_CONFIG"] == "there"


def test_env_cannot_name_another_root(root, monkeypatch):
    (root / ".env").write_text("DYNVISION_ROOT=/elsewhere\n")
    with pytest.raises(
        ConfigError, match=r"\.env names another root \(DYNVISION_ROOT=/elsewhere\).*export DYNVISION_ROOT"
    ):
        load_environment(root)
    monkeypatch.setenv("DYNVISION_ROOT", str(root))
    load_environment(root)
    monkeypatch.delenv("DYNVISION_ROOT")
    (root / ".env").write_text("DYNVISION_ROOT=.\n")
    load_environment(root)
    assert "DYNVISION_ROOT" not in os.environ


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"A=\xff\xfe", "is not UTF-8 text"), (b"DAGSTER_HOME=~nobody-of-that-name/x", "names no folder")],
)
def test_an_env_that_cannot_be_used_says_why(root, content, says):
    (root / ".env").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        load_environment(root)


@pytest.mark.parametrize(
    "content", [b"", b"=\n=a\n", b"A='\n", b"\x00A=1\nB=\x00", b"A=${B}${C:-}", b"\xef\xbb\xbfX=1"]
)
def test_any_other_text_is_read(root, content):
    (root / ".env").write_bytes(content)
    load_environment(root)


def test_a_folder_in_place_of_env_is_left_alone(tmp_path):
    (tmp_path / ".env").mkdir()
    assert read_env_file(tmp_path) == {}


def test_what_says_which_of_many_processes_one_is_is_left_out():
    launcher = dict.fromkeys(
        (
            *("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS_PER_NODE"),
            *("SLURM_STEP_ID", "SLURM_STEP_NODELIST", "PMI_RANK", "PMIX_SERVER_URI2", "OMPI_COMM_WORLD_SIZE"),
            *("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"),
        ),
        "1",
    )
    kept = dict.fromkeys(("SLURM_JOB_ID", "SLURM_CPUS_PER_TASK", "SLURM_JOB_NODELIST", "FRANK", "PATH"), "1")
    assert without_launcher({**launcher, **kept}) == kept
