from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynvision.errors import UnknownNameError
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision.workspace.addresses import parse_target
from tests.helpers.configuration import write_small_config


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    return Workspace.open(root, write_small_config(root / "config"))


def texts(workspace: Workspace, text: str) -> list[str]:
    return [str(target) for target in parse_target(workspace, text)]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("raw/gratings:train", "raw/gratings:train"),
        ("interim/cifar100:test_invertebrates", "interim/cifar100:test_invertebrates"),
        ("models/rcnn/gratings:all_s0", "models/rcnn/gratings:all_s0"),
        ("responses/contrast/rcnn_gratings:0.5", "responses/contrast/rcnn_gratings:contrast=0.5"),
        (
            "responses/contrast_duration/rcnn_gratings:duration=3,contrast=0.5",
            "responses/contrast_duration/rcnn_gratings:contrast=0.5,duration=3",
        ),
        ("summary/contrast/rcnn_gratings", "summary/contrast/rcnn_gratings"),
        ("data/raw/gratings/train/0/00000.png", "raw/gratings:train"),
        ("data/processed/cifar100/train_all/train.beton", "processed/cifar100:train_all"),
        ("data/processed/gratings/test_pair", "processed/gratings:test_pair"),
        ("data/models/rcnn/gratings/all_s0/trained.safetensors", "models/rcnn/gratings:all_s0"),
        (
            "data/responses/contrast/rcnn_gratings/contrast=0.5.zarr/V1",
            "responses/contrast/rcnn_gratings:contrast=0.5",
        ),
        ("data/reports/contrast/rcnn_gratings/tuning.png", "summary/contrast/rcnn_gratings"),
        ("summary/contrast", "summary/contrast"),
        ("data/reports/contrast/_subjects", "summary/contrast"),
        ("data/reports/contrast/_subjects/comparison.svg", "summary/contrast"),
    ],
)
def test_path_or_key_with_partition_names_one_target(workspace, text, target):
    assert texts(workspace, text) == [target]
    if text.startswith("data/"):
        assert texts(workspace, str(workspace.paths.root / text)) == [target]


def test_key_alone_names_all_of_its_partitions(workspace):
    assert texts(workspace, "raw/gratings") == ["raw/gratings:train", "raw/gratings:test"]
    assert texts(workspace, "data/raw/gratings") == ["raw/gratings:train", "raw/gratings:test"]
    assert texts(workspace, "responses/duration/rcnn_gratings") == [
        f"responses/duration/rcnn_gratings:duration={d}" for d in (1, 3)
    ]


def test_every_target_is_found_by_its_text_and_by_its_path(workspace):
    for key in workspace.keys:
        for target in workspace.targets(key):
            assert parse_target(workspace, str(target)) == [target]
            assert parse_target(workspace, str(workspace.stage(target).output(target))) == [target]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("row/gratings", "unknown stage 'row'. Did you mean 'raw'?"),
        ("raw/gratngs", "unknown dataset 'gratngs'. Did you mean 'gratings'?"),
        ("raw/gratings:trian", "unknown partition 'trian'. Did you mean 'train'?"),
        ("interim/gratings:test_pari", "unknown partition 'test_pari'. Did you mean 'test_pair'?"),
        ("models/rccn/gratings:all_s0", "unknown model 'rccn'. Did you mean 'rcnn'?"),
        ("models/rcnn/gratngs:all_s0", "unknown dataset 'gratngs'. Did you mean 'gratings'?"),
        ("models/rcnn/gratings:all_s1", "unknown partition 'all_s1'. Did you mean 'all_s0'?"),
        ("responses/contrst/rcnn_gratings", "unknown experiment 'contrst'. Did you mean 'contrast'?"),
        ("responses/contrast/rcnn_grating", "unknown subject 'rcnn_grating'. Did you mean 'rcnn_gratings'?"),
        ("responses/contrast/rcnn_gratings:0.45", "unknown level of 'contrast' '0.45'. Did you mean '0.5'?"),
        ("responses/contrast", "name the subject"),
        ("raw", "name the dataset, as in raw/gratings. Valid: gratings, mnist"),
        ("contrast", "unknown stage 'contrast'."),
        ("contrast", "Valid: raw, interim, processed, models, responses, summary. 'contrast' is an experiment: write "),
        ("contrast", "write summary/contrast."),
        ("rcnn_gratings", "'rcnn_gratings' is a subject: write responses/contrast/rcnn_gratings."),
        ("gratings", "'gratings' is a dataset: write raw/gratings."),
        ("rcnn", "'rcnn' is a model: write models/rcnn/gratings."),
        ("raw/gratings/train", "unknown asset 'raw/gratings/train'. Did you mean 'raw/gratings'?"),
        ("summary/contrast/rcnn_gratings:0.5", "unknown partition '0.5'"),
        ("data/row/gratings", "unknown folder 'row'. Did you mean 'raw'?"),
        ("data/raw/gratngs", "unknown dataset 'gratngs'. Did you mean 'gratings'?"),
        ("data/raw/../../etc", "unknown dataset '..'"),
        ("raw/../x", "names no target"),
        ("", "names no target"),
        (":train", "names no target"),
    ],
)
def test_unknown_target_names_the_nearest(workspace, text, message):
    with pytest.raises(UnknownNameError) as caught:
        parse_target(workspace, text)
    assert message in str(caught.value)


def test_path_outside_the_data_folder_is_an_error(workspace, tmp_path):
    with pytest.raises(UnknownNameError, match=r"elsewhere is outside the data folder "):
        parse_target(workspace, str(tmp_path / "elsewhere"))


parts = st.sampled_from(
    ["data", "raw", "gratings", "train", "..", ".", "", "/", ":", "responses", "contrast", "~", "0.5"]
)


@given(
    st.one_of(st.text(max_size=15), st.lists(parts, max_size=6).map("/".join), st.lists(parts, max_size=6).map("".join))
)
def test_any_text_is_an_error_for_the_user_or_names_targets_below_the_data_root(workspace, text):
    try:
        targets = parse_target(workspace, text)
    except UnknownNameError:
        return
    for target in targets:
        assert isinstance(target, Target)
        assert workspace.paths.data in workspace.stage(target).output(target).resolve().parents
