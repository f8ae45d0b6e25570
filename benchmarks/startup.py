"""Start-up: what importing the definitions and asking for help cost, beside Dagster's own import."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 7

CASES = {
    "import dagster": [sys.executable, "-c", "import dagster"],
    "import dynvision_assets.definitions": [sys.executable, "-c", "import dynvision_assets.definitions"],
    "dynvision --help": [sys.executable, "-m", "dynvision_assets.command_line", "--help"],
}


def run() -> None:
    """Time the cases in alternating rounds; print a table and write it as JSON."""
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for number in range(ROUNDS + 1):
        for name, command in CASES.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if number:  # the first round fills the disk cache
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    peer = medians["import dagster"]
    print(f"start-up, median of {ROUNDS} alternating rounds\n")
    print("| case | seconds | × import dagster |\n| --- | --- | --- |")
    for name, median in medians.items():
        print(f"| `{name}` | {median:.2f} | {median / peer:.2f} |")
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "startup.json").write_text(json.dumps(times, indent=1))
