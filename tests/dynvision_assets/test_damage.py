"""Every kind of output × every kind of damage × every reader: nothing is read as if it were whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.helpers.chains import build_chain
from tests.helpers.configuration import edit_yaml, write_small_config
from tests.helpers.damage import DAMAGES, OUTPUTS, READERS, Output, say

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which everything is built, with one subject, so that there is a comparison of subjects, too."""
    root = tmp_path_factory.mktemp("damage")
    config = write_small_config(root / "config")
    edit_yaml(
        config / "config_experiments.yaml",
        lambda content: content["experiment_config"]["contrast"].update(subjects=["rcnn_gratings"]),
    )
    build_chain(root, config, "summary/contrast")
    return root


def copy_for(made: Path, root: Path, output: Output) -> Path:
    """Copy a root, with hard links for the large files that are not damaged."""

    def copy(source: str, target: str) -> None:
        is_damaged = Path(source).is_relative_to(made / output.path)
        is_twin = Path(source).is_relative_to(made / output.twin)
        (os.link if source.endswith(".beton") and not is_damaged and not is_twin else shutil.copy2)(source, target)

    return Path(shutil.copytree(made, root, symlinks=True, copy_function=copy))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", OUTPUTS)
def test_every_reader_says_that_an_output_is_damaged(made, tmp_path, name, damage):
    output = OUTPUTS[name]
    root = copy_for(made, tmp_path / "root", output)
    DAMAGES[damage](root, output)
    for reader in READERS:
        sentence = say(reader, output, root)
        assert sentence, f"{reader} says nothing"
        assert "dynvision make" in sentence or "has not been built" in sentence or "dynvision status" in sentence
        assert "Traceback" not in sentence


@pytest.mark.parametrize("name", OUTPUTS)
def test_what_is_whole_is_read_by_every_reader_in_silence(made, name):
    assert [say(reader, OUTPUTS[name], made) for reader in READERS] == [""] * len(READERS)
