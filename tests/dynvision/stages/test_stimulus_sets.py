"""A stimulus set goes through raw, interim and processed without splits and classes."""

from __future__ import annotations

import os
import shutil

import dagster as dg
import numpy as np
import pytest

import dynvision_assets as dva
from dynvision.config import load_config
from dynvision.errors import ConfigError, DamagedFileError, DataError, DynvisionError, UnknownNameError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.partitions import deps_of, stage_partitions
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.stimulus_sets import FOLDER, TABLE, build, draw_photo, state, write_photos, write_set

pytestmark = pytest.mark.slow

GROUPS = {
    "faces": {"where": {"category": "faces"}},
    "some": {"where": {"category": ["faces", "houses"], "session": 2}},
}


def test_a_stimulus_set_has_one_partition_for_all_and_one_for_each_group(tmp_path):
    write_set(tmp_path, groups=GROUPS)
    workspace = Workspace.open(tmp_path, tmp_path / "config")
    assert [t.partition for t in workspace.targets(("raw", "scenes"))] == ["all"]
    for stage in ("interim", "processed"):
        assert [t.partition for t in workspace.targets((stage, "scenes"))] == ["all", "faces", "some"]
    assert workspace.upstream(Target(("interim", "scenes"), "faces")) == [Target(("raw", "scenes"), "all")]


def test_dagster_makes_every_group_from_the_whole_set(tmp_path):
    write_set(tmp_path, groups=GROUPS)
    workspace = Workspace.open(tmp_path, tmp_path / "config")
    raw, interim = (stage_partitions(workspace, (stage, "scenes")) for stage in ("raw", "interim"))
    assert raw is not None
    assert interim is not None
    assert raw.get_partition_keys() == ["all"]
    assert interim.get_partition_keys() == ["all", "faces", "some"]
    (edge,) = deps_of(workspace, ("interim", "scenes"))
    assert edge.asset_key.path == ["raw", "scenes"]
    (edge,) = deps_of(workspace, ("processed", "scenes"))
    assert isinstance(edge.partition_mapping, dg.IdentityPartitionMapping)
    assert ("models", "rcnn", "scenes") not in workspace.keys


@pytest.mark.parametrize("use_ffcv", [True, False])
def test_images_and_rows_of_the_table_come_in_its_order(tmp_path, use_ffcv):
    write_set(tmp_path, groups=GROUPS)
    edit_yaml(tmp_path / "config" / "config_data.yaml", set_at("use_ffcv", use_ffcv))
    workspace = build(tmp_path, "processed/scenes" if use_ffcv else "interim/scenes")
    stage = workspace.stages["processed"]
    target = stage.images("scenes", workspace.config.data.shown("scenes", "all"))
    images = stage.open_images(target, workspace.stage(target).require([target])[0])
    table = images.samples("images")
    assert table["filename"] == ["b.png", "deeper/c.jpg", "a.png"]
    assert table["stimulus_id"] == ["s2", "s3", "s1"]
    assert table["category"] == ["faces", "houses", "faces"]
    assert table["session"] == [1, 2, 2]
    assert table["indoor"] == [True, False, True]
    np.testing.assert_array_equal(table["contrast_rms"], [0.25, np.nan, 0.5])
    assert table["taken"] == ["2024-01-02", "2024-01-03", ""]
    assert table["label"] == table["group_label"] == [-1, -1, -1]
    assert images.classes == []
    sequence, _ = next(iter(images.loader("images", 3)))
    assert sequence.images.shape == (3, 3, 16, 16)


def test_both_stores_give_the_same_pixels(tmp_path):
    write_set(tmp_path)
    shown = []
    for use_ffcv in (True, False):
        edit_yaml(tmp_path / "config" / "config_data.yaml", set_at("use_ffcv", use_ffcv))
        workspace = build(tmp_path, "processed/scenes" if use_ffcv else "interim/scenes")
        stage = workspace.stages["processed"]
        target = stage.images("scenes", workspace.config.data.shown("scenes", "all"))
        loader = stage.open_images(target, workspace.stage(target).require([target])[0]).loader("images", 3)
        shown.append(next(iter(loader))[0].images.numpy())
    np.testing.assert_array_equal(shown[0], shown[1])


def test_groups_hold_the_images_that_columns_choose(tmp_path):
    write_set(tmp_path, groups=GROUPS)
    build(tmp_path, "interim/scenes")
    faces = dva.load("interim/scenes", group="faces", root=tmp_path)
    assert faces.stimuli["filename"] == ["b.png", "a.png"]
    assert dva.load("interim/scenes:some", root=tmp_path).stimuli["filename"] == ["deeper/c.jpg", "a.png"]
    folder = tmp_path / "data/interim/scenes/faces"
    assert sorted(p.name for p in folder.iterdir() if p.is_symlink()) == ["0_b.png", "1_a.png"]
    assert (folder / "1_a.png").read_bytes() == (tmp_path / FOLDER / "a.png").read_bytes()


def test_load_gives_all_images_without_a_class(tmp_path):
    write_set(tmp_path, groups=GROUPS)
    build(tmp_path, "processed/scenes")
    for stage in ("raw", "interim"):
        dataset = dva.load(f"{stage}/scenes", root=tmp_path)
        image, label = dataset[0]
        assert (image.size, label) == ((40, 18), -1)
        assert dataset.classes == []
        assert len(dataset) == 3
    processed = dva.load("processed/scenes", root=tmp_path)
    assert processed.sidecar["samples"]["stimulus_id"] == ["s2", "s3", "s1"]
    assert len(processed.loader(batch_size=2)) == 2


def test_images_without_a_table_come_in_natural_order_and_are_named_by_their_files(tmp_path):
    write_set(tmp_path, None)
    draw_photo(tmp_path / FOLDER / "a10.png", 4)
    draw_photo(tmp_path / FOLDER / "a2.png", 5)
    build(tmp_path, "interim/scenes")
    loaded = dva.load("interim/scenes", root=tmp_path)
    assert loaded.stimuli["filename"] == ["a.png", "a2.png", "a10.png", "b.png", "deeper/c.jpg"]
    assert loaded.stimuli["stimulus_id"] == ["a", "a2", "a10", "b", "c"]


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path):
    write_set(tmp_path, None)
    draw_photo(tmp_path / FOLDER / "deeper" / "a.png", 4)
    build(tmp_path, "interim/scenes")
    loaded = dva.load("interim/scenes", root=tmp_path)
    assert loaded.stimuli["stimulus_id"] == ["a.png", "b.png", "deeper/a.png", "deeper/c.jpg"]


def test_images_may_lie_flat_in_the_raw_folder(tmp_path):
    write_set(tmp_path, None)
    edit_yaml(tmp_path / "config" / "config_data.yaml", set_at("stimulus_sets", {"scenes": {"resolution": 16}}))
    write_photos(tmp_path / "data/raw/scenes")
    build(tmp_path, "processed/scenes")
    assert len(dva.load("raw/scenes", root=tmp_path)) == 3
    assert state(tmp_path, "processed/scenes:all") == ("fresh", "")
    workspace = Workspace.open(tmp_path, tmp_path / "config")
    (raw,) = workspace.targets(("raw", "scenes"))
    assert workspace.read_record(raw).details["ignored"] == {}


def test_every_check_of_a_stimulus_set_passes(tmp_path):
    write_set(tmp_path, groups=GROUPS)
    workspace = build(tmp_path, "processed/scenes")
    for key in (("raw", "scenes"), ("interim", "scenes"), ("processed", "scenes")):
        for target in workspace.targets(key):
            stage, record = workspace.stage(target), workspace.stage(target).require([target])[0]
            inspection = stage.inspect(target, record)
            results = {check.name: check.run(inspection) for check in stage.checks}
            failed = [name for name, result in results.items() if not result.passed]
            assert failed == []
            assert stage.read_back(target, record).sentence
            assert stage.draw(target, record)


def test_an_edited_table_makes_the_set_stale(tmp_path):
    write_set(tmp_path)
    build(tmp_path, "interim/scenes")
    table = tmp_path / FOLDER / "stimuli.csv"
    table.write_text(TABLE.replace("houses", "places"))
    assert state(tmp_path, "raw/scenes:all") == ("stale", f"the table changed: {FOLDER}/stimuli.csv")
    build(tmp_path, "interim/scenes")
    assert dva.load("interim/scenes", root=tmp_path).stimuli["category"] == ["faces", "places", "faces"]
    table.write_text(table.read_text().replace(",", ";"))
    assert state(tmp_path, "interim/scenes:all") == ("fresh", "")


def test_a_changed_image_makes_the_set_stale(tmp_path):
    write_set(tmp_path)
    build(tmp_path, "interim/scenes")
    draw_photo(tmp_path / FOLDER / "deeper" / "c.jpg", 9)
    images = f"images in {tmp_path / FOLDER} changed, or their sizes or times did"
    assert state(tmp_path, "raw/scenes:all") == ("stale", images)
    table = tmp_path / FOLDER / "stimuli.csv"
    table.write_text(TABLE.replace("houses", "places"))
    assert state(tmp_path, "raw/scenes:all") == ("stale", f"{images}; the table changed: {FOLDER}/stimuli.csv")
    (tmp_path / FOLDER / "deeper" / "c.jpg").unlink()
    assert "row 3: there is no image 'deeper/c.jpg'" in state(tmp_path, "raw/scenes:all")[1]


def test_a_link_that_is_missing_or_added_is_damage(tmp_path):
    write_set(tmp_path)
    build(tmp_path, "interim/scenes")
    folder = tmp_path / "data/interim/scenes/all"
    (folder / "9_x.png").symlink_to(tmp_path / FOLDER / "a.png")
    assert "9_x.png was added later" in state(tmp_path, "interim/scenes:all")[1]
    (folder / "9_x.png").unlink()
    (folder / "0_b.png").unlink()
    assert "0_b.png is missing" in state(tmp_path, "interim/scenes:all")[1]


def test_a_group_that_names_no_column_or_value_is_refused_with_the_nearest(tmp_path):
    write_set(tmp_path, groups={"faces": {"where": {"categroy": "faces"}}})
    with pytest.raises(UnknownNameError, match=r"data_groups.scenes.faces.where: unknown column.*'category'"):
        build(tmp_path, "interim/scenes")
    edit_yaml(
        tmp_path / "config/config_data.yaml", set_at("data_groups.scenes", {"f": {"where": {"category": "face"}}})
    )
    with pytest.raises(UnknownNameError, match=r"where.category: unknown value 'face'. Did you mean 'faces'"):
        build(tmp_path, "interim/scenes")
    where = {"category": "houses", "session": 1}
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("data_groups.scenes", {"none": {"where": where}}))
    with pytest.raises(DataError, match="no image has all of these values"):
        build(tmp_path, "interim/scenes")


def test_a_column_of_indices_gives_the_labels(tmp_path):
    write_set(tmp_path, label={"column": "session", "by": "index"})
    build(tmp_path, "interim/scenes")
    assert dva.load("interim/scenes", root=tmp_path).targets == [1, 2, 2]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"column": "sesion"}, r"label.column: unknown column 'sesion'. Did you mean 'session'"),
        ({"column": "session", "by": "name"}, "holds numbers. Write 'by: index'"),
        ({"column": "category", "by": "index"}, "'by: index' needs whole numbers from 0"),
    ],
)
def test_a_label_column_that_does_not_fit_is_refused(tmp_path, label, message):
    write_set(tmp_path, label=label)
    with pytest.raises(ConfigError, match=message):
        build(tmp_path, "raw/scenes")


@pytest.mark.parametrize("column", ["label", "sample", "time", "channel", "contrast"])
def test_a_column_named_like_a_coordinate_is_to_be_renamed(tmp_path, column):
    write_set(tmp_path, TABLE.replace("category", column))
    experiments = tmp_path / "config/config_experiments.yaml"
    shown = {"dataset": "scenes", "trained_on": "gratings/all"}
    edit_yaml(experiments, lambda content: content["subjects"]["rcnn_gratings"].update(shown))
    edit_yaml(tmp_path / "config/config_data.yaml", set_at("data_statistics.scenes", {"mean": [0.5], "std": [0.2]}))
    with pytest.raises(DynvisionError, match=f"the column '{column}' has the name of .*Rename it"):
        build(tmp_path, "raw/scenes")


def test_an_empty_folder_and_a_missing_one_say_what_to_do(tmp_path):
    write_set(tmp_path, None, folder="elsewhere")
    with pytest.raises(DynvisionError, match=r"elsewhere does not exist. Put the images of the stimulus set 'scenes'"):
        build(tmp_path, "raw/scenes")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        build(tmp_path, "raw/scenes")


@pytest.mark.parametrize("folder", [".", "data"])
def test_a_folder_that_holds_what_the_project_makes_is_refused(tmp_path, folder):
    write_set(tmp_path, None, folder=folder)
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match=r"holds what this project makes .* into a folder of their own"):
        build(tmp_path, "raw/scenes")


def test_records_of_the_project_are_no_files_of_the_user(tmp_path):
    config = write_set(tmp_path, None, folder=None)
    draw_photo(tmp_path / "data/raw/scenes/a.png", 1)
    build(tmp_path, "raw/scenes", config=config)
    (tmp_path / "data/raw/scenes/a.png").unlink()
    with pytest.raises(DataError, match=r"scenes holds no image, nor does a folder in it.$"):
        build(tmp_path, "raw/scenes", config=config)


def test_an_image_that_was_damaged_in_place_is_found(tmp_path):
    write_set(tmp_path)
    workspace = build(tmp_path, "raw/scenes")
    (target,) = workspace.targets(("raw", "scenes"))
    image = tmp_path / FOLDER / "deeper" / "c.jpg"
    before, content = image.stat(), bytearray(image.read_bytes())
    content[-20] ^= 1
    image.write_bytes(content)
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DamagedFileError, match=r"c.jpg is not the image that was written"):
        workspace.stage(target).check_files(target, workspace.stage(target).require([target])[0], afresh=True)


def test_a_flat_folder_of_a_dataset_says_how_it_becomes_a_stimulus_set(tmp_path):
    config = write_set(tmp_path, None)
    edit_yaml(config / "config_data.yaml", set_at("stimulus_sets", {}))
    edit_yaml(config / "config_data.yaml", set_at("data_resolution.scenes", 16))
    write_photos(tmp_path / "data/raw/scenes")
    shutil.rmtree(tmp_path / "data/raw/scenes/deeper")
    with pytest.raises(DynvisionError, match=r"holds images: .* write 'stimulus_sets: \{scenes: \{resolution: …\}\}'"):
        build(tmp_path, "raw/scenes:test")


def test_settings_that_only_other_datasets_have_are_refused(tmp_path):
    config = write_set(tmp_path, None)
    for change, message in (
        (set_at("data_resolution.scenes", 8), "'scenes' is in 'stimulus_sets' and in 'data_resolution'"),
        (set_at("class_index_files", {"scenes": "x.json"}), "class_index_files.scenes: 'scenes' is a stimulus set"),
        (set_at("mounted_datasets", ["scenes"]), "leave 'scenes' out of mounted_datasets"),
        (set_at("data_groups.scenes", {"few": [0, 1]}), "a stimulus set has no class indices"),
        (set_at("data_groups.scenes", {"few": {"where": {"x": 1}}}), "name the 'table'|Name the table"),
        (set_at("data_groups.scenes", {"all": {"where": {"x": 1}}}), "'all' always means every image"),
        (set_at("data_groups.gratings", {"few": {"where": {"x": 1}}}), "'where' chooses images of a stimulus set"),
        (set_at("stimulus_sets.gratings", {"resolution": 16}), "'gratings'"),
        (set_at("stimulus_sets.scenes.label", {"column": "x"}), "'label' names a column of the 'table'"),
        (set_at("stimulus_sets.scenes.tabel", "x"), "unknown key. Did you mean 'table'"),
    ):
        text = (config / "config_data.yaml").read_text()
        edit_yaml(config / "config_data.yaml", change)
        with pytest.raises(ConfigError, match=message):
            load_config(config)
        (config / "config_data.yaml").write_text(text)
