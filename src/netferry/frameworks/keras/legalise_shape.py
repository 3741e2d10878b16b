"""Rewrites of shape ops for Keras targets: what depends on a rank, a size or a type that only the run told."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from netferry.ops.lowering import dotted, is_simple
from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import Op, constant, is_literal, literal

_ROOTS = {"tensorflow": "tf", "keras": "keras.ops"}
# TensorFlow makes float32 whatever the default type is; a network must follow the default type.
_FLOATX = "tf.keras.config.floatx"


def _events(node: Op) -> list[Event]:
    """What was observed here, leaving out calls of layers."""
    return [e for e in (node.site.events if node.site else ()) if e.instance is None]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def rank_of(node: Op) -> int | None:
    """The rank of the first operand: given, or the same in all that was observed."""
    given = node.attribute("rank")
    if given is not None and is_literal(given):
        return int(literal(given))
    first = [next(_tensors((*e.args, *e.kwargs.values())), None) for e in _events(node)]
    ranks = {len(tensor.shape) for tensor in first if tensor is not None}
    return ranks.pop() if len(ranks) == 1 else None


def _result_type(node: Op) -> str | None:
    """The type of the result where it is the same in all that was observed."""
    types = {tensor.dtype for e in _events(node) for tensor in _tensors(e.result)}
    return types.pop() if len(types) == 1 else None


def _integers(node: Op, *names: str, default: Sequence[int] = ()) -> list[int] | None:
    """The values of attributes that are integer literals; ``default`` for those left out."""
    values = [node.attribute(name) for name in names]
    if default:
        values = [constant(d) if value is None else value for value, d in zip(values, default, strict=True)]
    if not all(is_literal(value) and isinstance(literal(value), int) for value in values):
        return None
    return [int(literal(value)) for value in values]


def with_rank(node: Op, framework: str) -> ast.expr:
    """Note the rank for spellings that depend on it."""
    rank = rank_of(node)
    if rank is None or node.attribute("rank") is not None:
        return node
    return node.replace(attributes={"rank": constant(rank)})


def transpose(node: Op, framework: str) -> ast.expr:
    """TensorFlow cannot differentiate a transpose with negative axes."""
    perm = node.attribute("perm")
    if not is_literal(perm) or not literal(perm) or min(literal(perm)) >= 0:
        return node
    axes = literal(perm)
    return node.replace(attributes={"perm": constant(tuple(axis % len(axes) for axis in axes))})


def swap_axes(node: Op, framework: str) -> ast.expr:
    """TensorFlow only has ``tf.transpose`` with all axes, and the last two as ``matrix_transpose``."""
    axes, rank = _integers(node, "axis1", "axis2"), rank_of(node)
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
    moved = [axis % rank for axis in _listed(literal(source))]
    targets = [axis % rank for axis in _listed(literal(destination))]
    perm = [axis for axis in range(rank) if axis not in moved]
    for target, axis in sorted(zip(targets, moved, strict=True)):
        perm.insert(target, axis)
    return _transposed(node, perm)


def _listed(value: Any) -> list[int]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _transposed(node: Op, perm: list[int]) -> Op:
    x = node.operand("x")
    return Op("transpose", {"x": x} if x is not None else {}, {"perm": constant(tuple(perm))}, site=node.site)


def squeeze(node: Op, framework: str) -> ast.expr:
    """PyTorch leaves axes of other sizes alone; targets refuse them."""
    axis = node.attribute("axis")
    changes = {_squeezed(event) for event in _events(node)}
    if axis is None or node.attribute("exact") is not None or len(changes) != 1:
        return node
    removed = changes.pop()
    if removed == 0:
        x = node.operand("x")
        return node if x is None else x
    asked = len(_listed(literal(axis))) if is_literal(axis) else 1
    return node.replace(attributes={"exact": constant(True)}) if removed == asked else node


def _squeezed(event: Event) -> int:
    before, after = next(_tensors(event.args)), next(_tensors(event.result))
    return len(before.shape) - len(after.shape)


def expand(node: Op, framework: str) -> ast.expr:
    """Targets have no -1 for a kept size; it is read from the tensor."""
    x, shape = node.operand("x"), node.attribute("shape")
    if x is None or not isinstance(shape, ast.Tuple | ast.List) or not shape.elts:
        return node
    if any(isinstance(size, ast.Starred) for size in shape.elts) or _hidden_kept(node, shape.elts):
        return node
    if rank_of(node) == len(shape.elts) and all(_repeats_ones(event) for event in _events(node)):
        counts: list[ast.expr] = [constant(1) if _is_kept(size) else size for size in shape.elts]
        return Op("tile", {"x": x}, {"repeats": ast.Tuple(counts, ast.Load())}, site=node.site)
    kept = [i for i, size in enumerate(shape.elts) if _is_kept(size)]
    if kept and not is_simple(x):
        return node
    sizes = [
        Op("size", {"x": x}, {"axis": constant(i - len(shape.elts))}) if i in kept else size
        for i, size in enumerate(shape.elts)
    ]
    call = dotted(f"{_ROOTS[framework]}.broadcast_to")
    return ast.Call(call, [x, ast.Tuple(sizes, ast.Load())], [])


def _is_kept(size: ast.expr) -> bool:
    return is_literal(size) and literal(size) == -1


def _repeats_ones(event: Event) -> bool:
    """Whether some sizes were kept by -1 and all others had been one."""
    given, before = _sizes(event), next(_tensors(event.args)).shape
    return -1 in given and all(asked == -1 or size == 1 for asked, size in zip(given, before, strict=True))


def _sizes(event: Event) -> tuple[Any, ...]:
    """The sizes that a method was called with, alone or as a sequence."""
    given = event.args[1:] or tuple(event.kwargs.values())
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else tuple(given)


def _hidden_kept(node: Op, sizes: list[ast.expr]) -> bool:
    """Whether a size that is no literal was -1 in the run."""
    for event in _events(node):
        if any(g == -1 for g in _sizes(event)) and [g == -1 for g in _sizes(event)].count(True) > sum(
            map(_is_kept, sizes)
        ):
            return True
    return False


def flatten(node: Op, framework: str) -> ast.expr:
    """The new shape, written out where the rank is known."""
    x, axes, rank = node.operand("x"), _integers(node, "start_axis", "end_axis", default=(0, -1)), rank_of(node)
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
    axis, rank = _integers(node, "axis"), rank_of(node)
    if axis is None or axis == [-1] or rank is None or axis[0] % rank != rank - 1 or rank < 2:
        return node
    return node.replace(attributes={"axis": constant(-1)})


def last_axis(node: Op, framework: str) -> ast.expr:
    """Targets have a plain call for the last axis, which may be written as its number."""
    axis, rank = _integers(node, "axis"), rank_of(node)
    if axis is None or rank is None or axis[0] != rank - 1:
        return node
    return node.replace(attributes={"axis": constant(-1)})


def chunk(node: Op, framework: str) -> ast.expr:
    """Targets split into equal pieces only; PyTorch's last one may be smaller."""
    chunks = node.attribute("chunks")
    counts = {_equal_pieces(event) for event in _events(node)}
    if chunks is None or len(counts) != 1:
        return node
    count = counts.pop()
    if count is None or (is_literal(chunks) and literal(chunks) != count):
        return node
    return node.replace("split_equal", attributes={"chunks": None, "sections": chunks})


def _equal_pieces(event: Event) -> int | None:
    """The number of results, if they have one shape."""
    pieces = list(_tensors(event.result))
    return len(pieces) if len({piece.shape for piece in pieces}) == 1 else None


def split_size(node: Op, framework: str) -> ast.expr:
    """Features split by a size are as many equal pieces; along any other axis the number may vary with the input."""
    axis, rank = _integers(node, "axis"), rank_of(node)
    counts = {_equal_pieces(event) for event in _events(node)}
    if axis is None or rank is None or axis[0] % rank != rank - 1 or len(counts) != 1 or None in counts:
        return node
    return node.replace("split_equal", attributes={"size": None, "sections": constant(counts.pop())})


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
