"""Reshapes that only add or drop axes of size one, said as what they are: ``x[:, :, None, None]``, ``x.flatten(1)``."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op, constant
from netferry.pivot.program import Program
from netferry.walking import Transformer


def simplify(program: Program) -> None:
    """Replace such reshapes of a batch of vectors, and those that give one."""
    for definition in program.definitions:
        definition.node = _Simplify().visit(definition.node)


class _Simplify(Transformer):
    def visit_Op(self, node: Op) -> ast.AST:
        self.generic_visit(node)
        x = node.operand("x")
        if node.name != "reshape" or node.layer or x is None or node.site is None:
            return node
        pairs = {_shapes(e) for e in node.site.events if e.instance is not None}
        if len(pairs) == 0 or None in pairs:
            return node
        order = getattr(node, "nf_order", None)
        known = [pair for pair in pairs if pair is not None]
        if all(_drops(*pair) for pair in known):
            made = Op("flatten", {"x": x}, {"start_axis": constant(1)}, site=node.site)
            made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
            return made
        if order is not None and all(_adds(before, [after[a] for a in order]) for before, after in known):
            rank = len(known[0][1])
            items: list[ast.expr] = [ast.Slice(), ast.Slice(), *([constant(None)] * (rank - 2))]
            return ast.copy_location(ast.Subscript(x, ast.Tuple(items, ast.Load()), ast.Load()), node)
        return node


Shape = tuple[int, ...]


def _shapes(event: object) -> tuple[Shape, Shape] | None:
    before = next((a for a in getattr(event, "args", ()) if isinstance(a, Tensor)), None)
    after = getattr(event, "result", None)
    return (before.shape, after.shape) if before is not None and isinstance(after, Tensor) else None


def _drops(before: Shape, after: Shape) -> bool:
    return len(after) == 2 and len(before) > 2 and [n for n in before[1:] if n != 1] == [n for n in after[1:] if n != 1]


def _adds(before: Shape, after: Sequence[int]) -> bool:
    return len(before) == 2 and list(after[:2]) == list(before) and all(n == 1 for n in after[2:])
