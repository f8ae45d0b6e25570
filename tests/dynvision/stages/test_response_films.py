"""Films of what was shown: those kept with the responses, and those drawn when they are asked for."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
import xarray
from PIL import Image

from dynvision.errors import ConfigError, DamagedFileError
from dynvision.experiments.reading import open_store
from dynvision.experiments.stepping import NetworkStepper
from dynvision.films.encoding import is_whole_film
from dynvision.films.film import Film
from dynvision.stages.recorded import films as response_films
from dynvision.stages.recorded.films import FILM, choose_trials_shown
from dynvision.workspace.addresses import parse_target
from dynvision.workspace.building import build_targets
from dynvision.workspace.verifying import verify_targets
from dynvision_assets.metadata import describe_record
from dynvision_assets.pictures import SMALL, draw_target
from tests.helpers.chains import build_chain, open_workspace, states
from tests.helpers.commands import call_dynvision
from tests.helpers.configuration import edit_yaml, set_at
from tests.helpers.recordings import KEY, change_run, show, store
from tests.helpers.stimulus_sets import build, write_frames, write_set

pytestmark = pytest.mark.slow

MASKING = {
    "parameter": "gap",
    "data_loader": "StimulusProgram",
    "subjects": ["rcnn_gratings"],
    "idle": 3,
    "data_args": {
        "tsteps": 8,
        "program": [
            {"void": 1},
            {"image": 2, "contrast": 0.5, "noise": {"kind": "gaussian", "ssnr": 0.4, "temporal": "correlated"}},
            {"void": "$gap"},
            {"image": 2, "which": "other"},
        ],
        "gap": [0, 2],
    },
}


@pytest.fixture(scope="module")
def recorded(chain, tmp_path_factory):
    """A root with responses to contrasts, and the experiment `masking` that has none yet."""
    root = tmp_path_factory.mktemp("films") / "root"
    shutil.copytree(chain.root, root, symlinks=True)
    edit_yaml(root / "config" / "config_experiments.yaml", set_at("experiment_config.masking", MASKING))
    return root


@pytest.fixture
def root(recorded, tmp_path):
    shutil.copytree(recorded, tmp_path / "root", symlinks=True)
    return tmp_path / "root"


@pytest.fixture
def seen(monkeypatch):
    """The frames that the network got, by step."""
    frames = {}
    step = NetworkStepper.step

    def watched(self, frame, state, outputs, ids, t):
        for image, sample in zip(frame, ids, strict=True):
            frames.setdefault((sample, t), []).append(image.detach().float().cpu().numpy().copy())
        return step(self, frame, state, outputs, ids, t)

    monkeypatch.setattr(NetworkStepper, "step", watched)
    return frames


def film_of(root, text, images=3):
    workspace = open_workspace(root)
    (target,) = parse_target(workspace, text)
    return workspace.stage(target).film(target, images)


def was_seen(film, samples, idle, seen):
    """Whether the network got every frame of the film at its step, to the bit."""
    return all(
        any(np.array_equal(frame, other) for other in seen[sample, step + idle])
        for step in range(film.timeline.n_steps)
        for sample, frame in zip(samples, film.render(step), strict=True)
    )


def test_the_film_of_recorded_contrasts_has_the_frames_that_the_network_got(root, seen):
    shutil.rmtree(root / "data" / KEY)
    show(root, "0.5")
    film = film_of(root, f"{KEY}:0.5", [0, 5, 11])
    assert was_seen(film, [0, 5, 11], 2, seen)
    assert film.timeline.notes == ("sensor noise, 0.7 standard deviations of the images",)


def test_the_film_of_a_program_has_the_noise_and_the_other_images_of_the_recording(root, seen):
    build_targets(["responses/masking/rcnn_gratings:2"], root=str(root), config=str(root / "config"))
    film = film_of(root, "responses/masking/rcnn_gratings:2", 4)
    samples = open_store(root / "data/responses/masking/rcnn_gratings/gap=2.zarr")["sample"].values[[0, 4, 7, 11]]
    assert was_seen(film, samples.tolist(), 3, seen)
    assert all(first != other for first, other in film.names)
    assert film.timeline.shown.tolist() == [-1, 0, 0, -1, -1, 1, 1, -1]


def test_a_film_of_half_precision_has_its_frames(root, seen):
    change_run(root, dtype="bfloat16", mixed_precision=True)
    show(root, "0.5")
    assert was_seen(film_of(root, f"{KEY}:0.5", [3]), [3], 2, seen)


def test_a_film_shows_what_was_recorded_and_not_what_the_configuration_says_now(root):
    before = film_of(root, f"{KEY}:0.5").frames
    edit_yaml(root / "config" / "config_experiments.yaml", set_at("experiment_config.contrast.data_args.stim", 2))
    edit_yaml(root / "config" / "config_experiments.yaml", set_at("subjects.rcnn_gratings.sensor_noise", 0.0))
    np.testing.assert_array_equal(film_of(root, f"{KEY}:0.5").frames, before)


def test_the_frames_of_a_stimulus_are_shown_in_their_order(tmp_path, seen):
    config = write_set(tmp_path, None, frames="folders", folder="movies")
    write_frames(tmp_path / "movies", {"walk": 3, "run": 3})
    edit_yaml(
        config / "config_experiments.yaml",
        lambda content: (
            content["subjects"].update(scenes={"model": "rcnn", "dataset": "scenes", "trained_on": "gratings/all"}),
            content["experiment_config"].update(
                film={
                    "parameter": "contrast",
                    "data_loader": "StimulusProgram",
                    "subjects": ["scenes"],
                    "data_args": {
                        "program": [{"repeat": 3, "program": [{"image": 1, "which": "next", "contrast": "$contrast"}]}],
                        "contrast": [0.5, 1.0],
                    },
                }
            ),
        ),
    )
    build(tmp_path, "responses/film/scenes", config=config)
    film = film_of(tmp_path, "responses/film/scenes:1.0", 2)
    samples = open_store(tmp_path / "data/responses/film/scenes/contrast=1.0.zarr")["sample"].values.tolist()
    assert was_seen(film, samples, 0, seen)
    assert film.names == [["run"] * 3, ["walk"] * 3]


def test_the_strip_in_a_store_is_that_of_its_film(root):
    path = store(root) / FILM
    assert is_whole_film(path)
    assert path.read_bytes() == film_of(root, f"{KEY}:0.5").encode("png")
    assert path.stat().st_size <= SMALL


def test_nothing_depends_on_the_strip_in_a_store(root):
    before, path = states(root), store(root) / FILM
    assert FILM not in json.loads((store(root) / "record.json").read_text())["files"]
    with xarray.open_dataset(store(root), engine="zarr") as opened:
        opened.load()
    path.write_bytes(b"damaged")
    for change in (lambda: None, path.unlink):
        change()
        assert states(root) == before
        workspace = open_workspace(root)
        (target,) = parse_target(workspace, f"{KEY}:0.5")
        assert [result.state for result in verify_targets(workspace, [target])] == ["whole"]
        record = workspace.read_record(target)
        assert list(draw_target(workspace.stage(target), target, record)) == ["time_course"]


def test_the_pictures_of_a_condition_are_its_strip_as_it_is_and_its_time_courses(root):
    workspace = open_workspace(root)
    (target,) = parse_target(workspace, f"{KEY}:0.5")
    pictures = draw_target(workspace.stage(target), target, workspace.read_record(target))
    assert list(pictures) == ["stimulus", "time_course"]
    assert pictures["stimulus"] == (store(root) / FILM).read_bytes()
    assert Image.open(io.BytesIO(pictures["time_course"])).size == (640, 208)
    assert all(len(png) <= SMALL for png in pictures.values())


@pytest.mark.parametrize(
    ("together", "seconds", "drawn"),
    [(400, 0.1, ["0.1", "1.0"]), (24, 0.1, ["0.1", "0.5", "1.0"]), (400, 0.6, ["0.1", "0.5", "1.0"])],
)
def test_of_many_quick_conditions_a_few_are_drawn_and_the_others_name_the_command(root, together, seconds, drawn):
    """A picture takes a fortieth of a second: of 400 conditions in a minute that would be a sixth of the run."""
    (store(root, "0.5") / FILM).unlink()
    workspace = open_workspace(root)
    for level in ("0.1", "0.5", "1.0"):
        (target,) = parse_target(workspace, f"{KEY}:{level}")
        record = workspace.read_record(target)
        record = dataclasses.replace(
            record, details={**record.details, "conditions_together": together, "seconds": seconds}
        )
        shown = describe_record(workspace, target, record)
        assert ("picture: time course" in shown) == (level in drawn)
        if level not in drawn:
            assert next(iter(shown)) == "picture"
            assert shown["picture"].value == f"drawn by `dynvision show --stimulus {KEY}:contrast=0.5`"


def test_only_a_few_conditions_of_many_have_a_strip(root, monkeypatch):
    monkeypatch.setattr(response_films, "FILMED", 2)
    shutil.rmtree(root / "data" / KEY)
    show(root)
    assert [(store(root, level) / FILM).exists() for level in ("0.1", "0.5", "1.0")] == [True, False, True]
    assert film_of(root, f"{KEY}:0.5").frames.shape == (3, 6, 16, 16, 3)


def test_a_strip_that_cannot_be_drawn_costs_no_responses(root, monkeypatch, caplog, capfd):
    shutil.rmtree(root / "data" / KEY)
    monkeypatch.setattr(Film, "encode", lambda *_: 1 / 0)
    show(root, "0.5")
    assert not (store(root) / FILM).exists()
    assert states(root)[f"{KEY}:contrast=0.5"] == "fresh"
    said = caplog.text + "".join(capfd.readouterr())
    assert "the film strips could not be drawn (ZeroDivisionError: division by zero)" in said


def test_a_summary_shows_what_was_shown_and_nothing_depends_on_it(root):
    workspace = open_workspace(root)
    (target,) = parse_target(workspace, "summary/contrast/rcnn_gratings")
    stage, record = workspace.stage(target), workspace.read_record(target)
    path = stage.draw(target, record)["stimuli"]
    assert is_whole_film(path)
    before = states(root)
    path.unlink()
    assert states(root) == before
    assert "stimuli" not in stage.draw(target, record)


def test_images_that_were_made_again_have_no_film_but_a_summary(root):
    edit_yaml(root / "config" / "config_data.yaml", set_at("gratings.seed", 7))
    build_chain(root, root / "config", "processed/gratings:test_all")
    with pytest.raises(DamagedFileError, match="was made again since the responses were recorded"):
        film_of(root, f"{KEY}:0.5")


def test_a_sample_that_was_not_shown_is_an_error_that_names_some():
    with pytest.raises(ConfigError, match=r"the sample 4 was not shown\. There are 3, such as 1, 2, 9"):
        choose_trials_shown([1, 2, 9], [2, 4], "x")
    with pytest.raises(ConfigError, match="0 images cannot be shown"):
        choose_trials_shown([1, 2, 9], 0, "x")
    assert choose_trials_shown([1, 2, 9], [9, 1], "x") == [2, 0]
    assert choose_trials_shown([1, 2, 9], 5, "x") == [0, 1, 2]


def test_show_stimulus_writes_strip_and_animation(root):
    done = call_dynvision(root, "show", "--stimulus", f"{KEY}:0.5")
    assert done.exit_code == 0, done.output
    folder = root / "data/films/contrast/rcnn_gratings"
    assert sorted(path.name for path in folder.iterdir()) == [
        "contrast=0.5.png",
        "contrast=0.5.webp",
        "contrast=0.5_time_course.png",
    ]
    assert (folder / "contrast=0.5.png").read_bytes() == (store(root) / FILM).read_bytes()
    assert (folder / "contrast=0.5.webp").stat().st_size <= 3_000_000
    again = call_dynvision(
        root, "show", "--stimulus", f"{KEY}:0.5", "--images", "0,4", "--json", "--out", str(root / "a.gif")
    )
    assert again.exit_code == 0, again.output
    assert json.loads(again.output) == [{"path": str(root / "a.gif"), "bytes": (root / "a.gif").stat().st_size}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((f"{KEY}:0.5", "--images", "0,99"), "the sample 99 was not shown. There are 12, such as 0, 3, 6, 8, 11."),
        ((f"{KEY}:0.5", "--images", "few"), "--images few: write how many images (3), or the samples (12,40"),
        ((f"{KEY}:0.5", "--out", "film.jpg"), "--out film.jpg: the strip is a .png, the animation a .webp or .gif"),
        ((KEY, "--out", "film.png"), "--out film.png is one file, and these are 3 conditions"),
        (("models/rcnn/gratings",), "nothing was shown to make models/rcnn/gratings:all_s0"),
        (("responses/duration/rcnn_gratings:1",), "has not been made. Make it: dynvision make responses/duration"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(recorded, arguments, said):
    done = call_dynvision(recorded, "show", "--stimulus", *arguments)
    assert done.exit_code != 0
    assert said in done.output
    assert "Traceback" not in done.output


def test_a_file_that_is_no_film_is_left_alone(root):
    mine = root / "mine.png"
    mine.write_bytes(b"mine")
    done = call_dynvision(root, "show", "--stimulus", f"{KEY}:0.5", "--out", str(mine))
    assert done.exit_code == 2
    assert "mine.png is there already, and is no film of this project" in done.output
    assert mine.read_bytes() == b"mine"


def test_time_is_in_milliseconds_if_the_network_says_how_long_a_step_is(root):
    """The experiment gives durations in steps; its figures and tables have ms all the same."""
    film = film_of(root, f"{KEY}:0.5")
    workspace = open_workspace(root)
    (target,) = parse_target(workspace, f"{KEY}:0.5")
    assert workspace.read_record(target).details["dt"] == 5.0
    assert (film.timeline.dt, film.timeline.unit) == (5.0, "ms")
