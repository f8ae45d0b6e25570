"""Recording the responses of a sweep on a small chain, and reading the files of its stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dynvision.workspace.building import build_targets
from tests.helpers.configuration import edit_yaml

KEY = "responses/contrast/rcnn_gratings"


def change_record(root: Path, **settings: Any) -> None:
    edit_yaml(
        root / "config" / "config_models.yaml", lambda content: content["models"]["rcnn"]["record"].update(settings)
    )


def change_run(root: Path, **settings: Any) -> None:
    edit_yaml(
        root / "config" / "config_models.yaml",
        lambda content: content["models"]["rcnn"].setdefault("run", {}).update(settings),
    )


def show(root: Path, *levels: str) -> list[dict[str, Any]]:
    names = levels or ("0.1", "0.5", "1.0")
    return build_targets([f"{KEY}:{level}" for level in names], root=str(root), config=str(root / "config"))


def store(root: Path, level: str = "0.5") -> Path:
    return root / "data" / KEY / f"contrast={level}.zarr"


def read_files(folder: Path) -> dict[str, bytes]:
    """Read every file of a store except its records, which contain the time of their creation."""
    skipped = {"record.json", "pending.json"}
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name not in skipped
    }
