"""Containers and merged lists, the way they are written in PyTorch."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable

from netferry.ops.lowering import dotted
from netferry.pivot.nodes import Op

Legalise = Callable[[Op, str], ast.expr]
_OPERATORS: dict[str, ast.operator] = {
    "merge_add": ast.Add(),
    "merge_multiply": ast.Mult(),
    "merge_subtract": ast.Sub(),
}


def _list(node: Op, framework: str) -> ast.expr:
    """A list that starts empty."""
    given = node.operand("modules")
    empty = (isinstance(given, ast.List) and not given.elts) or (isinstance(given, ast.Dict) and not given.keys)
    name = {"module_list": "ModuleList", "module_dict": "ModuleDict"}[node.name]
    if empty:
        return ast.Call(dotted(f"torch.nn.{name}"), [], [])
    members = _members(given)
    if given is not None and members and all(isinstance(m, Op) and m.name == "parameter" for m in members):
        return ast.Call(dotted(f"torch.nn.{name.replace('Module', 'Parameter')}"), [given], [])
    return node


def _members(given: ast.expr | None) -> list[ast.expr]:
    """What a list or dict is made of, one by one or in a comprehension."""
    match given:
        case ast.List(elts=elements) | ast.Dict(values=elements):
            return elements
        case ast.ListComp(elt=element) | ast.DictComp(value=element):
            return [element]
    return []


def _merged(node: Op, framework: str) -> ast.expr:
    """Tensors written out one by one have operators between them."""
    given = node.operand("xs")
    if node.layer or not isinstance(given, ast.List | ast.Tuple) or any(isinstance(e, ast.Starred) for e in given.elts):
        return node
    operator = _OPERATORS[node.name]
    return functools.reduce(lambda left, right: ast.BinOp(left, operator, right), given.elts)


LEGALISATIONS: dict[str, Legalise] = {
    "module_list": _list,
    "module_dict": _list,
    **dict.fromkeys(_OPERATORS, _merged),
}
