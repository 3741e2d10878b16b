"""Rewrites of shape ops for Keras targets: what depends on a rank, a size or a type that only the run told."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from netferry.frameworks.shapes import (
    chunk,
    events,
    hidden_kept,
    integers,
    is_kept,
    last_axis,
    listed,
    rank_of,
    repeats_ones,
    split_size,
    squeeze,
    tensors,
    with_rank,
)
from netferry.ops.lowering import dotted, is_simple
from netferry.pivot.nodes import Op, constant, is_literal, literal

_ROOTS = {"tensorflow": "tf", "keras": "keras.ops"}
# TensorFlow makes float32 whatever the default type is; a network must follow the default type.
_FLOATX = "tf.keras.config.floatx"


def _result_type(node: Op) -> str | None:
    """The type of the result where it is the same in all that was observed."""
    types = {tensor.dtype for e in events(node) for tensor in tensors(e.result)}
    return types.pop() if len(types) == 1 else None


def transpose(node: Op, framework: str) -> ast.expr:
    """TensorFlow cannot differentiate a transpose with negative axes."""
    perm = node.attribute("perm")
    if not is_literal(perm) or not literal(perm) or min(literal(perm)) >= 0:
        return node
    axes = literal(perm)
    return node.replace(attributes={"perm": constant(tuple(axis % len(axes) for axis in axes))})


def swap_axes(node: Op, framework: str) -> ast.expr:
    """TensorFlow only has ``tf.transpose`` with all axes, and the last two as ``matrix_transpose``."""
    axes, rank = integers(node, "axis1", "axis2"), rank_of(node)
    if framework != "tensorflow" or axes is None or rank is None:
        return node
    one, two = (axis % rank for axis in axes)
    if rank > 2 and {one, two} == {rank - 2, rank - 1}:
        if sorted(axes) == [-2, -1]:
            return node
        return node.replace(attributes={"axis1": constant(-2), "axis2": constant(-1), "rank": None})
    perm = list(range(rank))
    perm[one], perm[two] = perm[two], perm[one]
    return _transposed(node, perm)


def move_axis(node: Op, framework: str) -> ast.expr:
    """TensorFlow only has ``tf.transpose`` with all axes."""
    source, destination, rank = node.attribute("source"), node.attribute("destination"), rank_of(node)
    if framework != "tensorflow" or rank is None or not (is_literal(source) and is_literal(destination)):
        return node
    moved = [axis % rank for axis in listed(literal(source))]
    targets = [axis % rank for axis in listed(literal(destination))]
    perm = [axis for axis in range(rank) if axis not in moved]
    for target, axis in sorted(zip(targets, moved, strict=True)):
        perm.insert(target, axis)
    return _transposed(node, perm)


def _transposed(node: Op, perm: list[int]) -> Op:
    x = node.operand("x")
    return Op("transpose", {"x": x} if x is not None else {}, {"perm": constant(tuple(perm))}, site=node.site)


def expand(node: Op, framework: str) -> ast.expr:
    """Targets have no -1 for a kept size; it is read from the tensor."""
    x, shape = node.operand("x"), node.attribute("shape")
    if x is None or not isinstance(shape, ast.Tuple | ast.List) or not shape.elts:
        return node
    if any(isinstance(size, ast.Starred) for size in shape.elts) or hidden_kept(node, shape.elts):
        return node
    if rank_of(node) == len(shape.elts) and all(repeats_ones(event) for event in events(node)):
        counts: list[ast.expr] = [constant(1) if is_kept(size) else size for size in shape.elts]
        return Op("tile", {"x": x}, {"repeats": ast.Tuple(counts, ast.Load())}, site=node.site)
    kept = [i for i, size in enumerate(shape.elts) if is_kept(size)]
    if kept and not is_simple(x):
        return node
    sizes = [
        Op("size", {"x": x}, {"axis": constant(i - len(shape.elts))}) if i in kept else size
        for i, size in enumerate(shape.elts)
    ]
    call = dotted(f"{_ROOTS[framework]}.broadcast_to")
    return ast.Call(call, [x, ast.Tuple(sizes, ast.Load())], [])


def flatten(node: Op, framework: str) -> ast.expr:
    """The new shape, written out where the rank is known."""
    x, axes, rank = node.operand("x"), integers(node, "start_axis", "end_axis", default=(0, -1)), rank_of(node)
    if node.layer or x is None or axes is None or rank is None:
        return node
    start, end = (axis % rank for axis in axes)
    if not is_simple(x):
        return _flattened(x, framework) if (start, end) == (1, rank - 1) else node
    if end == rank - 1:
        return (
            node if axes == [start, -1] else node.replace(attributes={"start_axis": constant(start), "end_axis": None})
        )
    sizes: list[ast.expr] = [Op("size", {"x": x}, {"axis": constant(axis)}) for axis in range(rank)]
    shape = ast.Tuple([*sizes[:start], constant(-1), *sizes[end + 1 :]], ast.Load())
    return Op("reshape", {"x": x}, {"shape": shape}, site=node.site)


def _flattened(x: ast.expr, framework: str) -> ast.expr:
    """The layer: a size of ``x`` cannot be read where it has no name."""
    layer = dotted(f"{'tf.keras' if framework == 'tensorflow' else 'keras'}.layers.Flatten")
    return ast.Call(ast.Call(layer, [], []), [x], [])


def size(node: Op, framework: str) -> ast.expr:
    """The last axis is always known, and has a word of its own."""
    axis, rank = integers(node, "axis"), rank_of(node)
    if axis is None or axis == [-1] or rank is None or axis[0] % rank != rank - 1 or rank < 2:
        return node
    return node.replace(attributes={"axis": constant(-1)})


def split_sections(node: Op, framework: str) -> ast.expr:
    """Keras splits at positions, not by sizes."""
    sizes = node.attribute("sections")
    if framework != "keras" or not isinstance(sizes, ast.Tuple | ast.List) or len(sizes.elts) < 2:
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


def tile(node: Op, framework: str) -> ast.expr:
    """TensorFlow wants one count per axis."""
    x, repeats, rank = node.operand("x"), node.attribute("repeats"), rank_of(node)
    if framework != "tensorflow" or x is None or rank is None or not isinstance(repeats, ast.Tuple | ast.List):
        return node
    counts = list(repeats.elts)
    if any(isinstance(count, ast.Starred) for count in counts):
        return node
    missing = len(counts) - rank
    if missing > 0:
        new: list[ast.expr] = [constant(None)] * missing
        x = ast.Subscript(x, new[0] if missing == 1 else ast.Tuple(new, ast.Load()), ast.Load())
    counts = [constant(1)] * -missing + counts
    return ast.Call(dotted("tf.tile"), [x, ast.Tuple(counts, ast.Load())], [])


def typed(node: Op, framework: str) -> ast.expr:
    """TensorFlow's types follow from its arguments alone: int32 and float32, not the default types."""
    if framework != "tensorflow" or node.attribute("dtype") is not None:
        return node
    found = _result_type(node) or _type_of_literals(node)
    if found in ("float32", "float64"):
        return node.replace(attributes={"dtype": ast.Call(dotted(_FLOATX), [], [])})
    return node if found is None else node.replace(attributes={"dtype": constant(found)})


def _type_of_literals(node: Op) -> str | None:
    values = [node.attribute(name) for name in ("start", "stop", "step", "data", "value")]
    given = [literal(value) for value in values if is_literal(value)]
    if len(given) != len([value for value in values if value is not None]):
        return None
    kinds = {type(leaf) for value in given for leaf in _leaves(value)}
    if kinds and kinds <= {bool}:
        return "bool"
    if kinds and kinds <= {bool, int}:
        return "int64"
    return "float32" if kinds and kinds <= {bool, int, float} else None


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def tolist(node: Op, framework: str) -> ast.expr:
    """Numbers that only become a list need no tensor."""
    x = node.operand("x")
    if not isinstance(x, Op) or x.name != "linspace" or len(x.attributes) != 3:
        return node
    numbers = ast.Call(dotted("np.linspace"), [k.value for k in x.attributes], [])
    return ast.Call(ast.Attribute(numbers, "tolist", ast.Load()), [], [])


LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {
    "transpose": transpose,
    "swap_axes": swap_axes,
    "moveaxis": move_axis,
    "squeeze": squeeze,
    "expand": expand,
    "flatten": flatten,
    "size": size,
    "chunk": chunk,
    "split_size": split_size,
    "split": split_sections,
    "tile": tile,
    "tolist": tolist,
    **dict.fromkeys(("gather", "topk", "sliding_windows"), last_axis),
    **dict.fromkeys(("hstack", "vstack", "dstack", "diag"), with_rank),
    **dict.fromkeys(("arange", "tensor", "full"), typed),
}
