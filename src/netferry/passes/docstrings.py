"""Docstrings of what has lost arguments: they no longer describe these."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Mapping

from netferry.pivot.program import Program
from netferry.walking import walk

_ENTRY = re.compile(r"(\s+)[`*]*(\w+)[`*]*(?:\s*\([^()]*\))?\s*:(?:\s|$)")
_SECTION = re.compile(r"\s*(?:Args|Arguments|Parameters)\s*:\s*$")


def prune(node: ast.ClassDef | ast.FunctionDef, gone: Collection[str]) -> None:
    """Leave out the entries of arguments that are gone from a docstring's list of arguments."""
    text = ast.get_docstring(node, clean=False)
    first = node.body[0]
    if text is None or not gone or not isinstance(first, ast.Expr):
        return
    lines = _pruned(text.split("\n"), gone)
    if "\n".join(lines) != text:
        node.body[0] = ast.copy_location(ast.Expr(ast.Constant("\n".join(lines))), first)


def prune_shared(program: Program, before: Mapping[str, Collection[str]]) -> None:
    """Likewise in texts that become docstrings (``Net.__doc__ = TEXT.format(...)``); ``before``: the arguments once taken."""
    taken = {
        n.name: _arguments(n) for d in program.definitions if isinstance(n := d.node, ast.ClassDef | ast.FunctionDef)
    }
    gone: dict[str, set[str]] = {}
    for definition in program.definitions:
        match definition.node:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=owner), attr="__doc__")], value=value):
                lost = set(before.get(owner, ())) - taken.get(owner, set())
                for name in (n.id for n in walk(value) if isinstance(n, ast.Name)):
                    gone[name] = gone.get(name, lost) & lost
    for definition in program.definitions:
        match definition.node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))) if gone.get(name):
                made = "\n".join(_pruned(text.split("\n"), gone[name]))
                if made != text:
                    definition.node = ast.Assign(definition.node.targets, ast.Constant(made))


def _arguments(node: ast.ClassDef | ast.FunctionDef) -> set[str]:
    """What a function, or a class's constructor and forward pass, take."""
    functions = (
        [node] if isinstance(node, ast.FunctionDef) else [s for s in node.body if isinstance(s, ast.FunctionDef)]
    )
    return {a.arg for f in functions for a in walk(f.args) if isinstance(a, ast.arg)}


def _pruned(lines: list[str], gone: Collection[str]) -> list[str]:
    start = next((i for i, line in enumerate(lines) if _SECTION.match(line)), None)
    if start is None:
        return lines
    outer = _indent(lines[start])
    end = next((i for i in range(start + 1, len(lines)) if lines[i].strip() and _indent(lines[i]) <= outer), len(lines))
    kept: list[str] = []
    dropping = False
    width = _indent(lines[start + 1]) if start + 1 < end else 0
    for line in lines[start + 1 : end]:
        entry = _ENTRY.match(line)
        if entry and len(entry[1]) == width:
            dropping = entry[2] in gone
        if not dropping or not line.strip():
            kept.append(line)
    if any(line.strip() for line in kept):
        return [*lines[: start + 1], *kept, *lines[end:]]
    return [*lines[:start], *lines[end:]]


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
