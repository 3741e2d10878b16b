"""Hands masks to the user's layers by keyword.

Keras fills an argument ``mask``, or ``a_mask`` beside an argument ``a``, of its own accord where it is None, and fails
where that None was given by position.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from netferry.pivot.program import Program


def by_keyword(program: Program) -> None:
    """Give masks, and what stands behind them, by keyword wherever a layer of the user's is called."""
    classes = {node.name: node for node in program.classes()}
    for definition in program.definitions:
        _ByKeyword(program, classes).visit(definition.node)


class _ByKeyword(ast.NodeVisitor):
    def __init__(self, program: Program, classes: Mapping[str, ast.ClassDef]) -> None:
        self.callees = getattr(program.facts, "callees", {})
        self.classes = classes

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        if any(isinstance(a, ast.Starred) for a in node.args):
            return
        names = {type(c).__name__ for c in self.callees.get(getattr(node, "nf_id", -1), ())} & self.classes.keys()
        signatures = {tuple(_parameters(self.classes[name], self.classes)) for name in names}
        if len(signatures) != 1:
            return
        parameters = signatures.pop()
        first = next((i for i, name in enumerate(parameters[: len(node.args)]) if _is_filled(name, parameters)), None)
        if first is not None:
            moved = zip(parameters[first:], node.args[first:], strict=False)
            node.keywords = [*(ast.keyword(name, value) for name, value in moved), *node.keywords]
            node.args = node.args[:first]


def _is_filled(name: str, parameters: tuple[str, ...]) -> bool:
    return name == "mask" or (name.endswith("_mask") and name.removesuffix("_mask") in parameters)


def _parameters(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Iterator[str]:
    """The names of what an instance is called with, without ``self``."""
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "call":
            yield from (a.arg for a in [*statement.args.posonlyargs, *statement.args.args][1:])
            return
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            yield from _parameters(classes[base.id], classes)
            return
