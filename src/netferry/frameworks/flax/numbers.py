"""Functions of arrays that code applies to plain numbers: ``jnp.sqrt(d)`` of a size is Python's own elsewhere."""

from __future__ import annotations

import ast
from typing import Any, Final

from netferry.ops.lowering import dotted
from netferry.pivot.nodes import is_literal, literal
from netferry.reader import Reader

_NAMES: Final = frozenset(
    f"jax.{home}.{name}"
    for home in ("numpy", "lax")
    for name in ("sqrt", "log", "exp", "sin", "cos", "tanh", "log2", "log10")
)


def computed(reader: Reader, node: ast.Call, path: str) -> ast.expr | None:
    """The call of Python's function, where the argument always was a number; None to go on."""
    if len(node.args) != 1 or node.keywords:
        return None
    argument = node.args[0]
    if not is_number(reader, argument):
        return None
    if path in _NAMES:
        reader.counts.observed += 1
        return ast.Call(dotted(f"math.{path.rpartition('.')[2]}"), [reader.visit(argument)], [])
    return None


def is_number(reader: Reader, node: ast.expr) -> bool:
    """Whether an expression always was a number of Python's."""
    seen: list[Any] = reader.values(node)
    if not seen and is_literal(node):
        seen = [literal(node)]
    return bool(seen) and all(type(v) in (int, float) for v in seen)
