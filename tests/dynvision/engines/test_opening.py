"""What is wrong with the place of an engine is said in one sentence that begins with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynvision.engines.opening import open_engine
from dynvision.engines.settings import EngineSettings
from dynvision.errors import MachineError


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["local", "slurm", "address"])
def test_a_folder_that_cannot_be_made_is_named_first(tmp_path: Path, kind: str) -> None:
    (tmp_path / ".dynvision").write_text("a file")
    folder = tmp_path / ".dynvision" / "engine"
    with pytest.raises(MachineError) as caught:
        open_engine(EngineSettings(kind=kind, folder=folder, gpus=(), address="tcp://127.0.0.1:1"))
    assert str(caught.value) == (
        f"{folder / 'logs'}: a file stands where a folder has to be. Move that file away, then run this again. The "
        f"engine '{kind}' keeps its files in {folder}."
    )
