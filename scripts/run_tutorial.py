"""Run the tutorial's notebook on the root in $DYNVISION_ROOT and keep what its cells print and draw.

    DYNVISION_ROOT=… python scripts/run_tutorial.py

The site shows these outputs; the root is one on which `dynvision demo` has run.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "tutorial.ipynb"

KEPT = {"image/png", "text/plain"}


def main() -> None:
    """Run it and write it back."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data = {kind: value for kind, value in output.data.items() if kind in KEPT}
    notebook.metadata["language_info"] = {"name": "python"}  # not which version it was
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
