"""Containers and merged lists, the way they are written in PyTorch."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.merged import MERGED
from netferry.frameworks.shapes import rank_of
from netferry.ops.lowering import dotted
from netferry.pivot.nodes import Op, constant, is_literal, literal

Legalise = Callable[[Op, str], ast.expr]


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


def _reversed(node: Op, framework: str) -> ast.expr:
    """PyTorch is told the order of the axes, also where all are reversed."""
    perm, rank = node.attribute("perm"), rank_of(node)
    if node.layer or rank is None or not (perm is None or (is_literal(perm) and literal(perm) is None)):
        return node
    return node.replace(attributes={"perm": constant(tuple(range(rank))[::-1])})


LEGALISATIONS: dict[str, Legalise] = {
    "module_list": _list,
    "module_dict": _list,
    "transpose": _reversed,
    **MERGED,
}
