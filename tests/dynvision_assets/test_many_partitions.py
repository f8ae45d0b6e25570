"""What is up to date is said in seconds, however many partitions and images there are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dynvision.data.betons.sample_table import write_table
from dynvision.data.betons.sidecars import remember_verified, seal_sidecar, sidecar_path
from dynvision.records import Record, make_record
from dynvision.stages.processed import ProcessedStage
from dynvision.system.files import sha256_file, write_json
from dynvision.targets import Target
from dynvision.workspace import Workspace
from tests.helpers.chains import open_workspace
from tests.helpers.commands import cpu_seconds_of_children, run_dynvision
from tests.helpers.configuration import edit_config, write_config

GROUPS = 122
LARGE = 12
"""Partitions whose sidecars describe 50,000 images in each file."""


CLASSES = [{"index": i, "name": f"{i} deg", "folder": f"{i:03d}", "count": 500, "group_index": i} for i in range(3)]


def write_record(workspace: Workspace, target: Target, known: dict[Target, Record]) -> Record:
    """Write what a target that is built and up to date leaves, except for the images themselves."""
    stage = workspace.stage(target)
    source = f"data/raw/gratings/{str(target.partition).partition('_')[0]}"
    known[target] = make_record(
        target,
        code_version=stage.code_version,
        config=stage.settings(target),
        inputs={str(up): known[up].data_version for up in stage.upstream(target)},
        content=f"content of {target}",
        details={"images": 50_000, "classes": CLASSES, "source": source, "contents": {}},
    )
    record = known[target].to_dict()
    if not isinstance(stage, ProcessedStage):
        for path in stage.record_files(target):
            write_json(path, record)
        for entry in CLASSES if target.stage == "interim" else ():
            link = stage.output(target) / str(entry["folder"])
            link.symlink_to(os.path.relpath(workspace.paths.root / source / link.name, link.parent))
        return known[target]
    count = 50_000 if len(known) % (GROUPS * 2 // LARGE) == 0 else 20
    for path in stage.files(target):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1000))
        sources = [f"data/raw/gratings/train/017/{number:05d}.png" for number in range(count)]
        table = write_table(path, {"source": sources, "label": [17] * count, "group_label": [0] * count})
        file = {"name": path.name, "bytes": 1000, "sha256": sha256_file(path), "samples": count}
        write_json(sidecar_path(path), seal_sidecar({"record": record, "file": file, "table": table}), indent=None)
        remember_verified(path, str(file["sha256"]))
    return known[target]


@pytest.fixture(scope="module")
def large_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which some five hundred partitions are up to date."""
    root = tmp_path_factory.mktemp("large") / "root"
    write_config(root)
    edit_config(root, "orientations: 3", "orientations: 180")
    groups = ", ".join(f"group{n}: [{n}, {n + 1}]" for n in range(GROUPS - 2))
    edit_config(root, "{ends: [0, 2]}", f"{{ends: [0, 2], {groups}}}")
    workspace = open_workspace(root)
    known: dict[Target, Record] = {}
    for name in ("raw", "interim", "processed"):
        for target in workspace.targets((name, "gratings")):
            write_record(workspace, target, known)
    assert len(known) == 2 + 4 * GROUPS
    sizes = [path.stat().st_size for path in root.rglob("*.samples.parquet")]
    assert sum(size > 100_000 for size in sizes) >= LARGE
    return root


def test_the_status_of_five_hundred_partitions_takes_under_three_seconds(large_root: Path) -> None:
    seconds = []
    for _ in range(3):
        start = cpu_seconds_of_children()
        done = run_dynvision(large_root, "status", "raw/gratings", "interim/gratings", "processed/gratings")
        seconds.append(cpu_seconds_of_children() - start)
        assert done.stdout == f"{2 + 4 * GROUPS} up to date\n", done.stdout[:500] + done.stderr
        if seconds[-1] < 2:
            break
    assert min(seconds) < 3, seconds


def test_the_status_of_everything_follows_one_change_to_exactly_what_it_concerns(large_root: Path) -> None:
    before = (large_root / "config" / "config_data.yaml").read_text()
    edit_config(large_root, "group7: [7, 8]", "group7: [8, 7]")
    try:
        done = run_dynvision(large_root, "status", "--all")
    finally:
        (large_root / "config" / "config_data.yaml").write_text(before)
    stale = [line for line in done.stdout.splitlines() if line.startswith("stale")]
    reason = "the configuration changed: classes"
    assert stale == [
        f"stale    interim/gratings:train_group7: {reason}",
        f"stale    interim/gratings:test_group7: {reason}",
        f"stale    processed/gratings:train_group7: interim/gratings:train_group7 is stale: {reason}",
        f"stale    processed/gratings:test_group7: interim/gratings:test_group7 is stale: {reason}",
    ]
    assert done.stdout.splitlines()[-1] == f"{2 + 4 * GROUPS - 4} up to date"
