from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import dynvision_assets as dva
from dynvision.errors import UnknownNameError
from tests.helpers.chains import records, states
from tests.helpers.commands import run_python
from tests.helpers.configuration import edit_config


def test_the_catalog_lists_what_exists_with_its_state_version_and_size(chain: Path) -> None:
    edit_config(chain, "test_per_class: 4", "test_per_class: 5")
    table = dva.catalog(root=chain)
    made = {str(target): record for target, record in records(chain).items()}
    assert set(table.target) == set(made)
    assert dict(zip(table.target, table.state, strict=True)) == {
        name: state for name, state in states(chain).items() if name in made
    }
    assert table.set_index("target").reason["raw/gratings:test"] == "the configuration changed: test_per_class"
    assert [made[name].data_version for name in table.target] == table.data_version.tolist()
    assert all(path.exists() for path in table.path)
    assert isinstance(table.created.dtype, pd.DatetimeTZDtype)
    assert table.created.notna().all()
    sizes = table.set_index("target").bytes
    assert sizes["processed/gratings:test_all"] > (chain / "data/processed/gratings/test_all/test.beton").stat().st_size
    assert sizes[[name for name in made if not name.startswith("interim")]].notna().all()
    assert table[table.stage == "summary"].partition.isna().all()


def test_the_catalog_of_a_part_names_only_that(made_root: Path) -> None:
    table = dva.catalog("responses/contrast", root=made_root)
    assert set(table.key) == {"responses/contrast/rcnn_gratings", "responses/contrast/rcnn_ends"}
    assert set(table.group) == {"responses_contrast"}
    assert dva.catalog("raw/gratings:test", root=made_root).target.tolist() == ["raw/gratings:test"]
    with pytest.raises(UnknownNameError, match=r"unknown experiment 'contrst'. Did you mean 'contrast'"):
        dva.catalog("responses/contrst", root=made_root)


def test_the_catalog_of_an_empty_root_is_an_empty_table_with_its_columns(empty_root: Path) -> None:
    table = dva.catalog(root=empty_root)
    assert len(table) == 0
    assert "data_version" in table.columns
    everything = dva.catalog(root=empty_root, missing=True)
    assert set(everything.state) == {"missing"}
    assert set(everything.target) == set(states(empty_root))


def test_a_summary_and_the_catalog_are_read_elsewhere_without_torch_or_dagster(made_root: Path, tmp_path: Path) -> None:
    program = (
        "import json, sys, dynvision_assets as dva\n"
        f"root = {str(made_root)!r}\n"
        "table = dva.load('summary/contrast/rcnn_gratings', root=root)\n"
        "where = dva.path('summary/contrast/rcnn_gratings', root=root)\n"
        "listed = dva.catalog('summary', root=root)\n"
        "heavy = {'torch', 'torchvision', 'lightning', 'ffcv', 'dagster', 'matplotlib', 'scipy', 'cv2', 'zarr'}\n"
        "print(json.dumps([len(table), str(where), len(listed), sorted(heavy & set(sys.modules))]))\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run_python(elsewhere, "-c", program)
    assert done.returncode == 0, done.stderr
    rows, where, listed, heavy = json.loads(done.stdout)
    assert rows > 0
    assert where == str(made_root / "data/reports/contrast/rcnn_gratings")
    assert listed == 1
    assert heavy == []
    assert list(elsewhere.iterdir()) == []
