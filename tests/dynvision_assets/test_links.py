"""The links between the pages of Dagster and the reports next to them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest

from dynvision_assets.serving.links import REPORTS, is_meant, report_url
from dynvision_assets.wiring import make_definitions
from tests.helpers.chains import open_workspace

ADDRESS = "http://127.0.0.1:3105/"


def pages(root: Path) -> dict[str, str]:
    """The link to a page of each asset that has one."""
    specs = make_definitions(open_workspace(root)).resolve_all_asset_specs()
    for spec in specs:
        url = spec.metadata["page"].value if "page" in spec.metadata else "http:"
        assert (f"]({url}" in (spec.description or "")) == ("page" in spec.metadata), spec.key
    return {
        "/".join(spec.key.path): spec.metadata["page"].value
        for spec in specs
        if isinstance(spec.metadata.get("page"), dg.UrlMetadataValue)
    }


def test_a_summary_and_its_responses_link_to_the_page_that_this_server_serves(
    empty_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REPORTS, ADDRESS)
    found = pages(empty_root)
    assert {key.partition("/")[0] for key in found} == {"summary", "responses"}
    url = found["summary/contrast/rcnn_gratings"]
    assert url.startswith(f"{ADDRESS}contrast/rcnn_gratings/?root=")
    assert found["responses/contrast/rcnn_gratings"] == url
    parts = urlsplit(url)
    assert is_meant(empty_root / "data/reports", f"{parts.path}?{parts.query}")
    assert not is_meant(empty_root / "another/data/reports", f"{parts.path}?{parts.query}")


def test_nothing_links_to_a_page_that_nobody_serves(empty_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REPORTS, raising=False)
    assert pages(empty_root) == {}
    monkeypatch.setenv(REPORTS, "")
    assert report_url(open_workspace(empty_root), ("summary", "contrast", "rcnn_gratings")) is None
