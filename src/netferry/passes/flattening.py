"""Recognises reshapes that merge all axes but the first: ``x.reshape(-1, math.prod(x.shape[1:]))`` is a flatten."""

from __future__ import annotations

import ast

from netferry.pivot.nodes import Op, constant
from netferry.pivot.program import Program
from netferry.project.names import dotted
from netferry.walking import Transformer

_PRODUCTS = frozenset({"math.prod", "np.prod", "numpy.prod"})


def recognise(program: Program) -> None:
    """Say in one word what such a reshape does."""
    for definition in program.definitions:
        definition.node = _Flatten().visit(definition.node)


class _Flatten(Transformer):
    def visit_Op(self, node: Op) -> ast.AST:
        self.generic_visit(node)
        x, shape = node.operand("x"), node.attribute("shape")
        if node.name != "reshape" or node.layer or x is None or shape is None or not _merges(shape, x):
            return node
        made = Op("flatten", {"x": x}, {"start_axis": constant(1)}, site=node.site)
        made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
        return ast.copy_location(made, node)


def _merges(shape: ast.expr, x: ast.expr) -> bool:
    """Whether a shape is ``(-1, the product of all sizes of x but the first)``."""
    match shape:
        case ast.Tuple(
            elts=[first, ast.Call(func=function, args=[ast.Subscript(value=Op(name="shape") as read, slice=part)])]
        ):
            of = read.operand("x")
            return (
                ast.unparse(first) == "-1"
                and dotted(function) in _PRODUCTS
                and isinstance(of, ast.Name | ast.Attribute)
                and ast.dump(of) == ast.dump(x)
                and ast.unparse(part) == "1:"
            )
    return False
