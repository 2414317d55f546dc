"""Reads the imports of a package from its source, without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One module named by one import statement.

    Attributes
    ----------
    module
        Dotted name of the module that is imported: of the package under test resolved to an existing module, otherwise
        as written.
    line
        Line of the statement.
    eager
        Whether the import runs when the file is imported: neither inside a function nor for type checking alone.
    """

    module: str
    line: int
    eager: bool


@dataclass(frozen=True)
class Module:
    """One source file of the package."""

    name: str
    file: Path
    imports: tuple[Import, ...]


def read_package(folder: Path) -> dict[str, Module]:
    """Return every module below `folder`, the package's own folder, by dotted name."""
    files = {module_name(folder, file): file for file in sorted(folder.rglob("*.py"))}
    return {name: Module(name, file, tuple(_imports(name, file, set(files)))) for name, file in files.items()}


def module_name(folder: Path, file: Path) -> str:
    """Return the dotted name of `file` in the package at `folder`."""
    parts = file.relative_to(folder.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def eager_closure(modules: dict[str, Module], roots: list[str]) -> dict[str, tuple[str, ...]]:
    """Return every module, own or foreign, that importing `roots` imports, with the chain of own modules to it.

    Importing ``a.b.c`` runs ``a`` and ``a.b`` first, so parents are followed too.
    """
    chains: dict[str, tuple[str, ...]] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [(root, ()) for root in roots]
    while waiting:
        name, chain = waiting.pop(0)
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):
            part = ".".join(parts[:depth])
            if part in chains:
                continue
            chains[part] = (*chain, part)
            if part in modules:
                waiting.extend((found.module, chains[part]) for found in modules[part].imports if found.eager)
    return chains


def _imports(name: str, file: Path, known: set[str]) -> Iterator[Import]:
    tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node, eager in _walk(tree, eager=True):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, eager) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(package, node.level, node.module)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                named = inner in known or (alias.name == "__version__" and base in known)
                yield Import(inner if named else base, node.lineno, eager)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__") and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                level = len(first.value) - len(first.value.lstrip("."))
                yield Import(_absolute(package, level, first.value.lstrip(".")), node.lineno, eager)


def _walk(node: ast.AST, *, eager: bool) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node below `node` with whether it runs on import (a class body does, a function body does not)."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.body:
                yield part, False
                yield from _walk(part, eager=False)
            for part in child.orelse:
                yield part, eager
                yield from _walk(part, eager=eager)
            continue
        yield child, eager
        inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from _walk(child, eager=eager and not inside)


def _absolute(package: str, level: int, module: str | None) -> str:
    if not level:
        return module or ""
    parts = package.split(".")
    base = parts[: len(parts) - level + 1]
    return ".".join([*base, *([module] if module else [])])


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""
