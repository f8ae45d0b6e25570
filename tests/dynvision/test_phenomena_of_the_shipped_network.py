"""The shipped normalizing network, trained and shown as configured, does what cortex does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.chains import build_chain
from tests.helpers.configuration import PROJECT_CONFIG, edit_yaml, set_at

pytestmark = pytest.mark.slow

SUBJECT = "normalizing_gratings"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the project's own configuration, but for the number of images that are shown."""
    root = tmp_path_factory.mktemp("shipped") / "root"
    config = Path(shutil.copytree(PROJECT_CONFIG, root / "config"))
    edit_yaml(config / "config_models.yaml", set_at("models.normalizing.record.samples", 160))
    build_chain(root, config, f"summary/phenomena/{SUBJECT}")
    return root


@pytest.fixture(scope="module")
def phenomena(root: Path) -> pd.DataFrame:
    """The table, with a column for what is measured in which layer."""
    return pd.read_parquet(root / f"data/reports/phenomena/{SUBJECT}/table.parquet")


def value(table: pd.DataFrame, phenomenon: str, layer: str, measure: str) -> float:
    rows = table.query("phenomenon == @phenomenon and layer == @layer and measure == @measure")
    assert len(rows) == 1, (phenomenon, layer, measure)
    return float(rows["value"].iloc[0])


def test_v1_saturates_with_contrast_within_the_range_shown(phenomena: pd.DataFrame) -> None:
    assert 0.1 < value(phenomena, "contrast response", "V1", "c50") < 0.6
    assert value(phenomena, "contrast response", "V1", "r2") > 0.99


def test_onset_is_a_transient(phenomena: pd.DataFrame) -> None:
    assert value(phenomena, "onset transient", "V1", "transient_ratio") >= 1.5


def test_latency_falls_with_contrast(root: Path, phenomena: pd.DataFrame) -> None:
    latency = "latency falls with contrast"
    lowest, highest = (value(phenomena, latency, "V1", f"latency_ms_{name}") for name in ("lowest", "highest"))
    assert highest < 0.7 * lowest
    tuning = pd.read_parquet(root / f"data/reports/contrast/{SUBJECT}/tuning.parquet").set_index("contrast")
    assert tuning.loc[0.1:, "latency/V1"].is_monotonic_decreasing


@pytest.mark.parametrize("measure", ["adaptation", "recovery"])
def test_repetition_suppresses_at_short_intervals_and_not_at_long_ones(phenomena: pd.DataFrame, measure: str) -> None:
    assert value(phenomena, "repetition suppression", "V1", f"{measure}_shortest") < 0.7
    assert value(phenomena, "repetition suppression", "V1", f"{measure}_longest") > 0.95


def test_accuracy_lasts_as_long_as_the_image(phenomena: pd.DataFrame) -> None:
    assert value(phenomena, "long presentations", "output", "accuracy_lost") <= 0.03


def test_summation_over_time_is_subadditive(phenomena: pd.DataFrame) -> None:
    assert value(phenomena, "temporal summation", "V1", "doubling_highest") < 2


def test_a_mask_soon_after_the_target_hides_it(phenomena: pd.DataFrame) -> None:
    assert value(phenomena, "backward masking", "output", "accuracy_shortest") <= 0.2
    assert value(phenomena, "backward masking", "output", "accuracy_longest") > 0.6


def test_accuracy_rises_with_contrast_within_the_range_shown(phenomena: pd.DataFrame) -> None:
    assert value(phenomena, "accuracy", "output", "accuracy") >= 0.95
    assert 0.02 < value(phenomena, "accuracy", "output", "half_point") < 1
