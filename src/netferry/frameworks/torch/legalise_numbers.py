"""Operations on plain numbers, which PyTorch's functions do not take."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.pivot.nodes import Op, is_literal

Legalise = Callable[[Op, str], ast.expr]


def _bounded(limit: str) -> Legalise:
    """``maximum(x, 0)`` is ``clamp(x, min=0)``."""

    def legalise(node: Op, framework: str) -> ast.expr:
        x, other = node.operand("x"), node.operand("other")
        if node.layer or x is None or other is None or not is_literal(other) or is_literal(x):
            return node
        return Op("clip", {"x": x}, {limit: other}, site=node.site)

    return legalise


def _root(node: Op, framework: str) -> ast.expr:
    x = node.operand("x")
    return ast.BinOp(x, ast.Pow(), ast.Constant(0.5)) if x is not None and is_literal(x) else node


LEGALISATIONS: dict[str, Legalise] = {"maximum": _bounded("min"), "minimum": _bounded("max"), "sqrt": _root}
