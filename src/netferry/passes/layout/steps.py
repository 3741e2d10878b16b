"""What several rules of the layout do: give up an order, produce one, renumber axes."""

from __future__ import annotations

from typing import Any

from netferry.passes.layout.bound import Use, tensors
from netferry.passes.layout.orders import Order, conversion, identity, is_identity
from netferry.passes.layout.solve import Edit, Solver
from netferry.pivot.facts import Tensor


def opaque(solver: Solver, use: Use) -> Edit:
    """Needs the source's order and gives it."""
    edit = Edit()
    for name, operand in use.operands.items():
        source_order(solver, edit, name, operand)
    first = next(iter(use.operands.values()), None)
    inputs = {t.identity: t for o in use.operands.values() for t in tensors(o)}
    for result in use.results:
        if result.identity in inputs:
            continue
        produce(solver, edit, use, result)
    if isinstance(first, Tensor) and use.rule in ("shape", "size", "index"):
        edit.order = identity(len(first.shape))
    return edit


def source_order(solver: Solver, edit: Edit, name: str, operand: Any) -> None:
    if isinstance(operand, Tensor):
        solver.require(edit, name, operand, identity(len(operand.shape)))
    elif isinstance(operand, list | tuple):
        for i, member in enumerate(operand):
            source_order(solver, edit, f"{name}[{i}]", member)


def produce(solver: Solver, edit: Edit, use: Use, result: Tensor, order: Order | None = None) -> None:
    """Give the result its order: the wished one at the cost of a transpose here, once, rather than at every reader."""
    have = order or identity(len(result.shape))
    wish = solver.desire(result)
    if (
        wish is not None
        and wish != have
        and len(use.results) == 1
        and use.where not in solver.pinned
        and use.rule != "setitem"
    ):
        edit.result = conversion(have, wish)
        have = wish
    solver.set(result, have)


def axis_of(axis: Any, rank: int) -> int:
    return int(axis) % rank if rank else 0


def moved_axis(order: Order, axis: int) -> int:
    """Where a source axis is stored; the last one is written -1 as people do."""
    position = order.index(axis)
    return -1 if position == len(order) - 1 and position != axis else position


def move_axes(edit: Edit, use: Use, order: Order, rank: int) -> None:
    if is_identity(order):
        return
    for name in ("axis", "axes"):
        value = use.attributes.get(name)
        if isinstance(value, int):
            edit.attributes[name] = moved_axis(order, axis_of(value, rank))
        elif isinstance(value, list | tuple):
            edit.attributes[name] = tuple(order.index(axis_of(v, rank)) for v in value)
