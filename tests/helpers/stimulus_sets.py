"""A stimulus set: photographs of mixed sizes without classes, with and without a table about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from tests.helpers.configuration import edit_yaml, set_at, write_small_config

FOLDER = "photos"

TABLE = """\
filename,stimulus_id,category,session,contrast_rms,indoor,taken
b.png,s2,faces,1,0.25,true,2024-01-02
deeper/c.jpg,s3,houses,2,,false,2024-01-03
a.png,s1,faces,2,0.5,true,
"""


def draw_photo(path: Path, seed: int, size: tuple[int, int] = (24, 20)) -> None:
    """Write a photograph of coarse noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize(size).save(path)


def write_photos(folder: Path) -> None:
    """Write three images of different sizes, one of them in a folder of its own."""
    draw_photo(folder / "a.png", 1)
    draw_photo(folder / "b.png", 2, (40, 18))
    draw_photo(folder / "deeper" / "c.jpg", 3, (16, 33))


def write_set(root: Path, table: str | None = TABLE, *, groups: dict[str, Any] | None = None, **settings: Any) -> Path:
    """Write images, their table, and a configuration with the stimulus set `scenes`.

    Args:
        root: The root.
        table: The text of the table; `None` for none.
        groups: The groups of the set.
        settings: Further settings of the set.

    Returns:
        The folder of the configuration.
    """
    config = write_small_config(root / "config")
    write_photos(root / FOLDER)
    given = {"folder": FOLDER, "resolution": 16, **settings}
    if table is not None:
        (root / FOLDER / "stimuli.csv").write_text(table)
        given["table"] = f"{FOLDER}/stimuli.csv"
    edit_yaml(config / "config_data.yaml", set_at("stimulus_sets", {"scenes": given}))
    if groups is not None:
        edit_yaml(config / "config_data.yaml", set_at("data_groups.scenes", groups))
    return config


def build(root: Path, *targets: str, config: Path | None = None) -> Workspace:
    """Build targets and everything upstream; return the workspace."""
    folder = config or root / "config"
    workspace = Workspace.open(root, folder)
    plan = workspace.plan(target for text in targets for target in parse_target(workspace, text))
    for key in dict.fromkeys(target.key for target in plan):
        build_targets([str(t) for t in plan if t.key == key], root=str(root), config=str(folder))
    return Workspace.open(root, folder)


def state(root: Path, target: str) -> tuple[str, str]:
    """The state of a target and the reason."""
    workspace = Workspace.open(root, root / "config")
    (found,) = parse_target(workspace, target)
    status = workspace.status(Target(found.key, found.partition))
    return status.state, status.reason


def write_frames(folder: Path, counts: dict[str, int]) -> None:
    """Write frames of one brightness each, which tells stimulus and frame: 150 + 40 × stimulus + frame."""
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for frame in range(count):
            pixels = np.full((16, 16, 3), 150 + 40 * number + frame, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"frame{frame}.png")


def write_movie(path: Path, brightness: list[int]) -> None:
    """Write a video of grey frames, without loss."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (32, 32))
    assert writer.isOpened()
    for level in brightness:
        writer.write(np.full((32, 32, 3), level, np.uint8))
    writer.release()
