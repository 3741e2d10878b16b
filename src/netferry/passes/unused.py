"""Drops functions that nothing calls any more and that could not be translated either.

A function of the source that initialises layers by arithmetic is read like all others; once its calls are gone, what
it could not say concerns nobody.
"""

from __future__ import annotations

import ast

from netferry.pivot.nodes import Hole
from netferry.pivot.program import Program
from netferry.walking import walk


def drop(program: Program) -> None:
    """Remove such functions, and then those that only they called."""
    candidates = _leading_to_holes(program)
    while True:
        gone = [d for d in program.definitions if _is_gone(program, d.node, candidates)]
        if not gone:
            return
        for definition in gone:
            candidates |= _read(definition.node)
            lost = {id(n) for n in walk(definition.node)}
            program.holes = [h for h in program.holes if id(h) not in lost]
        program.definitions = [d for d in program.definitions if d not in gone]


def _leading_to_holes(program: Program) -> set[str]:
    """The functions that could not be translated, and those that use them."""
    functions = [d.node for d in program.definitions if isinstance(d.node, ast.FunctionDef)]
    found = {f.name for f in functions if any(isinstance(n, Hole) for n in walk(f))}
    while more := {f.name for f in functions if f.name not in found and _read(f) & found}:
        found |= more
    return found


def _is_gone(program: Program, node: ast.stmt, candidates: set[str]) -> bool:
    if not isinstance(node, ast.FunctionDef) or node.decorator_list or node.name == program.entry:
        return False
    if node.name not in candidates:
        return False
    others = [d.node for d in program.definitions if d.node is not node]
    return not any(node.name in _read(other) for other in [*others, program.construction])


def _read(tree: ast.AST) -> set[str]:
    """The names that a tree reads, those in texts included."""
    found: set[str] = set()
    for node in walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found
