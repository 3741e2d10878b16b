"""What is a tensor in TensorFlow and a plain number elsewhere: sizes read from shapes."""

from __future__ import annotations

import ast

from netferry.pivot.facts import Tensor
from netferry.reader import Reader

_SHAPES = frozenset({"tf.shape", "keras.ops.shape", "keras.src.legacy.backend.shape"})


def is_number(reader: Reader, node: ast.expr) -> bool:
    """Whether an expression is a number, or made of numbers and sizes of tensors."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.BinOp(left=left, right=right):
            return is_number(reader, left) and is_number(reader, right)
    seen = reader.values(node)
    if not seen or any(isinstance(v, bool) for v in seen):
        return False
    sizes = _sizes(reader)
    return all(isinstance(v, int | float) or (isinstance(v, Tensor) and v.identity in sizes) for v in seen)


def is_listed(node: ast.expr) -> bool:
    """Whether an expression is the list of a shape, or a part of it: ``x.shape.as_list()[1:]``."""
    match node:
        case ast.Subscript(value=value, slice=ast.Slice()):
            return is_listed(value)
        case ast.Call(func=ast.Attribute(attr="as_list"), args=[]):
            return True
    return False


def _sizes(reader: Reader) -> set[int]:
    """The identities of the tensors that are sizes of others."""
    known: set[int] | None = getattr(reader.facts, "keras_sizes", None)
    if known is None:
        shapes = {e.result.identity for e in reader.facts.events if e.path in _SHAPES and isinstance(e.result, Tensor)}
        known = {
            e.result.identity for e in reader.facts.events
            if e.args and isinstance(e.args[0], Tensor) and e.args[0].identity in shapes
            and isinstance(e.result, Tensor) and not e.result.shape
        }  # fmt: skip
        reader.facts.keras_sizes = known
    return known
