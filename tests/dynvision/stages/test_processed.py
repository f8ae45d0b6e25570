"""The processed stage: how pixels are stored, and images that are left out, as `config_data.yaml` says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dynvision.config import load_config
from dynvision.data.betons.sidecars import read_sidecar
from dynvision.errors import ConfigError, DataError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
from dynvision.workspace.verifying import verify_targets
from tests.helpers.configuration import edit_yaml
from tests.helpers.files import find_leftovers, reseal_images

TEST = Target(("processed", "gratings"), "test_pair")


def configure(config: Path, **settings: Any) -> None:
    edit_yaml(config / "config_data.yaml", lambda content: content.update(settings))


def build(root: Path, target: Target, **options: Any) -> dict[str, Any]:
    (record,) = build_targets([str(target)], root=str(root), config=str(root / "config"), **options)
    return record


def verify(root: Path) -> tuple[str, str]:
    workspace = Workspace.open(root, root / "config")
    (found,) = verify_targets(workspace, [TEST])
    return workspace.status(TEST).state, found.state


@pytest.fixture
def linked(tmp_path: Path, small_config: Path) -> Path:
    """A root in which the test images are linked, two of which are damaged."""
    build(tmp_path, Target(("raw", "gratings"), "test"))
    build(tmp_path, Target(("interim", "gratings"), "test_pair"))
    return tmp_path


def damage(root: Path) -> list[Path]:
    folder = root / "data/raw/gratings/test"
    bad = [sorted((folder / name).glob("*.png"))[number] for name, number in (("2", 1), ("0", 3))]
    for path in bad:
        path.write_bytes(b"\x89PNG torn")
    reseal_images(folder)
    build(root, Target(("interim", "gratings"), "test_pair"), force=True)
    return bad


@pytest.mark.slow
def test_images_left_out_are_in_record_and_sidecar_and_make_another_version(linked):
    clean = build(linked, TEST)
    assert clean["details"]["bad_images"] == []
    bad = damage(linked)
    configure(linked / "config", max_bad_images=1)
    with pytest.raises(DataError) as caught:
        build(linked, TEST, force=True)
    assert "processed/gratings:test_pair: 2 images cannot be read" in str(caught.value)
    assert all(f"{path}: " in str(caught.value) for path in bad), "one more than allowed, and all are named"
    assert find_leftovers(linked / "data") == []
    workspace = Workspace.open(linked, linked / "config")
    assert workspace.status(TEST).data_version == clean["data_version"]

    configure(linked / "config", max_bad_images=2, write_mode={"gratings": "jpg"}, jpeg_quality=80)
    record = build(linked, TEST, force=True)
    assert record["data_version"] != clean["data_version"]
    assert record["config"] == {"resolution": 16, "write_mode": "jpg", "jpeg_quality": 80}
    assert sorted(Path(path).name for path, _ in record["details"]["bad_images"]) == sorted(p.name for p in bad)
    assert record["details"]["images"] == record["details"]["parts"]["test"] == 6
    assert sum(entry["count"] for entry in record["details"]["classes"]) == 6, "what is left of each class"
    sidecar = read_sidecar(linked / "data/processed/gratings/test_pair/test.beton")
    assert sidecar["file"]["write_mode"] == "jpg"
    assert sidecar["file"]["jpeg_quality"] == 80
    assert sidecar["file"]["bad_images"] == record["details"]["bad_images"]
    assert sidecar["samples"]["label"] == [2, 2, 2, 0, 0, 0]
    assert sidecar["samples"]["group_label"] == [0, 0, 0, 1, 1, 1]
    names = [Path(source).name for source in sidecar["samples"]["source"]]
    assert not set(names) & {path.name for path in bad}
    assert verify(linked) == ("fresh", "whole")
    moved = linked / "elsewhere"
    moved.mkdir()
    for name in ("config", "data"):
        (linked / name).rename(moved / name)
    assert verify(moved) == ("fresh", "whole"), "the root was moved, and nothing in it changed"


def test_how_many_may_be_left_out_and_other_datasets_modes_make_nothing_stale(linked):
    before = Workspace.open(linked, linked / "config").stages["processed"].settings(TEST)
    configure(linked / "config", max_bad_images=7, png_compress_level=1, write_mode={"cifar10": "jpg"}, jpeg_quality=3)
    assert Workspace.open(linked, linked / "config").stages["processed"].settings(TEST) == before
    configure(linked / "config", write_mode={"gratings": "proportion"})
    after = Workspace.open(linked, linked / "config").stages["processed"].settings(TEST)
    assert after == {**before, "write_mode": "proportion", "jpeg_quality": 3}


def test_images_of_one_channel_are_always_raw(small_config, tmp_path):
    configure(small_config, write_mode={"mnist": "jpg"})
    settings = (
        Workspace.open(tmp_path, small_config).stages["processed"].settings(Target(("processed", "mnist"), "test_all"))
    )
    assert settings == {"resolution": 28, "write_mode": "raw"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"write_mode": {"gratings": "smrt"}}, r"write_mode\.gratings: .*'smart', 'proportion' or 'bytes'"),
        ({"write_mode": {"gratngs": "raw"}}, "unknown dataset 'gratngs'. Did you mean 'gratings'"),
        ({"write_mode": "raw"}, "write_mode"),
        ({"max_bad_images": -1}, r"max_bad_images: .*greater than or equal to 0"),
        ({"max_bad_images": 1.5}, "max_bad_images"),
        ({"jpeg_quality": 0}, r"jpeg_quality: .*greater than or equal to 1"),
        ({"jpeg_quality": 101}, r"jpeg_quality: .*less than or equal to 100"),
        ({"png_compress_level": 10}, r"png_compress_level: .*less than or equal to 9"),
        ({"png_compres_level": 1}, r"png_compres_level.*Did you mean 'png_compress_level'"),
    ],
)
def test_setting_that_makes_no_sense_is_refused_when_it_is_read(small_config, settings, message):
    configure(small_config, **settings)
    with pytest.raises(ConfigError, match=rf"(?s)config_data\.yaml.*{message}"):
        load_config(small_config)
