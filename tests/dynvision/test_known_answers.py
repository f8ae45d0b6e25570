"""The delayed normalization model through the whole chain: images, contrast, stepping, Zarr, measures and fits.

The images are black and white and standardized by mean 0.5 and deviation 0.5, so that their root mean square is 1 and
the drive is the contrast. What the analysis finds must be the arguments of the model.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from dynvision.analysis.figures import summary
from dynvision.targets import Target
from dynvision.workspace.checking import check_targets
from dynvision_assets.metadata import describe_record
from tests.helpers.chains import build_chain, open_workspace
from tests.helpers.commands import call_dynvision
from tests.helpers.delayed_normalization import CELLS

pytestmark = pytest.mark.slow

SIZE = 4
PULSES = [17, 33, 67, 133, 267, 533]
LOBED = {**CELLS["zhou"], "w": 0.5, "scale": 3.0, "reference": 0.25}
"""A negative lobe, another scale and another reference: c50 = 0.25 · 1 / (1 − 0.5)."""

DRAWN = (Target(("summary", "step", "macaque1_1ms")), Target(("summary", "step")))
"""The summaries of which pictures are drawn too."""

SETTLING = {**CELLS, "lobed": LOBED}


def draw_checks(root: Path) -> None:
    """Draw black and white images in two classes."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("a", "b"):
            folder = root / "data/raw/checks" / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                pixels = np.repeat(rng.integers(0, 2, (SIZE, SIZE, 1), dtype=np.uint8) * 255, 3, axis=2)
                Image.fromarray(pixels).save(folder / f"{number}.png")


def known_c50(cell: str) -> float:
    arguments = SETTLING[cell]
    return arguments["sigma"] * arguments.get("reference", 1.0) / (1 - arguments["w"])


def describe_models() -> dict[str, Any]:
    """Each cell with steps of 10 ms, which are enough for a response that has settled, and of 1 ms."""
    return {
        f"{cell}_{dt}ms": {
            "class": "dynvision.models:DelayedNormalization",
            "args": {**arguments, "dt": dt},
            "training": None,
            "record": {"layers": ["response"]},
        }
        for cell, arguments in SETTLING.items()
        for dt in (1, 10)
    }


def describe_experiments() -> dict[str, Any]:
    def experiment(loader: str, parameter: str, subjects: list[str], **data_args: Any) -> dict[str, Any]:
        return {"parameter": parameter, "data_loader": loader, "subjects": subjects, "data_args": data_args}

    sweeps = {
        f"contrast_{cell}": experiment(
            "StimulusContrast",
            "contrast",
            [f"{cell}_10ms"],
            **{"tsteps": 305, "dt": 10, "intro": 50, "stim": 3000},
            contrast=[round(share * min(1.0, 5 * known_c50(cell)), 6) for share in (0.04, 0.1, 0.2, 0.4, 0.7, 1.0)],
        )
        for cell in SETTLING
    }
    cells = [f"macaque{number}_1ms" for number in (1, 2, 3)]
    return {
        **sweeps,
        # All peaks are over long before the step ends.
        "step": experiment("StimulusDuration", "duration", cells, tsteps=310, dt=1, intro=10, stim=[300]),
        "durations": experiment("StimulusDuration", "duration", cells[:1], tsteps=1010, dt=1, intro=10, stim=PULSES),
        "intervals": experiment(
            "StimulusInterval", "interval", cells[:1], tsteps=980, dt=1, intro=10, stim=133, interval=PULSES
        ),
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which all experiments are recorded and analysed."""
    root = tmp_path_factory.mktemp("known") / "root"
    draw_checks(root)
    models = describe_models()
    contents = {
        "data": {
            "use_ffcv": False,
            "data_resolution": {"checks": SIZE},
            "data_statistics": {"checks": {"mean": [0.5] * 3, "std": [0.5] * 3}},
        },
        "models": {"models": models},
        "experiments": {
            "subjects": {name: {"model": name, "dataset": "checks"} for name in models},
            "experiment_config": describe_experiments(),
        },
    }
    (root / "config").mkdir()
    for name, content in contents.items():
        (root / f"config/config_{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "draw_figures", lambda result: {})  # pictures take longer than everything else
        targets = {Target(key) for key in open_workspace(root).keys if key[0] == "summary" and len(key) == 3}
        build_chain(root, root / "config", *map(str, targets - {*DRAWN}))
    build_chain(root, root / "config", *map(str, DRAWN))
    return root


def load(root: Path, experiment: str, subject: str, table: str) -> pd.DataFrame:
    return pd.read_parquet(root / "data/reports" / experiment / subject / f"{table}.parquet")


@pytest.mark.parametrize("cell", SETTLING)
def test_contrast_sweep_returns_semisaturation_exponent_and_scale_of_the_sustained_response(root, cell):
    fits = load(root, f"contrast_{cell}", f"{cell}_10ms", "fits")
    fitted = fits[(fits["measure"] == "sustained") & (fits["layer"] == "response")].set_index("parameter")["value"]
    assert fitted["c50"] == pytest.approx(known_c50(cell), rel=1e-3)
    assert fitted["n"] == pytest.approx(SETTLING[cell]["n"], rel=1e-3)
    assert fitted["r_max"] == pytest.approx(SETTLING[cell].get("scale", 1.0), rel=1e-3)


@pytest.mark.parametrize(("cell", "peak"), [("macaque1", 27), ("macaque2", 17), ("macaque3", 29)])
def test_time_to_the_peak_of_a_long_step_is_that_of_the_cells(root, cell, peak):
    tuning = load(root, "step", f"{cell}_1ms", "tuning")
    assert tuning["time_to_peak_ms/response"].tolist() == [peak]


def test_responses_of_pulses_add_up_as_in_the_first_macaque_cell(root):
    integrals = load(root, "durations", "macaque1_1ms", "tuning")["integral/response"].to_numpy()
    np.testing.assert_allclose(integrals / integrals[-1], [0.345, 0.491, 0.600, 0.687, 0.799, 1], atol=6e-4)


def test_second_pulse_recovers_as_in_the_first_macaque_cell(root):
    recovery = load(root, "intervals", "macaque1_1ms", "tuning")["recovery/response"]
    np.testing.assert_allclose(recovery, [0.052, 0.058, 0.075, 0.133, 0.532, 0.997], atol=6e-4)


def test_network_without_an_answer_passes_the_checks_and_says_so(root):
    for target in DRAWN:
        (result,) = check_targets([str(target)], root=str(root), config=str(root / "config"))
        count = len(target.key) - 2 or 3
        assert result["passed"], result
        assert result["sentence"] == (
            f"{count} of {count} conditions are in the table; in {count} of them all classes have the same score, so "
            "there is no accuracy"
        )
    tuning = load(root, "contrast_zhou", "zhou_10ms", "tuning")
    assert tuning["accuracy"].isna().all()
    fits = load(root, "contrast_zhou", "zhou_10ms", "fits")
    (note,) = fits[fits["measure"] == "accuracy"]["note"]
    assert note == "not fitted: no condition has an accuracy: all scores are the same, or are not finite"


def test_records_and_pictures_of_a_network_without_an_answer_are_whole(root):
    workspace = open_workspace(root)
    for target in DRAWN:
        stage = workspace.stage(target)
        for name in stage.pictures(target):
            assert (stage.output(target) / f"{name}.png").stat().st_size > 5000
    (target,) = workspace.targets(("responses", "step", "macaque2_1ms"))
    record = workspace.stage(target).read_record(target)
    assert record is not None
    assert np.isnan([record.details["accuracy"], *record.details["accuracy_over_time"]]).all()
    assert workspace.stage(target).draw(target, record)


def test_dagster_and_the_command_line_show_a_network_without_an_answer(root):
    workspace = open_workspace(root)
    for target in (*DRAWN, *workspace.targets(("responses", "step", "macaque1_1ms"))):
        record = workspace.read_record(target)
        assert record is not None
        materialization = dg.AssetMaterialization("x", metadata=describe_record(workspace, target, record))
        content = re.sub(r"base64,[^)]*", "", dg.serialize_value(materialization))
        json.loads(content, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    for command in ("show", "make"):
        done = call_dynvision(root, command, "responses/step/macaque1_1ms")
        assert done.exit_code == 0, done.output
