"""What the source of a module imports, read from its syntax tree; nothing is run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Import", "Module", "read_module"]

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
