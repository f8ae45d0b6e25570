from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.chains import records
from tests.helpers.commands import call_dynvision, cpu_seconds_of_children, run_dynvision
from tests.helpers.configuration import edit_config

# Starting


def test_help_is_there_in_under_half_a_second(empty_root: Path) -> None:
    times = []
    for _ in range(5):
        start = cpu_seconds_of_children()
        done = run_dynvision(empty_root, "--help")
        times.append(cpu_seconds_of_children() - start)
        assert done.returncode == 0, done.stderr
    assert "From raw images to the responses of recurrent vision networks" in done.stdout
    assert min(times) < 0.5


def test_help_names_every_command(empty_root: Path) -> None:
    done = call_dynvision(empty_root, "--help")
    for command in ("make", "list", "status", "verify", "show", "ui", "demo"):
        assert f"\n  {command} " in done.output
    for command in ("make", "show", "status", "verify"):
        assert "responses/contrast/rcnn_gratings:0.4" in call_dynvision(empty_root, command, "--help").output


# Exit codes


def test_success_ends_with_0_and_its_answer_on_standard_output(empty_root: Path) -> None:
    done = call_dynvision(empty_root, "make", "raw/gratings:test")
    assert done.exit_code == 0, done.stderr
    assert "built 1 target in" in done.stdout
    assert "raw/gratings: test" in done.stdout
    assert "raw/gratings:test: it has not been built" in done.stderr


def test_a_failure_ends_with_1_and_its_reason_on_standard_error(empty_root: Path) -> None:
    (empty_root / "data").write_text("a file where a folder has to be")
    done = call_dynvision(empty_root, "make", "raw/gratings:test")
    assert done.exit_code == 1
    assert f"error: cannot make the folder {empty_root / 'data'}" in done.stderr
    assert "set DYNVISION_ROOT" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_wrong_usage_ends_with_2(empty_root: Path) -> None:
    done = run_dynvision(empty_root, "make", "raw/grating")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "error: raw/grating: unknown dataset 'grating'. Did you mean 'gratings'? Valid: gratings."
    )
    assert call_dynvision(empty_root, "make").exit_code == 2
    assert "No such command 'mak'" in call_dynvision(empty_root, "mak").output


def test_without_a_command_the_help_is_shown(empty_root: Path) -> None:
    done = call_dynvision(empty_root)
    assert done.exit_code == 2
    assert "\n  make " in done.stderr
    assert "\\n" not in done.stderr
    assert "Error" not in done.stderr


def test_a_mistake_in_the_configuration_ends_with_2_and_names_file_and_line(empty_root: Path) -> None:
    edit_config(empty_root, "use_ffcv: true", "use_ffcv: [true")
    done = call_dynvision(empty_root, "list")
    assert done.exit_code == 2
    assert f"error: {empty_root / 'config/config_data.yaml'}, line " in done.output
    assert "not valid YAML" in done.output


# Names of targets


@pytest.mark.parametrize("command", ["make", "show", "status"])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("rawr/gratings", "unknown stage 'rawr'. Did you mean 'raw'?"),
        ("interim/gratins", "unknown dataset 'gratins'. Did you mean 'gratings'?"),
        ("interim/gratings:test_end", "unknown partition 'test_end'. Did you mean 'test_ends'?"),
        ("models/rcn/gratings", "unknown model 'rcn'. Did you mean 'rcnn'?"),
        ("responses/contrst/rcnn_ends", "unknown experiment 'contrst'. Did you mean 'contrast'?"),
        ("responses/contrast/rcnn_end", "unknown subject 'rcnn_end'. Did you mean 'rcnn_ends'?"),
        ("responses/contrast/rcnn_ends:0.45", "unknown level of 'contrast' '0.45'. Did you mean '0.5'?"),
        ("responses/contrast_duration/rcnn_gratings:contrast=0.5", "gives no level for 'duration'"),
        ("data/procesed/gratings/test_all", "unknown folder 'procesed'. Did you mean 'processed'?"),
        ("data/raw/gratings/tset", "unknown partition 'tset'. Did you mean 'test'?"),
        ("/elsewhere/data/raw/gratings", "/elsewhere/data/raw/gratings is outside the data folder"),
        ("responses/contrast", "name the subject"),
        ("summary/contrst", "unknown experiment 'contrst'. Did you mean 'contrast'?"),
        ("summary/contrast/rcnn_end", "unknown subject 'rcnn_end'. Did you mean 'rcnn_ends'?"),
    ],
)
def test_an_unknown_name_names_the_nearest(empty_root: Path, command: str, target: str, message: str) -> None:
    done = call_dynvision(empty_root, command, target)
    assert done.exit_code == 2
    assert done.output.startswith("error: ")
    assert message in done.output
    assert not (empty_root / "data").exists()


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("data/raw/gratings/test", "raw/gratings:test"),
        ("data/raw/gratings/test/0/1.png", "raw/gratings:test"),
        ("data/interim/gratings/train_ends/folder.link", "interim/gratings:train_ends"),
        ("data/processed/gratings/train_all/train.beton", "processed/gratings:train_all"),
        ("data/models/rcnn/gratings/all_s0/trained.safetensors", "models/rcnn/gratings:all_s0"),
        ("data/responses/contrast/rcnn_ends/contrast=0.5.zarr", "responses/contrast/rcnn_ends:contrast=0.5"),
        (
            "data/responses/contrast_duration/rcnn_gratings/duration=3,contrast=0.1.zarr",
            "responses/contrast_duration/rcnn_gratings:duration=3,contrast=0.1",
        ),
        ("data/reports/contrast/rcnn_gratings/tuning.png", "summary/contrast/rcnn_gratings"),
        ("data/reports/contrast/_subjects/comparison.png", "summary/contrast"),
    ],
)
def test_a_path_names_the_target_that_it_belongs_to(
    empty_root: Path, monkeypatch: pytest.MonkeyPatch, path: str, target: str
) -> None:
    relative = call_dynvision(empty_root, "status", path)
    assert relative.exit_code == 0, relative.output
    assert relative.output.startswith(f"missing  {target}: ")
    assert call_dynvision(empty_root, "status", str(empty_root / path)).output == relative.output
    folder = empty_root / "data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert call_dynvision(empty_root, "status", path.removeprefix("data/")).output == relative.output


@pytest.mark.parametrize(
    "text",
    [
        "responses/contrast_duration/rcnn_gratings:contrast=0.5,duration=3",
        "responses/contrast_duration/rcnn_gratings:duration=3,contrast=0.5",
    ],
)
def test_the_levels_of_a_condition_may_stand_in_any_order(empty_root: Path, text: str) -> None:
    found = call_dynvision(empty_root, "status", text)
    assert "missing  responses/contrast_duration/rcnn_gratings:duration=3,contrast=0.5: " in found.output


def test_a_path_is_made_like_a_key(empty_root: Path) -> None:
    done = call_dynvision(empty_root, "make", "data/interim/gratings/test_ends")
    assert done.exit_code == 0, done.output
    assert "built 2 targets" in done.output
    links = sorted(
        path.name for path in (empty_root / "data/interim/gratings/test_ends").iterdir() if path.is_symlink()
    )
    assert len(links) == 2


# Looking


def test_list_counts_what_is_there_of_every_asset(made_root: Path) -> None:
    done = call_dynvision(made_root, "list")
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in done.output.splitlines()}
    assert lines == {
        "raw/gratings": "2 partitions: 2 fresh",
        "interim/gratings": "4 partitions: 4 fresh",
        "processed/gratings": "4 partitions: 3 fresh, 1 missing",
        "models/rcnn/gratings": "2 partitions: 1 fresh, 1 missing",
        "responses/contrast/rcnn_gratings": "4 partitions: 4 fresh",
        "responses/contrast/rcnn_ends": "4 partitions: 4 fresh",
        "responses/contrast_duration/rcnn_gratings": "6 partitions: 6 fresh",
        "summary/contrast/rcnn_gratings": "1 partition: 1 fresh",
        "summary/contrast/rcnn_ends": "1 partition: 1 missing",
        "summary/contrast_duration/rcnn_gratings": "1 partition: 1 missing",
        "summary/phenomena/rcnn_gratings": "1 partition: 1 missing",
        "summary/phenomena/rcnn_ends": "1 partition: 1 missing",
        "summary/contrast": "1 partition: 1 missing",
        "summary/contrast_duration": "1 partition: 1 missing",
    }


def test_list_takes_the_beginning_of_a_key(made_root: Path) -> None:
    done = call_dynvision(made_root, "list", "responses/contrast/")
    assert [line.split()[0] for line in done.output.splitlines()] == [
        "responses/contrast/rcnn_gratings",
        "responses/contrast/rcnn_ends",
    ]
    nothing = call_dynvision(made_root, "list", "raw/grating_s")
    assert nothing.exit_code == 2
    assert "unknown asset 'raw/grating_s'. Did you mean 'raw/gratings'?" in nothing.output


def test_list_mentions_a_folder_of_images_that_is_no_dataset_yet(empty_root: Path) -> None:
    (empty_root / "data/raw/faces/train").mkdir(parents=True)
    done = call_dynvision(empty_root, "list")
    assert "data/raw/faces is no dataset yet: name it under data_resolution in config_data.yaml" in done.output


def test_show_prints_the_record_of_a_target(made_root: Path) -> None:
    done = call_dynvision(made_root, "show", "responses/contrast/rcnn_gratings:0.5")
    assert done.exit_code == 0, done.output
    first, *rest = done.output.splitlines()
    assert first == "responses/contrast/rcnn_gratings:contrast=0.5: fresh"
    text = "\n".join(rest)
    assert "path: data/responses/contrast/rcnn_gratings/contrast=0.5.zarr" in text
    assert "samples: 12" in text
    (record,) = [r for t, r in records(made_root).items() if str(t) == "responses/contrast/rcnn_gratings:contrast=0.5"]
    assert f"data_version: {record.data_version}" in text


def test_show_says_that_something_has_not_been_built(made_root: Path) -> None:
    done = call_dynvision(made_root, "show", "models/rcnn/gratings:ends_s0")
    assert done.exit_code == 0
    assert done.output.strip() == "models/rcnn/gratings:ends_s0: missing (it has not been built)"


def test_status_says_why_something_is_stale_across_stages(chain: Path) -> None:
    edit_config(chain, "test_per_class: 4", "test_per_class: 5")
    done = call_dynvision(chain, "status", "raw/gratings:test", "summary/contrast/rcnn_gratings", "raw/gratings:train")
    assert done.exit_code == 0, done.output
    first, second, last = done.output.splitlines()
    assert first == "stale    raw/gratings:test: the configuration changed: test_per_class"
    assert second.startswith(
        "stale    summary/contrast/rcnn_gratings: responses/contrast/rcnn_gratings:contrast=0.1 is stale"
    )
    assert second.endswith("raw/gratings:test is stale: the configuration changed: test_per_class")
    assert last == "1 up to date"


def test_looking_changes_nothing(empty_root: Path) -> None:
    before = sorted(empty_root.rglob("*"))
    for arguments in (("list",), ("status",), ("show", "raw/gratings")):
        assert call_dynvision(empty_root, *arguments).exit_code == 0
    assert sorted(empty_root.rglob("*")) == before


# Verifying and dry runs


def test_a_dry_run_says_what_would_be_built_and_builds_nothing(empty_root: Path) -> None:
    done = call_dynvision(empty_root, "make", "--dry-run", "interim/gratings:test_all")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines() == [
        "raw/gratings:test: it has not been built",
        "interim/gratings:test_all: it has not been built",
        "2 targets would be built",
    ]
    assert not (empty_root / "data").exists()


def test_verifying_reads_again_what_was_made_and_fails_where_it_is_damaged(empty_root: Path) -> None:
    assert call_dynvision(empty_root, "make", "raw/gratings:test").exit_code == 0
    whole = call_dynvision(empty_root, "verify", "raw/gratings:test")
    assert whole.exit_code == 0
    assert "whole    raw/gratings:test: " in whole.stdout
    next((empty_root / "data" / "raw" / "gratings" / "test").rglob("*.png")).write_bytes(b"")
    damaged = call_dynvision(empty_root, "verify", "raw/gratings:test", "raw/gratings:train")
    assert damaged.exit_code == 1
    assert "damaged  raw/gratings:test: " in damaged.stdout
    assert "missing  raw/gratings:train: it has not been built" in damaged.stdout
    assert damaged.stderr.strip() == "1 damaged, 1 missing"


def test_samples_of_a_beton_can_be_traced_to_their_images(made_root: Path) -> None:
    done = call_dynvision(made_root, "show", "--samples", "processed/gratings:test_all")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    start = lines.index("  sample\tlabel\tgroup_label\tsource")
    rows = [line.strip().split("\t") for line in lines[start + 1 :]]
    assert [row[0] for row in rows] == [str(place) for place in range(len(rows))]
    assert all((made_root / source).is_file() and Path(source).parent.name == label for _, label, _, source in rows)
    assert "write_mode: raw" in done.stdout
    assert "group_label" not in call_dynvision(made_root, "show", "processed/gratings:test_all").stdout
