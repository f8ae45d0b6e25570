"""Start-up: how long it takes to import, print the help, make one trivial partition and load a large configuration.

Each case runs in its own process. The peers are `import dagster` and `dagster asset materialize` of an asset that does
nothing.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.large_config import write_large_config
from benchmarks.results import save_results

ROUNDS = 7

EMPTY_ASSET = """
import dagster as dg

@dg.asset
def nothing() -> None:
    pass

defs = dg.Definitions(assets=[nothing], executor=dg.in_process_executor)
"""

SMALL_CONFIG = {
    "config_data.yaml": "data_resolution: {gratings: 8}\ngratings: {orientations: 2, test_per_class: 1}\n",
    "config_models.yaml": "models: {}\n",
    "config_experiments.yaml": "subjects: {}\nexperiment_config: {}\n",
}

LOAD = "import dynvision_assets.definitions as d; d.defs.get_repository_def()"
DYNVISION = [sys.executable, "-m", "dynvision_assets.command_line"]
DAGSTER = [sys.executable, "-m", "dagster", "asset", "materialize", "-f"]

IMPORT, MATERIALIZE = "import dagster", "dagster asset materialize, an empty asset"


def run() -> None:
    """Time the cases in alternating rounds, print a table, and write the times as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        cases = _prepare(Path(folder))
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for number in range(ROUNDS + 1):
            for name, (command, variables, _) in cases.items():
                spent = _time(command, variables, folder)
                if number:  # the first round fills the disk cache
                    times[name].append(spent)
    wall, cpu = ({n: statistics.median(v[i] for v in values) for n, values in times.items()} for i in (0, 1))
    print(f"start-up, medians of {ROUNDS} alternating rounds, a process for each; on a shared machine trust CPU\n")
    print("| case | seconds | CPU seconds | ÷ peer | CPU ÷ peer | peer |\n| --- | --- | --- | --- | --- | --- |")
    for name in cases:
        peer = cases[name][2]
        ratios = f"{wall[name] / wall[peer]:.2f} | {cpu[name] / cpu[peer]:.2f}" if peer else " | "
        print(f"| {name} | {wall[name]:.2f} | {cpu[name]:.2f} | {ratios} | {peer} |")
    save_results("startup", times)


def _time(command: list[str], variables: dict[str, str], folder: str) -> tuple[float, float]:
    """Run a command; return its wall-clock and CPU seconds, including those of the processes that it starts."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=variables, cwd=folder)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _prepare(folder: Path) -> dict[str, tuple[list[str], dict[str, str], str]]:
    """Write the configurations and return the cases: the command, its environment, and the name of its peer."""
    small, large, home = folder / "small", folder / "large", folder / "home"
    (small / "config").mkdir(parents=True)
    for name, text in SMALL_CONFIG.items():
        (small / "config" / name).write_text(text)
    write_large_config(large / "config")
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    empty = folder / "empty_asset.py"
    empty.write_text(EMPTY_ASSET)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DAGSTER_", "DYNVISION_"))}
    path = os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")])

    def at(root: Path, dagster_home: Path) -> dict[str, str]:
        return {**kept, "PYTHONPATH": path, "DYNVISION_ROOT": str(root), "DAGSTER_HOME": str(dagster_home)}

    python = [sys.executable, "-c"]
    trivial = [*DYNVISION, "make", "--force", "raw/gratings:test"]
    return {
        IMPORT: ([*python, "import dagster"], at(small, home), ""),
        "import dynvision_assets.definitions": (
            [*python, "import dynvision_assets.definitions"],
            at(small, home),
            IMPORT,
        ),
        "dynvision --help": ([*DYNVISION, "--help"], at(small, home), IMPORT),
        MATERIALIZE: ([*DAGSTER, str(empty), "--select", "nothing"], at(small, home), ""),
        "dynvision make, one partition of two images": (trivial, at(small, small / ".dagster"), MATERIALIZE),
        "definitions of 20 datasets × 5 groups × 50 subjects × 10 experiments": (
            [*python, LOAD],
            at(large, home),
            IMPORT,
        ),
    }
