"""The graph of 20 datasets × 5 groups × 50 subjects × 10 experiments opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.large_config import EXPERIMENTS, SUBJECTS, write_large_config
from dynvision.stages.registry import STAGE_NAMES
from tests.helpers.user_interface import serve

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


GROUPS = {stage: [f"{stage}_contrast{number}" for number in (0, EXPERIMENTS - 1)] for stage in ("responses", "summary")}
"""The first and the last group of the stages that have one for each experiment."""


def test_the_graph_of_a_large_configuration_opens(
    chromium: str, page: Any, screenshot: Callable[[str], Path], tmp_path: Path
) -> None:
    root = tmp_path / "root"
    write_large_config(root / "config")
    with serve(root) as dagster:
        assets = dagster.query("{ assetNodes { assetKey { path } } }")["assetNodes"]
        responses = [asset for asset in assets if asset["assetKey"]["path"][0] == "responses"]
        assert len(responses) == SUBJECTS * EXPERIMENTS
        page.goto(f"{dagster.url}/asset-groups")
        graph = page.locator("svg:has(foreignObject)").first
        graph.get_by_text("processed", exact=True).first.wait_for()
        # The graph shortens long names; the list next to it does not.
        for group in (group for stage in STAGE_NAMES for group in GROUPS.get(stage, [stage])):
            page.get_by_text(group, exact=True).first.wait_for()
        screenshot("groups")
        page.goto(
            f"{dagster.url}/assets/summary/contrast0/subject00?view=lineage&lineageScope=upstream&lineageDepth=10"
        )
        graph.get_by_text("subject00", exact=True).first.wait_for()
        screenshot("one_summary")
