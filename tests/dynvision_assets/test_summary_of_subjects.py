"""`summary/<experiment>` in Dagster, in the command line and in Python."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

import dynvision_assets as dva
from dynvision.errors import MissingError, UnknownNameError
from dynvision.targets import Target
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import copy_root, open_workspace, states
from tests.helpers.commands import call_dynvision, run_python
from tests.helpers.instances import latest_check, materializations, open_instance

KEY = ("summary", "contrast")


@pytest.fixture(scope="module")
def compared_root(made_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which the subjects of the contrast experiment are compared; not to be changed."""
    root = copy_root(made_root, tmp_path_factory.mktemp("compared") / "root")
    done = call_dynvision(root, "make", "summary/contrast")
    assert done.exit_code == 0, done.output
    assert "built 2 targets" in done.output  # one subject's summary was there
    return root


def test_making_it_makes_what_is_missing_of_the_subjects_first(compared_root: Path) -> None:
    found = states(compared_root)
    names = ("summary/contrast/rcnn_gratings", "summary/contrast/rcnn_ends", "summary/contrast")
    assert [found[name] for name in names] == ["fresh"] * 3
    again = call_dynvision(compared_root, "make", "summary/contrast")
    assert "nothing to do" in again.output


@pytest.mark.parametrize("command", ["show", "status", "verify", "list"])
def test_every_command_takes_it(compared_root: Path, command: str) -> None:
    done = call_dynvision(compared_root, command, "summary/contrast")
    assert done.exit_code == 0, done.output
    wanted = {
        "show": "summary/contrast: fresh\n  path: data/reports/contrast/_subjects",
        "status": "1 up to date",
        "verify": "whole    summary/contrast: 8 rows, 6 files byte for byte",
        "list": "summary/contrast ",
    }
    assert wanted[command] in done.output


def test_dagster_has_its_numbers_and_its_picture(compared_root: Path) -> None:
    with open_instance(compared_root) as instance:
        (event,) = materializations(instance, compared_root, Target(KEY))
        check = latest_check(instance, KEY, "every_condition_is_measured")
    assert check is not None
    assert check.passed
    record = open_workspace(compared_root).read_record(Target(KEY))
    assert record is not None
    assert (event.tags or {})["dagster/data_version"] == record.data_version
    pictures = {n: str(m.value) for n, m in event.metadata.items() if isinstance(m, dg.MarkdownMetadataValue)}
    assert list(pictures) == ["picture", "picture: comparison"]
    assert all(len(picture) < 50_000 for picture in pictures.values())
    assert event.metadata["subjects"].value == "rcnn_gratings, rcnn_ends"
    table = event.metadata["tuning_table"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [row.data["subject"] for row in table.records] == ["rcnn_gratings"] * 4 + ["rcnn_ends"] * 4


def test_numbers_that_are_none_reach_dagster_as_none(compared_root: Path) -> None:
    with open_instance(compared_root) as instance:
        (event, *_) = materializations(instance, compared_root, Target((*KEY, "rcnn_gratings")))
    values = [
        v for name in ("tuning_table", "fits_table") for r in event.metadata[name].records for v in r.data.values()
    ]  # type: ignore[union-attr]
    assert None in values
    assert all(value == value for value in values), "a number that is none is no JSON"


def test_its_asset_states_its_mappings_and_what_it_is(compared_root: Path) -> None:
    asset = make_definitions(open_workspace(compared_root)).get_assets_def(dg.AssetKey(KEY))
    (spec,) = asset.specs
    assert {dep.asset_key.to_user_string() for dep in spec.deps} == {
        "summary/contrast/rcnn_gratings",
        "summary/contrast/rcnn_ends",
    }
    assert all(dep.partition_mapping is not None for dep in spec.deps)
    assert spec.kinds == {"matplotlib", "parquet"}
    assert spec.partitions_def is None
    assert spec.tags["dynvision/experiment"] == "contrast"
    assert "dynvision/subject" not in spec.tags
    assert "rcnn_gratings, rcnn_ends in the experiment contrast" in str(spec.description)


def test_load_gives_the_table_and_the_data_behind_each_picture(compared_root: Path) -> None:
    table = dva.load("summary/contrast", root=compared_root)
    assert table["subject"].unique().tolist() == ["rcnn_gratings", "rcnn_ends"]
    assert len(table) == 8
    tuning = dva.load("summary/contrast/rcnn_gratings", table="tuning", root=compared_root)
    own = table.query("subject == 'rcnn_gratings'").drop(columns="subject").reset_index(drop=True)
    pd.testing.assert_frame_equal(own[list(tuning.columns)], tuning)
    fits = dva.load("summary/contrast/rcnn_gratings", table="fits", root=compared_root)
    assert {"layer", "measure", "parameter", "value", "low", "high", "r2", "note"} <= set(fits.columns)
    courses = dva.load("summary/contrast/rcnn_gratings", table="time_courses", root=compared_root)
    assert {"time", "time_ms", "shown", "contrast_shown", "value"} <= set(courses.columns)
    assert len(dva.load("summary/contrast", table="fits", root=compared_root)) >= len(fits)
    assert "measure" in dva.load("summary/contrast/rcnn_gratings", root=compared_root).columns


def test_dagster_loads_the_value_of_it(compared_root: Path) -> None:
    value = make_definitions(open_workspace(compared_root)).load_asset_value(list(KEY))
    pd.testing.assert_frame_equal(value, dva.load("summary/contrast", root=compared_root))


def test_a_table_that_there_is_not_names_the_nearest(compared_root: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown table 'tunings'\. Did you mean 'tuning'\?"):
        dva.load("summary/contrast/rcnn_gratings", table="tunings", root=compared_root)
    with pytest.raises(UnknownNameError, match=r"unknown table 'tuning'\. Valid: table, fits"):
        dva.load("summary/contrast", table="tuning", root=compared_root)
    with pytest.raises(TypeError, match=r"raw/gratings has no option 'table'\. Valid: partition, split\."):
        dva.load("raw/gratings:test", table="fits", root=compared_root)


def test_what_has_not_been_made_names_the_command(made_root: Path) -> None:
    with pytest.raises(
        MissingError, match=r"summary/contrast has not been made\. Make it: dynvision make summary/contrast$"
    ):
        dva.load("summary/contrast", root=made_root)


def test_loading_a_summary_imports_no_torch(compared_root: Path) -> None:
    program = (
        "import sys, dynvision_assets as dva\n"
        "for name in ('summary/contrast', 'summary/contrast/rcnn_gratings'): assert len(dva.load(name))\n"
        "print('heavy:', sorted({'torch', 'torchvision', 'ffcv', 'matplotlib', 'scipy', 'dask'} & set(sys.modules)))\n"
    )
    done = run_python(compared_root, "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "heavy: []"
