"""What cannot be translated, as clear failures in the code that is written."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterable
from typing import Any

from netferry.pivot.nodes import Hole, constant
from netferry.pivot.render import Renderer
from netferry.walking import Transformer, walk

_PARAMETERS: dict[str, Any] = {"type_params": []} if "type_params" in ast.FunctionDef._fields else {}
"""What function definitions have beside, from Python 3.12 on."""


def raise_for_holes(statement: ast.stmt, original: str) -> list[ast.stmt] | None:
    """A statement with a hole in it becomes its source as a comment and ``raise NotImplementedError``."""
    hole = next((n for n in walk(statement) if isinstance(n, Hole)), None)
    if hole is None:
        return None
    text = f"{hole.reason}: {hole.hint}" if hole.code else hole.reason
    message = ast.Call(ast.Name("NotImplementedError", ast.Load()), [constant(text)], [])
    made = ast.Raise(message, None)
    made.nf_comment = _commented(original)  # type: ignore[attr-defined]
    last: ast.stmt = made
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=arguments)):
            # Only a call of the function shall fail, not its definition.
            last = ast.FunctionDef(name, arguments, [made], [], **_PARAMETERS)
    last.nf_replaces = getattr(statement, "nf_replaces", statement)  # type: ignore[attr-defined]
    return [last]


def _commented(text: str) -> str:
    """Source text as a comment, its own indentation kept."""
    if not text.strip():
        return ""
    first, _, rest = text.partition("\n")
    return "\n".join("# " + line for line in [first, *textwrap.dedent(rest).splitlines()]) if rest else f"# {first}"


class Holes(Transformer):
    """Turns statements that contain holes into clear failures; compound ones keep their bodies."""

    def __init__(self, renderer: Renderer) -> None:
        self.renderer = renderer

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.stmt):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                _fail_undecorated(node)
                self.generic_visit(node)
                _without_defaults(node)
                return node
            header = _header_nodes(node)
            hole = next((n for h in header for n in walk(h) if isinstance(n, Hole)), None)
            if hole is not None:
                return raise_for_holes(node, source_text(node))
        return super().generic_visit(node)


def _fail_undecorated(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """A function whose decorator cannot be translated fails when it is called."""
    hole = next((n for d in node.decorator_list for n in walk(d) if isinstance(n, Hole)), None)
    if hole is None:
        return
    node.decorator_list = [d for d in node.decorator_list if not any(isinstance(n, Hole) for n in walk(d))]
    if not isinstance(node, ast.ClassDef):
        message = ast.Call(ast.Name("NotImplementedError", ast.Load()), [constant(hole.reason)], [])
        after = int(ast.get_docstring(node, clean=False) is not None)
        node.body = [*node.body[:after], ast.Raise(message, None)]


def _without_defaults(node: ast.stmt) -> None:
    """A default that cannot be translated is none: the places that read it fail, not the definition."""
    if isinstance(node, ast.ClassDef):
        return
    arguments: ast.arguments = node.args  # type: ignore[attr-defined]
    for defaults in (arguments.defaults, arguments.kw_defaults):
        for index, default in enumerate(defaults):
            if default is not None and any(isinstance(n, Hole) for n in walk(default)):
                defaults[index] = ast.Constant(None)


def _header_nodes(node: ast.stmt) -> Iterable[ast.AST]:
    for _, value in ast.iter_fields(node):
        items = value if isinstance(value, list) else [value]
        for item in items:
            if isinstance(item, ast.AST) and not isinstance(item, ast.stmt | ast.excepthandler | ast.match_case):
                yield item


def source_text(node: ast.stmt) -> str:
    """The text a statement had in the source."""
    original = getattr(node, "nf_replaces", node)
    memory = getattr(original, "nf_memory", None)
    return memory.source.slice(memory.start, memory.end) if memory else ""
