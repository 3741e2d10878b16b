"""Variables of NNX: what holds an array elsewhere is the array itself."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from flax import nnx

from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op
from netferry.reader import Reader

READ = frozenset({"value", "raw_value"})
"""Attributes that are a variable's array."""
READING = frozenset({"get_value", "get_raw_value"})
"""Methods that give it."""


def _is_whole(index: ast.expr) -> bool:
    return isinstance(index, ast.Constant) and index.value is Ellipsis


def read(reader: Reader, node: ast.Subscript) -> ast.expr | None:
    """``variable[...]`` as the variable."""
    return reader.visit(node.value) if _is_whole(node.slice) else None


def assigned(reader: Reader, node: ast.Assign, target: ast.Attribute | ast.Subscript) -> list[ast.stmt] | None:
    """``variable.value = x`` and ``variable[...] = x`` replace what the network keeps."""
    match target:
        case ast.Subscript(value=ast.Attribute() as owner, slice=index) if _is_whole(index):
            pass
        case ast.Attribute(value=ast.Attribute() as owner, attr="value"):
            pass
        case _:
            return None
    owner.ctx = ast.Store()
    made = ast.copy_location(ast.Assign([reader.visit(owner)], reader.visit(node.value)), node)
    made.nf_replaces = node  # type: ignore[attr-defined]
    return [made]


def changed(reader: Reader, node: ast.AugAssign, owner: ast.Attribute) -> list[ast.stmt]:
    """``variable.value += x``."""
    total = ast.BinOp(copied(owner), node.op, node.value)
    total.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    owner.ctx = ast.Store()
    made = ast.copy_location(
        ast.Assign([reader.visit(owner)], reader.visit(ast.copy_location(total, node.value))), node
    )
    made.nf_replaces = node  # type: ignore[attr-defined]
    return [made]


def is_kind(reader: Reader, node: ast.ClassDef) -> bool:
    """Whether a class is the user's own kind of variables, which others do not tell apart."""
    bases = [reader.static(b) for b in node.bases]
    return any(isinstance(b, type) and issubclass(b, nnx.Variable) for b in bases)


def of_own_kind(reader: Reader, node: ast.Call, callees: Sequence[Any]) -> ast.expr | None:
    """A variable of such a kind."""
    kinds = [c for c in callees if isinstance(c, type) and issubclass(c, nnx.Variable)]
    if not kinds or len(kinds) != len(callees):
        return None
    return made(reader, node, trained=all(issubclass(k, nnx.Param) for k in kinds))


def made(reader: Reader, node: ast.Call, *, trained: bool) -> ast.expr | None:
    """``nnx.Param(x)``: an array that the network owns."""
    if not node.args:
        return None
    value = node.args[0]
    start = reader.visit(value)
    if isinstance(value, ast.Constant | ast.List | ast.Tuple) or _is_data(reader.values(value)):
        start = Op("tensor", {}, {"data": start}, site=reader.site(value))
    found = Op("parameter" if trained else "buffer", {"x": start}, site=reader.site(node))
    found.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return found


def _is_data(seen: list[Any]) -> bool:
    """Whether a value is Python's or NumPy's own, no array of the framework yet."""
    return bool(seen) and all(
        isinstance(v, bool | int | float | list | tuple) or type(v).__module__ == "numpy" for v in seen
    )
