"""Layers whose variables are read without calling the layer: Keras makes them when it is told the shape of the input."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Final

from netferry.pivot.copying import copied
from netferry.pivot.nodes import LayerAttribute, Op, constant
from netferry.pivot.program import Program
from netferry.walking import Transformer, walk

_SIZES: Final = {
    "linear": ("in_features", 0), "embedding": ("", 0), "batch_norm": ("num_features", 0),
    **{f"conv{n}d": ("in_channels", n) for n in (1, 2, 3)},
}  # fmt: skip
"""Op -> the attribute that tells the size of the last axis, and how many axes lie before it."""


def build_early(program: Program, is_variable: Callable[[str, str], bool]) -> None:
    """Add ``self.qkv.build((None, dim))`` behind ``self.qkv = Dense(...)`` where a method reads ``self.qkv.kernel``.

    ``is_variable`` tells whether a canonical name is that of a variable of an op's layer.
    """
    for node in program.classes():
        read = {
            ast.unparse(a.owner)
            for method in node.body
            if isinstance(method, ast.FunctionDef) and method.name != "__init__"
            for a in walk(method)
            if isinstance(a, LayerAttribute) and any(is_variable(op, a.name) for op in a.ops)
        }
        if read:
            _Build(read).visit(node)


class _Build(Transformer):
    def __init__(self, read: set[str]) -> None:
        self.read = read

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | list[ast.stmt]:
        if not isinstance(node.value, Op) or not node.value.layer:
            return node
        shape = _shape(node.value)
        if shape is None:
            return node
        return [node, *self._calls(node, shape)]

    def _calls(self, node: ast.Assign, shape: ast.expr) -> Iterator[ast.stmt]:
        for target in node.targets:
            if isinstance(target, ast.Attribute) and ast.unparse(target) in self.read:
                owner = ast.Attribute(target.value, target.attr, ast.Load())
                yield ast.Expr(ast.Call(ast.Attribute(owner, "build", ast.Load()), [shape], []))


def _shape(node: Op) -> ast.expr | None:
    name, before = _SIZES.get(node.name, (None, 0))
    if name is None or node.attribute("padding") is not None:
        return None
    size = node.attribute(name) if name else constant(None)
    if size is None:
        return None
    return ast.Tuple([*(constant(None) for _ in range(1 + before)), copied(size)], ast.Load())
