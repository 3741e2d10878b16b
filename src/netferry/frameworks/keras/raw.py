"""Convolution and pooling as functions, with kernels that the code keeps itself: ``tf.nn.conv2d(x, w, [1, 2, 2, 1], "SAME")``."""

from __future__ import annotations

import ast
from typing import Any

from netferry.conventions import MISSING
from netferry.ops import registry
from netferry.ops.binding import CannotBind
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op, constant, is_literal, literal
from netferry.reader import Reader

_PER_AXIS = ("stride", "kernel_size", "dilation", "size")

_IMAGES = frozenset({"extract_patches"})
"""Functions of images alone."""


def function(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """The op for data of the rank that the run saw, its kernel and its numbers per axis in the order of all ops."""
    rank = _rank(reader, node)
    for op, spelling in registry.find(reader.conventions.path(next(iter(reader.callees(node)), None)) or ""):
        if rank is None or (f"{rank - 2}d" not in op.name and op.name not in _IMAGES):
            continue
        try:
            made = reader.calls.op(node, op, spelling, reader.callees(node))
        except CannotBind:
            continue
        assert isinstance(made, Op)
        _settle(reader, made, rank)
        reader.counts.observed += 1
        return ast.copy_location(made, node)
    return MISSING


def _rank(reader: Reader, node: ast.Call) -> int | None:
    """How many axes the data have."""
    given = [*node.args[:1], *(k.value for k in node.keywords if k.arg in ("input", "inputs", "images"))]
    seen = [v for g in given for v in reader.values(g)]
    ranks = {len(v.shape) for v in seen if isinstance(v, Tensor)}
    return ranks.pop() if len(ranks) == 1 else None


def _settle(reader: Reader, made: Op, rank: int) -> None:
    for keyword in made.attributes:
        if keyword.arg in _PER_AXIS:
            keyword.value = _spatial(reader, keyword.value, rank)
    made.attributes = [k for k in made.attributes if not (isinstance(k.value, ast.Constant) and k.value.value is None)]
    for operand in made.operands:
        if operand.arg == "weight":
            perm = (rank - 1, rank - 2, *range(rank - 2))
            operand.value = Op("transpose", {"x": operand.value}, {"perm": constant(perm)}, site=made.site)


def _spatial(reader: Reader, given: ast.expr, rank: int) -> ast.expr:
    """The numbers of the spatial axes, of a list for all axes."""
    if isinstance(given, ast.List | ast.Tuple):
        items = given.elts[1:-1] if len(given.elts) == rank else given.elts
        return items[0] if len({ast.unparse(i) for i in items}) == 1 else ast.Tuple(list(items), ast.Load())
    if is_literal(given):
        return constant(literal(given))
    seen = reader.values(given)
    if seen and all(isinstance(v, list | tuple) and len(v) == rank for v in seen):
        return ast.Subscript(given, ast.Slice(constant(1), constant(-1)), ast.Load())
    return given
