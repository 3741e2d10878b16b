"""Lines of code, counted alike on both sides: what the network needs of its source, and what was generated.

Counted are the physical lines of top-level statements, from the comments directly above to the last line (docstrings,
comments and blank lines inside included), and the lines of the imports that these statements use.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any


def count(text: str) -> int:
    """The lines of the statements of a file.

    >>> count('import math\\n\\n\\n# Doubles.\\ndef f(x):\\n    return 2 * x\\n')
    4
    """
    lines = text.splitlines()
    return sum(_last(node) - _first(node, lines) + 1 for node in ast.parse(text).body)


def lines_in(migration: Any) -> int:
    """The lines of the source definitions that a migration reached, and of the imports that they use."""
    spans: dict[str, set[tuple[int, int]]] = {}
    names: dict[str, set[str]] = {}
    for definition in migration.reading.program.definitions:
        file = migration.reading.project.file(definition.module)
        node = getattr(definition.node, "nf_replaces", definition.node)
        spans.setdefault(definition.module, set()).add((_first(node, file.lines), _last(node)))
    for module, found in spans.items():
        lines = migration.reading.project.file(module).lines
        text = "\n".join(line for first, last in found for line in lines[first - 1 : last])
        names[module] = _words(text)
    return sum(
        sum(last - first + 1 for first, last in found)
        + _imports(migration.reading.project.file(module).tree, names[module])
        for module, found in spans.items()
    )


def _imports(tree: ast.Module, names: Iterable[str]) -> int:
    """The lines of the top-level imports that bind one of the names; a project's own imports bring no code."""
    wanted = set(names)
    found = 0
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0):
            bound = {alias.asname or alias.name.split(".")[0] for alias in node.names}
            found += _last(node) - node.lineno + 1 if bound & wanted else 0
    return found


def _words(text: str) -> set[str]:
    tree = ast.parse(text)
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _first(node: ast.stmt, lines: list[str]) -> int:
    """The first line of a statement: of its decorators, or of the comments directly above."""
    first: int = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    while first > 1 and lines[first - 2].startswith("#"):
        first -= 1
    return first


def _last(node: ast.stmt) -> int:
    return int(node.end_lineno or node.lineno)
