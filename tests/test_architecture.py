"""The floors of the house: an import goes down, never up, and never round in a circle.

Imports inside functions and under `TYPE_CHECKING` count like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("dynvision", "dynvision_assets")
MOST_MODULES = 22

FLOORS: tuple[tuple[str, ...], ...] = (
    ("dynvision.errors",),
    ("dynvision.keys",),
    ("dynvision.targets",),
    ("dynvision.paths",),
    ("dynvision.stimuli", "dynvision.system"),
    ("dynvision.records",),
    ("dynvision.config",),
    ("dynvision.data",),
    ("dynvision.models",),
    ("dynvision.experiments",),
    ("dynvision.analysis",),
    ("dynvision.stages",),
    ("dynvision.workspace",),
    ("dynvision_assets",),
)
"""The rooms from the ground up; those in one line stand side by side and do not import each other."""

Graph = Mapping[str, Mapping[str, int]]
"""For each module the modules that it imports, each with a line where it does."""


def module_name(path: Path, top: Path) -> str:
    """The dotted name of a file."""
    parts = path.relative_to(top).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_graph(top: Path) -> dict[str, dict[str, int]]:
    """Read which modules of the packages below `top` import which, also inside functions."""
    files = {module_name(path, top): path for package in PACKAGES for path in (top / package).rglob("*.py")}
    graph: dict[str, dict[str, int]] = {}
    for name, path in files.items():
        found = graph.setdefault(name, {})
        for imported, line in imports_of(ast.parse(path.read_text())):
            # `from package import module` names a module; `from module import function` a part of one.
            target = next((t for t in (imported, imported.rpartition(".")[0]) if t in files), None)
            if target is not None and target != name:
                found.setdefault(target, line)
    return graph


def imports_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a syntax tree imports, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def floor_of(module: str) -> int | None:
    """The floor of a module; `None` for the package itself."""
    for number, rooms in enumerate(FLOORS):
        if any(module == room or module.startswith(f"{room}.") for room in rooms):
            return number
    return None


def room_of(module: str) -> str | None:
    """The room of a module."""
    floor = floor_of(module)
    rooms = () if floor is None else FLOORS[floor]
    return next((room for room in rooms if module == room or module.startswith(f"{room}.")), None)


def find_upward(graph: Graph) -> list[str]:
    """The imports that do not go down: to a higher floor, or to another room of the same one."""
    wrong = []
    for name, imported in graph.items():
        own = floor_of(name)
        for target, line in imported.items():
            other = floor_of(target)
            if own is None or other is None:
                continue
            if other > own or (other == own and room_of(name) != room_of(target)):
                wrong.append(f"{name}, line {line}: imports {target}, which is not below it")
    return wrong


def find_circles(graph: Mapping[str, object]) -> list[list[str]]:
    """The groups of nodes that can all reach each other: the strongly connected components (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for following in graph.get(node, ()):  # type: ignore[attr-defined]
            if following not in index:
                visit(following)
                low[node] = min(low[node], low[following])
            elif following in stack:
                low[node] = min(low[node], index[following])
        if low[node] == index[node]:
            group = [stack.pop()]
            while group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def group_by_folder(graph: Graph, top: Path) -> dict[str, set[str]]:
    """The same graph between folders. What lies directly in a folder is that folder, without those below it."""

    def folder(module: str) -> str:
        return module if (top / Path(*module.split("."))).is_dir() else module.rpartition(".")[0]

    folders: dict[str, set[str]] = {}
    for name, imported in graph.items():
        own = folders.setdefault(folder(name), set())
        own |= {folder(target) for target in imported} - {folder(name)}
    return folders


@pytest.fixture(scope="module")
def graph() -> Graph:
    return read_graph(PROJECT)


def test_every_module_has_a_floor(graph: Graph) -> None:
    assert [name for name in graph if floor_of(name) is None] == ["dynvision"]


def test_every_import_goes_down(graph: Graph) -> None:
    assert find_upward(graph) == []


def test_no_circle_between_files(graph: Graph) -> None:
    assert find_circles(graph) == []


def test_no_circle_between_folders(graph: Graph) -> None:
    # The ground floor's files lie in the package's own folder and are below every room.
    assert find_circles(group_by_folder({n: i for n, i in graph.items() if n.count(".") > 1}, PROJECT)) == []


def test_no_folder_holds_more_modules_than_one_can_look_over() -> None:
    folders = {path.parent for package in PACKAGES for path in (PROJECT / package).rglob("*.py")}
    crowded = {folder.name: len(list(folder.glob("*.py"))) for folder in folders}
    assert {name: count for name, count in crowded.items() if count > MOST_MODULES + 1} == {}  # and __init__.py


def test_a_planted_upward_import_is_found(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    for room in ("config", "stages"):
        (tmp_path / "dynvision" / room).mkdir()
    (tmp_path / "dynvision/stages/raw.py").write_text("from dynvision.config import data\n")
    (tmp_path / "dynvision/config/data.py").write_text("x = 1\n")
    assert find_upward(read_graph(tmp_path)) == []
    hidden = "def look():\n    if True:\n        from dynvision.stages.raw import RawStage\n"
    (tmp_path / "dynvision/config/data.py").write_text(hidden)
    found = read_graph(tmp_path)
    assert find_upward(found) == ["dynvision.config.data, line 3: imports dynvision.stages.raw, which is not below it"]
    assert find_circles(found) == [["dynvision.config.data", "dynvision.stages.raw"]]
    assert find_circles(group_by_folder(found, tmp_path)) == [["dynvision.config", "dynvision.stages"]]
