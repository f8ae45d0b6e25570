"""The peers that this project is compared with, each installed in its own folder and run in its own process."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "peers"

DYNVISION = "dynvision==0.1.0"
"""The package of the Snakemake workflow. It has the same import name as this library, so the two are never installed
together."""
DYNVISION_NEEDS = ("seaborn==0.13.2",)
"""What the loaders of DynVision import in addition to our own requirements; installed in the same folder."""


def install_dynvision() -> Path:
    """Install DynVision 0.1.0 into its own folder, unless it is already installed; return the folder."""
    folder = FOLDER / DYNVISION.replace("==", "-")
    if not (folder / ".complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        if importlib.util.find_spec("pip"):
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        else:
            command = ["uv", "pip", "install", "--quiet", "--python", sys.executable]
        subprocess.run([*command, "--no-deps", "--target", str(folder), DYNVISION, *DYNVISION_NEEDS], check=True)
        (folder / ".complete").touch()
    return folder


class Worker:
    """A process that measures one implementation: each line of JSON on its standard input is a case.

    Args:
        script: The script that the process runs.
        name: The implementation, which is the argument of the script.
        path: A folder for the process to import packages from first.
    """

    def __init__(self, script: Path, name: str, path: Path | None = None) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        if path is not None:
            environment["PYTHONPATH"] = str(path)
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(script), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.imports: dict[str, str] = self._answer()

    def ask(self, **question: Any) -> dict[str, Any]:
        """Send a case and wait for its numbers."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise RuntimeError(f"the worker '{self.name}' stopped with exit code {self.process.wait()}; see above")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
