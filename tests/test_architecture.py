"""The floors of the house: an import goes down, never up, and never round in a circle.

Imports inside functions and under `TYPE_CHECKING` count like any other.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from dynvision.stages.registry import STAGE_NAMES, STAGES

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = ("dynvision", "dynvision_assets")
MOST_MODULES = 22

FLOORS: tuple[tuple[str, ...], ...] = (
    ("dynvision.errors",),
    ("dynvision.keys",),
    ("dynvision.targets",),
    ("dynvision.paths", "dynvision.reserved_names", "dynvision.roots"),
    ("dynvision.system",),
    ("dynvision.films",),
    ("dynvision.stimuli",),
    ("dynvision.engines",),
    ("dynvision.records",),
    ("dynvision.config",),
    ("dynvision.data",),
    ("dynvision.models",),
    ("dynvision.experiments",),
    ("dynvision.analysis", "dynvision.exports"),
    ("dynvision.reports",),
    ("dynvision.stages",),
    ("dynvision.workspace",),
    ("dynvision_assets",),
)
"""The rooms from the ground up; those in one line stand side by side and do not import each other."""

HEAVY = frozenset(
    {
        *(
            "PIL",
            "cv2",
            "dagster",
            "dask",
            "dask_jobqueue",
            "distributed",
            "ffcv",
            "h5netcdf",
            "h5py",
            "jinja2",
            "lightning",
            "matplotlib",
            "numba",
            "numpy",
            "pandas",
            "psutil",
        ),
        *(
            "pyarrow",
            "pydantic",
            "safetensors",
            "scipy",
            "tensorstore",
            "torch",
            "torchvision",
            "tqdm",
            "xarray",
            "yaml",
        ),
        *("h5netcdf", "h5py", "zarr"),
    }
)
"""Libraries whose import takes long enough to wait with it until it is needed."""

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
        for imported, line in imports_of(parse(path.read_text())):
            target = own_module(imported, files)
            if target is not None and target != name:
                found.setdefault(target, line)
    return graph


def own_module(imported: str, files: Mapping[str, Path]) -> str | None:
    """Our module that an import names: itself, or as that of one of its parts; `None` for a library."""
    return next((name for name in (imported, imported.rpartition(".")[0]) if name in files), None)


@cache
def parse(text: str) -> ast.Module:
    """The syntax tree of a file, read once for all tests."""
    for _ in range(5):
        # Python 3.11 counts the depth of all trees that are made at the same time together. Another thread, which for
        # example prints a traceback, then makes a SystemError of this one.
        with contextlib.suppress(SystemError):
            return ast.parse(text)
    return ast.parse(text)


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


def find_light_inside_functions(top: Path) -> list[str]:
    """The imports inside functions of our own modules that load no heavy library: they save no time there."""
    files = {module_name(path, top): path for package in PACKAGES for path in (top / package).rglob("*.py")}
    trees = {name: parse(path.read_text()) for name, path in files.items()}
    loads = {name: {n for n, _ in imports_of(ast.Module(_outside_functions(tree), []))} for name, tree in trees.items()}

    heavy = {name for name, imported in loads.items() if any(i.partition(".")[0] in HEAVY for i in imported)}
    while more := {n for n, i in loads.items() if n not in heavy and heavy & {own_module(x, files) for x in i}}:
        heavy |= more
    found = []
    for name, tree in trees.items():
        inside = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
        for imported, line in {entry for node in inside for entry in imports_of(node)}:
            target = own_module(imported, files)
            # A program's first module catches imports that fail.
            if target is not None and target not in heavy and not name.endswith("__main__"):
                found.append(f"{name}, line {line}: {target} loads nothing heavy; import it at the top")
    return sorted(found)


def _outside_functions(tree: ast.Module) -> list[ast.stmt]:
    """The statements of a module that run when it is imported, without those for type checkers."""
    pending, found = list(tree.body), []
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, (ast.ClassDef, ast.If, ast.Try, ast.With)):
            pending += node.body
        found += [node] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
    return found


def find_questions_about_stages(tree: ast.AST) -> list[int]:
    """The lines that compare something with a stage's name, look a stage up by its name, or ask for its class."""
    classes = {stage.__name__ for stage in STAGES}
    lines = []
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            is_mode = any(re.search(r"\bmode\b|_mode\b", ast.unparse(side)) for side in sides)
            parts = [] if is_mode else sides  # `raw` is a write mode, too
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("stages"):
            parts = [node.slice]
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            parts = [key for key in node.value.keys if key is not None]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("stages.get"):
            parts = node.args
        if isinstance(node, ast.Compare) or (
            isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("isinstance", "issubclass", "stages.of"))
        ):
            lines += [node.lineno for name in ast.walk(node) if isinstance(name, ast.Name) and name.id in classes]
        constants = [c for part in parts for c in ast.walk(part) if isinstance(c, ast.Constant)]
        lines += [node.lineno for constant in constants if constant.value in STAGE_NAMES]
    return sorted(set(lines))


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


def test_an_import_inside_a_function_saves_time_at_the_start() -> None:
    assert find_light_inside_functions(PROJECT) == []


def test_only_the_stages_know_which_stages_there_are() -> None:
    rooms = [path for package in PACKAGES for path in (PROJECT / package).rglob("*.py")]
    outside = [path for path in rooms if path.parent != PROJECT / "dynvision/stages"]
    found = {str(path.relative_to(PROJECT)): find_questions_about_stages(parse(path.read_text())) for path in outside}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "is_last = target.stage == 'summary'",
        "if key[0] in ('raw', 'interim'): pass",
        "stage = workspace.stages['responses']",
        "assert isinstance(stage, (int, RawStage))",
        "if target.stage == 'models': pass",
        "if key[0] in ('models', 'raw'): pass",
        "stage = stages.get('raw')",
        "folder = {'raw': 1}[target.stage]",
        "if stage.name == RawStage.name: pass",
        "if type(stage) is RawStage: pass",
        "if issubclass(stage, RawStage): pass",
        "stage = stages.of(RawStage)",
    ],
)
def test_a_question_about_a_stage_is_found(line: str) -> None:
    assert find_questions_about_stages(ast.parse(line)) == [1]


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
