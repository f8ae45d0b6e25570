"""Previews: what an experiment will show, from its YAML alone."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from dynvision.errors import UnknownNameError
from dynvision.films.encoding import is_whole_film
from dynvision.stages.previewing import open_preview
from dynvision.targets import Target
from dynvision.workspace import Workspace
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.stimulus_sets import FOLDER, build, write_frames, write_set

COLORS = {"0": (255, 0, 0), "1": (0, 255, 0), "2": (0, 0, 255)}
SUBJECT = "rcnn_gratings"

EXPERIMENTS = {
    "program": (
        "StimulusProgram",
        {"program": [{"image": 2}, {"void": "$gap"}, {"image": 1}], "gap": [0, 3], "tsteps": 8},
        "gap",
    ),
    "other": (
        "StimulusProgram",
        {"program": [{"image": 1, "contrast": "$first"}, {"image": 2, "which": "other"}], "first": [0.5, 1.0]},
        "first",
    ),
    "stream": (
        "StimulusProgram",
        {"program": {"fast": [{"repeat": 4, "program": [{"image": 1, "which": "next"}]}], "slow": [{"image": 4}]}},
        "program",
    ),
    "again": ("StimulusRepetition", {"tsteps": 20, "stim": 2, "interval": 2, "repetitions": [2, 4]}, "repetitions"),
    "pair": ("StimulusInterval", {"tsteps": 20, "stim": 2, "intro": 1, "interval": [1, 5]}, "interval"),
    "noisy": ("StimulusNoise", {"tsteps": 6, "stim": 3, "noise_type": "uniform", "ssnr": [0.0, 1.0]}, "ssnr"),
    "steady": ("Standard", {"tsteps": 5, "contrast": [0.1, 1.0]}, "contrast"),
}


def add_experiments(config, subject=SUBJECT):
    def change(content):
        for name, (loader, arguments, parameter) in EXPERIMENTS.items():
            if name == "other" and subject != SUBJECT:
                continue  # A stimulus set has no classes.
            content["experiment_config"][name] = {
                "parameter": parameter,
                "data_loader": loader,
                "subjects": [subject],
                "data_args": arguments,
            }

    edit_yaml(config / "config_experiments.yaml", change)


def write_raw(root, folders=COLORS):
    for name, color in folders.items():
        folder = root / "data/raw/gratings/test" / name
        folder.mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (20, 16), color).save(folder / f"{number}.png")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_form_of_presentation_is_drawn_with_test_gratings(tmp_path, small_config, name):
    add_experiments(small_config)
    preview = open_preview(Workspace.open(tmp_path, small_config).stages, name)
    assert len(preview.films) == 2
    assert preview.images == "test gratings, because there are no images of gratings yet (dynvision make raw/gratings)"
    for film in preview.films.values():
        assert film.frames.shape[0] == 3
        assert film.strip().draw().width > 300


def test_a_preview_computes_and_writes_nothing_but_its_films(tmp_path, small_config):
    done = call_dynvision(tmp_path, "preview", "contrast", "--images", "2")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "data/previews/contrast/rcnn_gratings"
    names = [f"contrast={level}.{form}" for level in ("0.1", "0.5", "1.0") for form in ("png", "webp")]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "sheet.png"])
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["previews"]
    assert is_whole_film(folder / "sheet.png")
    assert f"sheet: {folder / 'sheet.png'}" in done.output
    assert "3 conditions, shown with test gratings" in done.output
    listed = call_dynvision(tmp_path, "list", "raw")
    assert "previews" not in listed.output


def test_images_of_the_dataset_are_shown_as_soon_as_there_are_any(tmp_path, small_config):
    write_raw(tmp_path)
    preview = open_preview(Workspace.open(tmp_path, small_config).stages, "contrast")
    assert preview.images == "images of gratings"
    film = preview.films["contrast=1.0"]
    shown = [tuple(pixels[0, 0].tolist()) for pixels in film.scaling.to_pixels(film.render(2))]
    plain = Workspace.open(tmp_path, small_config)
    plain.config.subjects[SUBJECT].__dict__["sensor_noise"] = 0.0
    film = open_preview(plain.stages, "contrast").films["contrast=1.0"]
    assert [tuple(pixels[0, 0].tolist()) for pixels in film.frame(2)] != shown  # the subject's sensor noise
    assert {tuple(pixels[0, 0].tolist()) for pixels in film.frame(2)} <= {*COLORS.values()}


def test_the_images_are_those_of_the_subjects_group(tmp_path, small_config):
    write_raw(tmp_path)
    edit_yaml(small_config / "config_experiments.yaml", set_at("subjects.rcnn_gratings.group", "pair"))
    preview = open_preview(Workspace.open(tmp_path, small_config).stages, "contrast")
    assert {name for names in preview.films["contrast=1.0"].names for name in names} == {"0", "2"}


def test_other_images_are_of_another_class(tmp_path, small_config):
    write_raw(tmp_path)
    add_experiments(small_config)
    film = next(iter(open_preview(Workspace.open(tmp_path, small_config).stages, "other").films.values()))
    assert all(first != other for first, other in film.names)


def test_too_few_images_and_damaged_ones_are_replaced_by_gratings(tmp_path, small_config):
    add_experiments(small_config)
    write_raw(tmp_path, {"0": (255, 0, 0)})
    workspace = Workspace.open(tmp_path, small_config)
    too_few = open_preview(workspace.stages, "stream").images
    assert re.fullmatch(r"test gratings, because a trial shows \d, and of gratings there are fewer to show", too_few)
    for path in (tmp_path / "data/raw/gratings/test/0").iterdir():
        path.write_bytes(b"damaged")
    about = open_preview(workspace.stages, "contrast").images
    assert about.startswith("test gratings, because the images of gratings cannot be read: ")
    assert about.endswith(".png: it is no image, or is damaged")


def test_a_grey_dataset_is_shown_in_grey(tmp_path, small_config):
    subject = {"model": "rcnn", "dataset": "mnist", "trained_on": "all"}
    edit_yaml(small_config / "config_experiments.yaml", set_at("subjects.digits", subject))
    workspace = Workspace.open(tmp_path, small_config)
    size = workspace.config.data.data_resolution["mnist"]
    film = open_preview(workspace.stages, "contrast", "digits").films["contrast=1.0"]
    assert film.frames.shape == (3, 6, size, size)


def write_scenes(root, **settings):
    config = write_set(root, **settings)
    subject = {"model": "rcnn", "dataset": "scenes", "trained_on": "gratings/all"}
    edit_yaml(config / "config_experiments.yaml", set_at("subjects.scenes", subject))
    add_experiments(config, "scenes")
    return Workspace.open(root, config)


def test_the_images_of_a_stimulus_set_are_shown_before_it_was_made(tmp_path):
    preview = open_preview(write_scenes(tmp_path).stages, "steady")
    assert preview.images == "images of scenes"
    assert preview.films["contrast=1.0"].names == [["a.png"], ["b.png"], ["c.jpg"]]
    film = open_preview(Workspace.open(tmp_path, tmp_path / "config").stages, "stream").films["program=slow"]
    assert film.frames.shape[:2] == (3, 4)


def test_the_frames_of_a_stimulus_stay_together(tmp_path):
    write_frames(tmp_path / FOLDER / "films", {"walk": 4, "run": 4, "short": 2})
    workspace = write_scenes(tmp_path, table=None, folder=f"{FOLDER}/films", frames="folders")
    film = open_preview(workspace.stages, "stream").films["program=fast"]
    assert film.frames.shape[0] == 2
    brightness = film.render(3)[0].mean() - film.render(0)[0].mean()
    assert brightness != 0


def test_only_named_conditions_are_drawn(tmp_path, small_config):
    out = tmp_path / "out"
    done = call_dynvision(tmp_path, "preview", "contrast", "--condition", "0.5", "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["subject"] == SUBJECT
    assert sorted(path.name for path in out.iterdir()) == ["contrast=0.5.png", "contrast=0.5.webp", "sheet.png"]
    assert [*map(str, sorted(out.iterdir()))] == sorted(said["files"])


def test_names_that_do_not_exist_name_the_nearest(tmp_path, small_config):
    workspace = Workspace.open(tmp_path, small_config)
    with pytest.raises(UnknownNameError, match=r"unknown experiment 'contast'\. Did you mean 'contrast'"):
        open_preview(workspace.stages, "contast")
    with pytest.raises(UnknownNameError, match="the experiment 'contrast': unknown subject 'rcnn_grating'"):
        open_preview(workspace.stages, "contrast", "rcnn_grating")
    with pytest.raises(UnknownNameError, match=r"unknown level of 'contrast' '0\.7'"):
        open_preview(workspace.stages, "contrast", conditions=["0.7"])


def test_a_file_of_the_users_is_not_replaced(tmp_path, small_config):
    out = tmp_path / "out"
    out.mkdir()
    (out / "sheet.png").write_bytes(b"mine")
    done = call_dynvision(tmp_path, "preview", "contrast", "--out", str(out))
    assert done.exit_code == 2
    assert "sheet.png is there already, and is no film of this project" in done.output
    assert (out / "sheet.png").read_bytes() == b"mine"
    assert np.all([path.name == "sheet.png" for path in out.iterdir()])


def test_the_images_of_a_stimulus_set_are_those_of_the_subjects_group(tmp_path):
    config = write_set(tmp_path)
    edit_yaml(config / "config_data.yaml", set_at("data_groups.scenes", {"faces": {"where": {"category": "faces"}}}))
    subject = {"model": "rcnn", "dataset": "scenes", "group": "faces", "trained_on": "gratings/all"}
    edit_yaml(config / "config_experiments.yaml", set_at("subjects.scenes", subject))
    edit_yaml(config / "config_experiments.yaml", set_at("experiment_config.contrast.subjects", ["scenes"]))
    build(tmp_path, "raw/scenes", config=config)
    workspace = Workspace.open(tmp_path, config)
    preview = open_preview(workspace.stages, "contrast", n_trials=12)
    assert preview.images == "images of scenes"
    raw = workspace.stages["raw"]
    target = Target(("raw", "scenes"), "all")
    table = raw.read_stimuli(target, raw.read_record(target))
    kinds = dict(zip(map(str, table["stimulus_id"]), table["category"], strict=True))
    (film, *_) = preview.films.values()
    assert {kinds[name] for names in film.names for name in names} == {"faces"}
