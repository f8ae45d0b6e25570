"""Imports: what the source of a module imports, read from its syntax tree, and why an import of a class failed."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from dynvision.errors import nearest_name

__all__ = ["Import", "Module", "explain_import", "read_module"]

_FUNCTIONS = frozenset({"import_module", "__import__"})
"""The functions that import by name."""


@dataclass(frozen=True)
class Import:
    """One import.

    Attributes:
        module: The dotted name; empty for `from . import name`.
        names: What is taken from it: names or modules. `*` is everything.
        level: How many dots stand before the name.
    """

    module: str
    names: tuple[str, ...] = ()
    level: int = 0


@dataclass(frozen=True)
class Module:
    """What the source of a module says.

    Attributes:
        imports: Every import, also those inside functions, under conditions and for type checkers.
        exports: The names in `__all__`; `None` if they are not all written out.
        is_empty: Whether there is nothing but comments and a docstring.
    """

    imports: tuple[Import, ...] = ()
    exports: tuple[str, ...] | None = ()
    is_empty: bool = False


def read_module(source: bytes) -> Module:
    """Read the source of a module. One that is no Python is taken to import nothing."""
    try:
        with warnings.catch_warnings():  # about escape sequences in the user's texts
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        nodes = list(ast.walk(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Module()
    functions = _FUNCTIONS | _list_aliases(nodes)
    imports = [found for node in nodes for found in _read_node(node, functions)]
    is_empty = all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body)
    return Module(tuple(dict.fromkeys(imports)), _read_exports(nodes), is_empty)


def explain_import(path: str, error: Exception) -> str:
    """Say why an import failed: there is no such module, or it has no such name.

    Args:
        path: The import path, `module:Name`.
        error: What `pkgutil.resolve_name` raised for it.

    Returns:
        Sentences for the end of an error message.
    """
    module, colon, name = path.partition(":")
    absent = error.name if isinstance(error, ModuleNotFoundError) else None
    if absent and f"{module}.".startswith(f"{absent}."):
        near = difflib.get_close_matches(absent, _list_siblings(absent), 1, 0.7)
        advice = f" Did you mean '{near[0]}'?" if near else ""
        return (
            f"there is no module '{absent}'.{advice} Modules are looked for in the root folder, and among installed "
            "packages."
        )
    if absent:
        return f"the module '{module}' imports '{absent}', which is not installed."
    loaded = sys.modules.get(module)
    if isinstance(error, AttributeError) and loaded is not None and name:
        return f"the module '{module}' has no '{name}'. {nearest_name(name, _list_names(loaded))}"
    form = "" if colon else " Write it as module:Class."
    return f"{str(error).rstrip('.') or type(error).__name__}.{form}"


def _list_siblings(module: str) -> list[str]:
    """List the modules beside one that does not exist, with their packages."""
    package, dot, _ = module.rpartition(".")
    spec = importlib.util.find_spec(package) if package else None
    places = spec.submodule_search_locations if spec else None
    return [f"{package}{dot}{found.name}" for found in pkgutil.iter_modules(places if package else None)]


def _list_names(module: ModuleType) -> list[str]:
    """List what a module offers: what `__all__` says, otherwise the classes and functions that are its own."""
    exported = getattr(module, "__all__", None)
    if exported is not None:
        return [str(name) for name in exported]
    public = {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}
    own = [name for name, value in public.items() if getattr(value, "__module__", None) == module.__name__]
    return own or list(public)


def _list_aliases(nodes: list[ast.AST]) -> set[str]:
    """List other names under which a function that imports is known: `from importlib import import_module as load`."""
    return {
        alias.asname
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname and alias.name in _FUNCTIONS
    }


def _read_node(node: ast.AST, functions: frozenset[str]) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield Import(node.module or "", tuple(alias.name for alias in node.names), node.level)
    elif isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if called in functions:
            yield from _read_call(node)


def _read_call(call: ast.Call) -> Iterator[Import]:
    """Read a call of `import_module` or `__import__`, if the name is written out."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    name = _text(call.args[0] if call.args else given.get("name"))
    if name is None:
        return
    relative = name.lstrip(".")
    level = len(name) - len(relative)
    package = _text(call.args[1] if len(call.args) == 2 else given.get("package"))
    if level and package is not None:  # relative to a package that is written out
        parts = package.split(".")
        relative = ".".join([*parts[: len(parts) - level + 1], *([relative] if relative else [])])
        level = 0
    names = call.args[3] if len(call.args) > 3 else given.get("fromlist")
    stated = call.args[4] if len(call.args) > 4 else given.get("level")
    if isinstance(stated, ast.Constant) and isinstance(stated.value, int):
        level = max(level, stated.value)
    yield Import(relative, tuple(_texts(names) or ()), level)


def _read_exports(nodes: list[ast.AST]) -> tuple[str, ...] | None:
    """Read the names in `__all__`, over all assignments to it."""
    names: list[str] = []
    for node in nodes:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            continue
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            texts = _texts(node.value)
            if texts is None:
                return None
            names += texts
    return tuple(names)


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _texts(node: ast.expr | None) -> list[str] | None:
    """Return the texts of a list or tuple; `None` if it has anything else in it."""
    if not isinstance(node, (ast.List, ast.Tuple)):
        return None
    texts = [_text(element) for element in node.elts]
    return None if None in texts else [text for text in texts if text is not None]
