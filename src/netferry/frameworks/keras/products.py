"""Products of tensors that Keras names apart from their ranks: which one it is, the run tells."""

from __future__ import annotations

import ast
from typing import Any

from netferry.conventions import MISSING
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op, constant, is_literal, literal
from netferry.reader import Reader


def dot(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``dot(x, y)``: the last axis of one with the last but one of the other."""
    given = _operands(node, ("x", "y"), ("x1", "x2"))
    if given is None:
        return MISSING
    x, y = (_rank(reader, g) for g in given)
    if x is None or y is None or y < 2:
        return MISSING
    left, right = (reader.visit(g) for g in given)
    if y == 2:
        return _made(reader, node, "matmul", left, right)
    return _made(reader, node, "tensordot", left, right, axes=([x - 1], [y - 2]))


def batch_dot(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``batch_dot(x, y, axes=2)`` of matrices: a product with or without one of them turned."""
    given = _operands(node, ("x", "y"))
    if given is None or [_rank(reader, g) for g in given] != [3, 3]:
        return MISSING
    axes = next((k.value for k in node.keywords if k.arg == "axes"), node.args[2] if len(node.args) > 2 else None)
    if axes is not None and not is_literal(axes):
        return MISSING
    summed = literal(axes) if axes is not None else None
    first, second = (2, 1) if summed is None else (summed, summed) if isinstance(summed, int) else summed
    left, right = (reader.visit(g) for g in given)
    left = left if first % 3 == 2 else _turned(reader, node, left)
    right = right if second % 3 == 1 else _turned(reader, node, right)
    return _made(reader, node, "matmul", left, right)


def _operands(node: ast.Call, *names: tuple[str, str]) -> list[ast.expr] | None:
    named = {k.arg: k.value for k in node.keywords}
    for pair in names:
        found = [*node.args[:2], *(named[n] for n in pair[len(node.args) :] if n in named)]
        if len(found) == 2:
            return found
    return None


def _rank(reader: Reader, node: ast.expr) -> int | None:
    """The rank of a tensor, where it is the same in all that was seen."""
    ranks = {len(v.shape) if isinstance(v, Tensor) else None for v in reader.values(node)}
    return ranks.pop() if len(ranks) == 1 else None


def _turned(reader: Reader, node: ast.Call, x: ast.expr) -> Op:
    return Op("swap_axes", {"x": x}, {"axis1": constant(-2), "axis2": constant(-1)}, site=reader.site(node))


def _made(reader: Reader, node: ast.Call, name: str, left: ast.expr, right: ast.expr, **attributes: Any) -> Op:
    made = Op(
        name, {"x": left, "other": right}, {k: constant(v) for k, v in attributes.items()}, site=reader.site(node)
    )
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return made
