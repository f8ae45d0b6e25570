"""Run the tutorial's notebook and save it with what its cells print and draw, which the site shows.

    DYNVISION_ROOT=… python scripts/run_tutorial.py

`dynvision demo` must have run in that root.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "tutorial.ipynb"

KEPT = {"image/png", "text/plain"}


def main() -> None:
    """Run the notebook and write it back."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data = {mime: value for mime, value in output.data.items() if mime in KEPT}
    notebook.metadata["language_info"] = {
        "name": "python"
    }  # without the version of Python, which differs between machines
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
