"""What the UI shows of a target, from its record alone."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from dynvision.analysis.phenomena import list_phenomena
from dynvision.records import make_record
from dynvision.targets import Target
from dynvision.workspace import Workspace
from dynvision_assets.metadata import describe_record


def test_the_table_of_phenomena_is_shown(tmp_path: Path, small_config: Path) -> None:
    target = Target(("summary", "phenomena", "rcnn_gratings"))
    phenomena = list_phenomena({})
    rows = phenomena.astype(object).where(phenomena.notna(), None).to_dict(orient="records")
    record = make_record(
        target, code_version="1", config={}, inputs={}, content="", details={"phenomena": rows}, files={}
    )
    table = describe_record(Workspace.open(tmp_path, small_config), target, record)["phenomena_table"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [row.data["phenomenon"] for row in table.records] == phenomena["phenomenon"].tolist()
    assert all(str(row.data["note"]).startswith("not shown") for row in table.records)
