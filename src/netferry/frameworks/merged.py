"""Merged lists whose members are written out one by one, and factors that are: operators, and one for each channel."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable

from netferry.frameworks.arguments import observed
from netferry.pivot.nodes import Op, constant

Legalise = Callable[[Op, str], ast.expr]
_OPERATORS: dict[str, ast.operator] = {
    "merge_add": ast.Add(),
    "merge_multiply": ast.Mult(),
    "merge_subtract": ast.Sub(),
    "merge_average": ast.Add(),
}
_FUNCTIONS = {"merge_maximum": "maximum", "merge_minimum": "minimum"}


def _merged(node: Op, framework: str) -> ast.expr:
    """The tensors of a list that is written out, joined two by two."""
    given = node.operand("xs")
    if node.layer or not isinstance(given, ast.List | ast.Tuple) or any(isinstance(e, ast.Starred) for e in given.elts):
        return node

    def join(left: ast.expr, right: ast.expr) -> ast.expr:
        if node.name in _OPERATORS:
            return ast.BinOp(left, _OPERATORS[node.name], right)
        return Op(_FUNCTIONS[node.name], {"x": left, "other": right}, site=node.site)

    made = functools.reduce(join, given.elts)
    return ast.BinOp(made, ast.Div(), constant(len(given.elts))) if node.name == "merge_average" else made


def _rescaled(node: Op, framework: str) -> ast.expr:
    """A list has a number for each channel."""
    given = [v for name in ("scale", "offset") if (v := node.attribute(name)) is not None]
    seen = [v for name in ("scale", "offset") for v in observed(node, name)]
    listed = any(isinstance(v, ast.List | ast.Tuple | ast.ListComp) for v in given)
    return node.replace("channel_rescaling") if listed or any(isinstance(v, list | tuple) for v in seen) else node


MERGED: dict[str, Legalise] = {**dict.fromkeys((*_OPERATORS, *_FUNCTIONS), _merged), "rescaling": _rescaled}
