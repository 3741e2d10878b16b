"""Keeps static sizes static: under ``fit`` TensorFlow does not know how many samples a batch has.

A reshape to ``(batch, -1)`` then has no known last size, and the layer behind it cannot be built; ``(-1, features)`` has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from netferry.frameworks.shapes import rank_of
from netferry.ops.lowering import is_simple
from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import Op, constant, is_literal, literal
from netferry.pivot.program import Program
from netferry.walking import Transformer, walk

_Axes = Mapping[str, set[int]]


def keep_sizes(program: Program) -> None:
    """Name single sizes as such, and let the batch be the size that a reshape works out."""
    for definition in program.definitions:
        definition.node = _Sizes().visit(definition.node)
        for function in [n for n in walk(definition.node) if isinstance(n, ast.FunctionDef)]:
            _Reshapes(_named_axes(function)).visit(function)


class _Sizes(Transformer):
    """``x.shape[0]`` is the size of one axis."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        shape = node.value
        if not (isinstance(shape, Op) and shape.name == "shape" and is_literal(node.slice)):
            return node
        axis = literal(node.slice)
        if not isinstance(axis, int):
            return node
        made = Op("size", {"x": shape.operands[0].value}, {"axis": constant(axis)}, site=shape.site)
        return ast.copy_location(made, node)


def _named_axes(function: ast.FunctionDef) -> _Axes:
    """Local variable -> the axes whose sizes it was given; what is given anything else is left out."""
    found: dict[str, set[int]] = {}
    others: set[str] = {a.arg for a in [*function.args.args, *function.args.kwonlyargs]}
    for node in walk(function):
        if not isinstance(node, ast.Assign):
            others |= {n.id for n in _stored(node)}
            continue
        for target in node.targets:
            match target, node.value:
                case ast.Name(id=name), Op(name="size") as size if is_literal(size.attribute("axis")):
                    found.setdefault(name, set()).add(literal(size.attribute("axis")))
                case ast.Tuple(elts=names), Op(name="shape") if all(isinstance(n, ast.Name) for n in names):
                    for axis, element in enumerate(names):
                        found.setdefault(ast.unparse(element), set()).add(axis)
                case _:
                    others |= {n.id for n in walk(target) if isinstance(n, ast.Name)}
    return {name: axes for name, axes in found.items() if name not in others}


def _stored(node: ast.AST) -> Iterator[ast.Name]:
    targets = [getattr(node, "target", None), getattr(node, "optional_vars", None)]
    return (n for t in targets if isinstance(t, ast.AST) for n in walk(t) if isinstance(n, ast.Name))


class _Reshapes(Transformer):
    def __init__(self, axes: _Axes) -> None:
        self.axes = axes

    def visit_Op(self, node: Op) -> ast.AST:
        self.generic_visit(node)
        shape, x, rank = node.attribute("shape"), node.operand("x"), rank_of(node)
        if node.name != "reshape" or not isinstance(shape, ast.Tuple | ast.List) or x is None or rank is None:
            return node
        first, last = shape.elts[0], shape.elts[-1]
        kept = len(shape.elts) - 1
        is_rest = len(shape.elts) > 1 and is_literal(last) and literal(last) == -1 and kept < rank
        if not is_rest or not is_simple(x) or not self._is_size(first, 0) or not all(map(_merges, _events(node))):
            return node
        rest = ast.Subscript(ast.Attribute(x, "shape", ast.Load()), ast.Slice(constant(kept), None), ast.Load())
        features: ast.expr = ast.parse("math.prod(0)", mode="eval").body
        features.args = [rest]  # type: ignore[attr-defined]
        sizes = [constant(-1), *shape.elts[1:-1], features]
        return node.replace(attributes={"shape": ast.Tuple(sizes, ast.Load())})

    def _is_size(self, node: ast.expr, axis: int) -> bool:
        match node:
            case ast.Name(id=name):
                return self.axes.get(name) == {axis}
            case Op(name="size"):
                given = node.attribute("axis")
                return is_literal(given) and literal(given) == axis
        return False


def _events(node: Op) -> list[Event]:
    return [e for e in (node.site.events if node.site else ()) if e.instance is None]


def _merges(event: Event) -> bool:
    """Whether all leading sizes stayed what they were."""
    before = next((a for a in event.args if isinstance(a, Tensor)), None)
    if before is None or not isinstance(event.result, Tensor):
        return False
    kept = len(event.result.shape) - 1
    return before.shape[:kept] == event.result.shape[:kept]
