"""Questions with one answer elsewhere: whether initialisers or random generators were given, which only Flax hands on."""

from __future__ import annotations

import ast

from netferry.frameworks.flax.flags import is_random_parameter
from netferry.reader import Reader


def decided(reader: Reader, test: ast.expr) -> bool | None:
    """The answer, or None where it depends on the run."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = decided(reader, operand)
            return None if inner is None else not inner
        case ast.Compare(left=asked, ops=[ast.Is() | ast.IsNot() as relation], comparators=[ast.Constant(value=None)]):
            absent = _is_absent(reader, asked)
            return None if absent is None else absent is isinstance(relation, ast.Is)
    return None


def _is_absent(reader: Reader, node: ast.expr) -> bool | None:
    """Whether something that others do not hand on was never given."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    seen = reader.values(node)
    if not name or not is_random_parameter(name, "") or not seen:
        return None
    answers = {value is None for value in seen}
    return answers.pop() if len(answers) == 1 else None


def branch(reader: Reader, node: ast.If) -> list[ast.stmt] | None:
    """The branch that is always taken."""
    answer = decided(reader, node.test)
    if answer is None:
        return None
    made: list[ast.stmt] = []
    for statement in node.body if answer else node.orelse:
        result = reader.visit(statement)
        made.extend(result if isinstance(result, list) else [result] if result is not None else [])
    return made
