"""Pictures: their share of the time of a run, for a sweep of many conditions and its summary.

`python -m benchmarks pictures` shows 40 conditions of 400 images; PICTURES_CONDITIONS and PICTURES_IMAGES are other
numbers. Everything that `dynvision make` computes, and what it shows in the browser, is done in this process, with a
timer around all that draws, encodes or writes a picture or a page. Without what Dagster itself takes, the share is a
little too large.
"""

from __future__ import annotations

import functools
import importlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from benchmarks.results import save_results
from dynvision.workspace.building import build_targets

PROJECT = Path(__file__).parent.parent
CONDITIONS, IMAGES = 40, 400
SUBJECT = "rcnn_gratings"
MOST = 0.05
"""The share of a run that pictures may take."""

DRAWN = {
    "film strips of responses": ("dynvision.stages.responses", "write_films"),
    "film strips of the summary": ("dynvision.stages.summary", "SummaryStage._draw_stimuli"),
    "figures of the summary": ("dynvision.analysis.figures.summary", "draw_figures"),
    "figures as files": ("dynvision.analysis.figures.style", "save_figure"),
    "page": ("dynvision.stages.summary", "SummaryStage._write_page"),
    "pictures for the browser": ("dynvision_assets.metadata", "draw_target"),
    "thumbnails for the browser": ("dynvision_assets.metadata", "draw_thumbnail"),
}
"""What draws: a name for people, the module and the function in it."""


def run() -> None:
    """Measure one run, print the shares, and write the numbers as JSON."""
    count = int(os.environ.get("PICTURES_CONDITIONS", CONDITIONS))
    images = int(os.environ.get("PICTURES_IMAGES", IMAGES))
    print(f"pictures of a run: {count} conditions of {SUBJECT}, {images} images in each, and their summary\n")
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder), count, images)
        seconds, times = _measure(Path(folder))
    for name, (calls, spent) in times.items():
        print(f"{name:28} {calls:5} calls {spent:7.2f} s {spent / seconds:6.1%}")
    share = sum(spent for _, spent in times.values()) / seconds
    print(
        f"{'all pictures':28} of {seconds:.1f} s {share:13.1%}; at most {MOST:.0%}: {'yes' if share <= MOST else 'NO'}"
    )
    save_results(
        "pictures", {"conditions": count, "images": images, "seconds": seconds, "share": share, "times": times}
    )


def _prepare(root: Path, count: int, images: int) -> None:
    """Write a configuration with one sweep, and make its images and its network."""
    shutil.copytree(PROJECT / "config", root / "config")
    path = root / "config/config_data.yaml"
    content = yaml.safe_load(path.read_text())
    content["gratings"]["test_per_class"] = images // content["gratings"].get("orientations", 8)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    path = root / "config/config_experiments.yaml"
    content = yaml.safe_load(path.read_text())
    experiment = content["experiment_config"]["contrast"]
    experiment |= {"subjects": [SUBJECT], "idle": 10}
    experiment.pop("compare_on", None)
    experiment["data_args"]["contrast"] = [round((number + 1) / count, 6) for number in range(count)]
    content["experiment_config"] = {"contrast": experiment}
    content["subjects"] = {SUBJECT: content["subjects"][SUBJECT]}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    path = root / "config/config_models.yaml"
    content = yaml.safe_load(path.read_text())
    content["models"]["rcnn"]["training"]["datasets"]["gratings"]["epochs"] = 1
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    for text in ("raw/gratings", "interim/gratings", "processed/gratings", "models/rcnn/gratings:all_s0"):
        build_targets([text], root=str(root), config=str(root / "config"))


def _measure(root: Path) -> tuple[float, dict[str, tuple[int, float]]]:
    """Return the seconds of the run, and by name how often and how long something was drawn."""
    from dynvision.workspace import Workspace
    from dynvision.workspace.addresses import parse_target
    from dynvision_assets.metadata import describe_record

    texts = [f"responses/contrast/{SUBJECT}", f"summary/contrast/{SUBJECT}"]
    with _timed() as times:
        start = time.perf_counter()
        build_targets(texts[:1], root=str(root), config=str(root / "config"))
        build_targets(texts[1:], root=str(root), config=str(root / "config"))
        workspace = Workspace.open(root, root / "config")
        for target in (target for text in texts for target in parse_target(workspace, text)):
            record = workspace.read_record(target)
            assert record is not None
            describe_record(workspace, target, record)
        return time.perf_counter() - start, {name: (calls, spent) for name, (calls, spent) in times.items()}


@contextmanager
def _timed() -> Iterator[dict[str, list[Any]]]:
    """Put timers around everything that draws; what is called by another of them counts once."""
    times: dict[str, list[Any]] = {name: [0, 0.0] for name in DRAWN}
    depth = [0]
    replaced = []

    def watch(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            depth[0] += 1
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                depth[0] -= 1
                if not depth[0]:
                    times[name][0] += 1
                    times[name][1] += time.perf_counter() - start

        return timed

    for name, (module, path) in DRAWN.items():
        *owners, attribute = path.split(".")
        owner: Any = importlib.import_module(module)
        for part in owners:
            owner = getattr(owner, part)
        replaced.append((owner, attribute, getattr(owner, attribute)))
        setattr(owner, attribute, watch(name, getattr(owner, attribute)))
    try:
        yield times
    finally:
        for owner, attribute, function in replaced:
            setattr(owner, attribute, function)
