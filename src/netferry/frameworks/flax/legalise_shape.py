"""Rewrites of shape ops for JAX: what depends on a rank or a size that only the run told."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks import shapes
from netferry.ops.lowering import dotted, is_simple
from netferry.pivot.nodes import Op, constant, is_literal, literal


def flatten(node: Op, framework: str) -> ast.expr:
    """Axes by their numbers; -1 for the last one."""
    rank = shapes.rank_of(node)
    axes = shapes.integers(node, "start_axis", "end_axis", default=(0, -1))
    if node.layer or axes is None or rank is None:
        return node
    start, end = (axis % rank for axis in axes)
    plain = [start, -1 if end == rank - 1 else end]
    x = node.operand("x")
    if end < rank - 1 and x is not None and is_simple(x):
        sizes: list[ast.expr] = [Op("size", {"x": x}, {"axis": constant(axis)}) for axis in range(rank)]
        shape = ast.Tuple([*sizes[:start], constant(-1), *sizes[end + 1 :]], ast.Load())
        return Op("reshape", {"x": x}, {"shape": shape}, site=node.site)
    if axes == plain:
        return node
    return node.replace(attributes={"start_axis": constant(plain[0]), "end_axis": constant(plain[1])})


def expand(node: Op, framework: str) -> ast.expr:
    """JAX has no -1 for a kept size; it is read from the array."""
    x, shape = node.operand("x"), node.attribute("shape")
    if x is None or not isinstance(shape, ast.Tuple | ast.List) or not shape.elts:
        return node
    if any(isinstance(size, ast.Starred) for size in shape.elts) or shapes.hidden_kept(node, shape.elts):
        return node
    kept = [i for i, size in enumerate(shape.elts) if shapes.is_kept(size)]
    if kept and not is_simple(x):
        return node
    before = len(shape.elts) - (shapes.rank_of(node) or 0)
    axes = {i: i - before if 0 <= before <= i < len(shape.elts) != before else i - len(shape.elts) for i in kept}
    sizes = [
        Op("size", {"x": x}, {"axis": constant(axes[i])}) if i in axes else size for i, size in enumerate(shape.elts)
    ]
    return ast.Call(dotted("jax.numpy.broadcast_to"), [x, ast.Tuple(sizes, ast.Load())], [])


def split_sections(node: Op, framework: str) -> ast.expr:
    """JAX splits at positions, not by sizes."""
    sizes = node.attribute("sections")
    if not isinstance(sizes, ast.Tuple | ast.List) or len(sizes.elts) < 2:
        return node
    if any(isinstance(size, ast.Starred) for size in sizes.elts):
        return node
    ends: list[ast.expr] = [sizes.elts[0]]
    for size in sizes.elts[1:-1]:
        ends.append(_sum(ends[-1], size))
    return node.replace("split_at", attributes={"sections": None, "indices": ast.List(ends, ast.Load())})


def _sum(one: ast.expr, other: ast.expr) -> ast.expr:
    if is_literal(one) and is_literal(other):
        return constant(literal(one) + literal(other))
    return ast.BinOp(one, ast.Add(), other)


LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {
    "flatten": flatten,
    "squeeze": shapes.squeeze,
    "chunk": shapes.chunk,
    "split_size": shapes.split_size,
    "split": split_sections,
    **dict.fromkeys(("gather", "topk"), shapes.last_axis),
    **dict.fromkeys(("hstack", "vstack", "dstack", "diag"), shapes.with_rank),
    "interpolate": shapes.ranked,
}
