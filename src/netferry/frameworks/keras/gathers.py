"""Indexing with tensors: TensorFlow's tensors take only numbers and slices between brackets."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netferry.pivot.copying import copied
from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import Op, constant
from netferry.pivot.program import Program
from netferry.walking import Transformer

_FULL = ast.Slice()


def by_tensors(program: Program) -> None:
    """``x[index]`` and ``x[:, rows, columns]`` gather."""
    for definition in program.definitions:
        definition.node = _Gathers(program.facts.by_node).visit(definition.node)


@dataclass
class _Item:
    """One entry of an index: its expression, what it was seen to be, and the axis of ``x[rest]`` that it is about."""

    node: ast.expr
    seen: Any
    axis: int = -1

    @property
    def gathers(self) -> bool:
        """Whether it lists positions."""
        if isinstance(self.seen, Tensor):
            return bool(self.seen.shape)
        return isinstance(self.seen, list) or hasattr(self.seen, "__array__")

    @property
    def selects(self) -> bool:
        """Whether it takes its axis away."""
        return not self.gathers and not isinstance(self.seen, slice) and self.seen not in (None, Ellipsis)

    @property
    def rank(self) -> int:
        """How many axes its positions have; a mask gives a list of them."""
        if _is_mask(self):
            return 1
        return len(self.seen.shape) if hasattr(self.seen, "shape") else 1


class _Gathers(Transformer):
    def __init__(self, events: Mapping[int, Sequence[Event]]) -> None:
        self.events = events

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        seen = [e for e in self.events.get(getattr(node, "nf_id", -1), ()) if e.path == "operator.getitem"]
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load) or not seen:
            return node
        items = _items(node.slice, seen)
        x = seen[0].args[0]
        if items is None or not isinstance(x, Tensor):
            return node
        return ast.copy_location(_gathered(node.value, items, len(x.shape)), node)

    def visit_Op(self, node: Op) -> ast.AST:
        """``x[rows, columns] = value``: to where the positions of ``x``, indexed alike, are."""
        self.generic_visit(node)
        seen = self.events.get(getattr(node, "nf_id", -1), ())
        index = node.operand("index") if node.name == "index_update" and seen else None
        items = _items(index.slice, seen) if isinstance(index, ast.Subscript) else None
        x, value = node.operand("x"), node.operand("value")
        if items is None or x is None or value is None or not isinstance(seen[0].args[0], Tensor):
            return node
        places = _gathered(Op("positions", {"x": copied(x)}), items, len(seen[0].args[0].shape))
        return ast.copy_location(Op("put", {"x": x, "places": places, "value": value}, site=node.site), node)


def _items(key: ast.expr, seen: Sequence[Event]) -> list[_Item] | None:
    """The entries of an index that gathers, and is not just a mask over the first axes; None for any other."""
    nodes = list(key.elts) if isinstance(key, ast.Tuple) else [key]
    kinds = {_kinds(e.args[1]) for e in seen}
    found = seen[0].args[1]
    values = list(found) if isinstance(key, ast.Tuple) else [found]
    if len(kinds) != 1 or len(values) != len(nodes) or any(isinstance(v, tuple) for v in values):
        return None
    items = [_Item(node, value) for node, value in zip(nodes, values, strict=True)]
    if not any(item.gathers for item in items) or (len(items) == 1 and _is_mask(items[0])):
        return None
    return None if any(_is_mask(item) and len(item.seen.shape) != 1 for item in items) else items


def _kinds(key: Any) -> tuple[Any, ...]:
    return tuple((type(k), len(getattr(k, "shape", ()))) for k in (key if isinstance(key, tuple) else (key,)))


def _is_mask(item: _Item) -> bool:
    return isinstance(item.seen, Tensor) and item.seen.dtype == "bool"


def _gathered(x: ast.expr, items: Sequence[_Item], rank: int) -> ast.expr:
    """The gather of what is left when everything but the positions is applied."""
    items = _spread(items, rank)
    basic, left = _basic(x, items), _number_axes(items)
    chosen = [item for item in items if item.gathers]
    places, axes = [_positions(item) for item in chosen], [item.axis for item in chosen]
    if len(chosen) == 1:
        axis = -1 if axes[0] == left - 1 > 0 else axes[0]
        return Op("take", {"x": basic, "indices": places[0]}, {"axis": constant(axis)})
    if axes != list(range(len(axes))):
        basic = _moved(basic, axes, left)
    made: ast.expr = Op("take_at", {"x": basic, "indices": ast.Tuple(places, ast.Load())})
    if axes[0] and axes[-1] - axes[0] < len(axes):  # Axes that stand together stay in their place, others come first.
        widest = max(item.rank for item in chosen)
        made = _moved(made, range(widest, widest + axes[0]), left - len(axes) + widest)
    return made


def _spread(items: Sequence[_Item], rank: int) -> list[_Item]:
    """One entry for every axis up to the last that is indexed; new axes keep theirs."""
    given = sum(item.seen is not None and item.seen is not Ellipsis for item in items)
    found: list[_Item] = []
    for item in items:
        found.extend([_Item(_FULL, slice(None))] * (rank - given) if item.seen is Ellipsis else [item])
    if not any(item.seen is Ellipsis for item in items):
        found.extend([_Item(_FULL, slice(None))] * (rank - given))
    return found


def _basic(x: ast.expr, items: Sequence[_Item]) -> ast.expr:
    """``x`` with numbers, slices and new axes applied."""
    nodes = [_FULL if item.gathers else item.node for item in items]
    while nodes and _is_full(nodes[-1]):
        nodes.pop()
    if not nodes:
        return x
    return ast.Subscript(x, nodes[0] if len(nodes) == 1 else ast.Tuple(nodes, ast.Load()), ast.Load())


def _is_full(node: ast.expr) -> bool:
    return isinstance(node, ast.Slice) and node.lower is None and node.upper is None and node.step is None


def _number_axes(items: Sequence[_Item]) -> int:
    """Tell each entry its axis of what :func:`_basic` gives, and how many there are."""
    axis = 0
    for item in items:
        if item.gathers:
            item.axis = axis
        axis += not item.selects
    return axis


def _positions(item: _Item) -> ast.expr:
    if not _is_mask(item):
        return item.node
    return ast.Subscript(Op("nonzero_per_axis", {"x": item.node}), constant(0), ast.Load())


def _moved(x: ast.expr, axes: Sequence[int], rank: int) -> ast.expr:
    """The given axes first, the others behind."""
    perm = (*axes, *(a for a in range(rank) if a not in axes))
    return Op("transpose", {"x": x}, {"perm": constant(perm)})
