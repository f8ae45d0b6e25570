"""The numbers of a benchmark, as a JSON file in `benchmarks/results/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def save_results(name: str, content: Any) -> None:
    """Write `benchmarks/results/<name>.json`."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1))
