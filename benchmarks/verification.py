"""Reading verified beside unverified: a fresh `load` of the demo, reading all of it, status, and the share of a sweep.

The peer of a case is the same case in the same process with the comparison of files switched off.
`python -m benchmarks verification` builds the demo's contrast experiment in a temporary root first (two minutes).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.results import save_results

ROUNDS = 9
KEY = "responses/contrast/rcnn_gratings"

PRELUDE = """
import json, sys, time
from pathlib import Path
import numpy, pandas, xarray, zarr, dask
import dynvision_assets as dva
from dynvision.system import checked_files
root, is_checked = sys.argv[1], sys.argv[2] == "checked"
if not is_checked:
    checked_files.CheckedFiles.check = lambda self, name, afresh=False: self.folder / name
    checked_files.CheckedFiles.check_all = lambda self, afresh=False: 0
"""

LOAD = """
numbers = {}
for name in ("responses/contrast/rcnn_gratings", "summary/contrast/rcnn_gratings"):
    start = time.perf_counter()
    value = dva.load(name, root=root)
    numbers["load " + name.partition("/")[0]] = time.perf_counter() - start
    if name.startswith("responses"):
        start = time.perf_counter()
        value.load()
        numbers["read all responses"] = time.perf_counter() - start
print(json.dumps(numbers))
"""

STATUS = """
from dynvision.workspace import Workspace
workspace = Workspace.open(root)
known = {}
start = time.perf_counter()
for key in workspace.keys:
    for target in workspace.targets(key):
        workspace.status(target, known)
print(json.dumps({"status of the root": time.perf_counter() - start}))
"""

SWEEP = """
from dynvision.stages.recorded import records as response_records
from dynvision.workspace import Workspace
from dynvision.workspace.building import build_targets
spent = [0.0]
def timed(function):
    def call(*arguments, **options):
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            spent[0] += time.perf_counter() - start
    return call
response_records.digest_files = timed(response_records.digest_files)
checked_files.CheckedFiles.check = timed(checked_files.CheckedFiles.check)
start = time.perf_counter()
config = str(Workspace.open(root).config.folder)
build_targets(["responses/contrast/rcnn_gratings"], root=root, config=config, force=True)
print(json.dumps({"total": time.perf_counter() - start, "comparing": spent[0]}))
"""


def run() -> None:
    """Time the cases in alternating rounds, print a table, and write the times as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        root = os.environ.get("DYNVISION_DEMO") or _build(Path(folder))
        times: dict[str, dict[str, list[float]]] = {}
        for number in range(ROUNDS + 1):
            for mode in ("checked", "unchecked"):
                for script in (LOAD, STATUS):
                    for name, seconds in _ask(script, root, mode).items():
                        if number:  # the first round fills the disk cache and writes the stamps
                            times.setdefault(name, {}).setdefault(mode, []).append(seconds)
        print(f"medians of {ROUNDS} alternating rounds, a new process for each\n")
        print("| case | compared, ms | not compared, ms | difference, ms | ÷ |\n| --- | --- | --- | --- | --- |")
        for name, modes in times.items():
            checked, unchecked = (1e3 * statistics.median(modes[mode]) for mode in ("checked", "unchecked"))
            print(
                f"| {name} | {checked:.1f} | {unchecked:.1f} | {checked - unchecked:+.1f} | {checked / unchecked:.2f} |"
            )
        sweep = _ask(SWEEP, root, "checked")
        share = sweep["comparing"] / sweep["total"]
        print(
            f"\na sweep of 7 conditions takes {sweep['total']:.1f} s; digesting and comparing files {share:.2%} of it"
        )
    save_results("verification", {"times": times, "sweep": sweep})


def _ask(script: str, root: str, mode: str) -> dict[str, float]:
    command = [sys.executable, "-c", PRELUDE + script, root, mode]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    numbers: dict[str, Any] = json.loads(answer.strip().splitlines()[-1])
    return numbers


def _build(root: Path) -> str:
    variables = {**os.environ, "DYNVISION_ROOT": str(root)}
    command = [sys.executable, "-m", "dynvision_assets.command_line", "demo"]
    subprocess.run(command, check=True, capture_output=True, env=variables)
    return str(root)
