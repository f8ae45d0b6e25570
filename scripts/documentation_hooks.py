"""Pages that `mkdocs build` makes: the tutorial from its notebook, and the help of every command."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

__all__ = ["on_files", "on_page_markdown", "render_commands", "render_notebook"]

NOTEBOOK = "tutorial.ipynb"
COMMANDS = "<!-- commands -->"


def on_files(files: Files, config: Any) -> Files:
    """Add a page with the content of the notebook, and its pictures as files."""
    notebook = files.get_file_from_path(NOTEBOOK)
    if notebook is None:
        raise FileNotFoundError(f"docs/{NOTEBOOK} does not exist")
    text, pictures = render_notebook(Path(str(notebook.abs_src_path)).read_text(encoding="utf-8"))
    files.append(File.generated(config, NOTEBOOK.replace(".ipynb", ".md"), content=text))
    for name, content in pictures.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark for the commands with the help of each."""
    return markdown.replace(COMMANDS, render_commands()) if COMMANDS in markdown else markdown


def render_notebook(notebook: str) -> tuple[str, dict[str, bytes]]:
    """Turn a notebook into Markdown.

    Args:
        notebook: The notebook's JSON.

    Returns:
        The Markdown, and the PNG pictures that the cells drew, by their paths in the site.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for number, cell in enumerate(json.loads(notebook)["cells"]):
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"pictures/tutorial-{number}.png"
                pictures[name] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![what the cell drew]({name})")
            elif text := "".join(output.get("text", data.get("text/plain", []))).rstrip():
                parts.append(f"```text\n{text}\n```")
    return "\n\n".join(parts) + "\n", pictures


def render_commands() -> str:
    """Return the help of every command as Markdown, as `--help` prints it."""
    from dynvision_assets.command_line import main

    parts = []
    for name in ("", *main.commands):
        command = main.commands[name] if name else main
        path = f"dynvision {name}".strip()
        text = command.get_help(click.Context(command, info_name=path, terminal_width=100, max_content_width=100))
        parts.append(f"## {path}\n\n```text\n{text}\n```")
    return "\n\n".join(parts)
