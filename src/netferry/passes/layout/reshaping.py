"""How ops that regroup, renumber, add, remove or repeat axes treat their order."""

from __future__ import annotations

from typing import Any

from netferry.passes.layout.bound import Use
from netferry.passes.layout.orders import (
    Order,
    carried,
    factor,
    identity,
    is_identity,
    reaches,
    trailing,
    with_new,
    without,
)
from netferry.passes.layout.solve import Edit, Fold, Solver
from netferry.passes.layout.steps import axis_of, move_axes, opaque, produce
from netferry.pivot.facts import Tensor


def insert(solver: Solver, use: Use, edit: Edit, order: Order) -> None:
    """A new axis: where readers wish it, else where the source has it."""
    result = use.results[0]
    rank = len(result.shape)
    axis = axis_of(use.attributes.get("axis", 0), rank)
    wish = solver.desire(result)
    if wish is not None and without(wish, [axis]) == order:
        position = wish.index(axis)
    elif is_identity(order):
        position = axis
    else:
        # Behind the axis that precedes it in the source, or in front of the one that follows.
        position = order.index(axis - 1) + 1 if axis and axis - 1 in order else order.index(axis)
    if position != axis:
        edit.attributes["axis"] = -1 if position == rank - 1 else position
    solver.set(result, with_new(order, axis, position))


def unsqueeze(solver: Solver, use: Use) -> Edit:
    """Inserts an axis of size one."""
    first = next(iter(use.operands.values()))
    if not isinstance(first, Tensor) or not use.results or not isinstance(use.attributes.get("axis"), int):
        return opaque(solver, use)
    edit = Edit()
    insert(solver, use, edit, solver.order(first))
    return edit


def squeeze(solver: Solver, use: Use) -> Edit:
    """Removes axes of size one."""
    first = next(iter(use.operands.values()))
    if not isinstance(first, Tensor) or not use.results:
        return opaque(solver, use)
    order, rank = solver.order(first), len(first.shape)
    edit = Edit()
    move_axes(edit, use, order, rank)
    given = use.attributes.get("axis", use.attributes.get("axes"))
    axes = range(rank) if given is None else given if isinstance(given, list | tuple) else [given]
    gone = [axis_of(a, rank) for a in axes if first.shape[axis_of(a, rank)] == 1]
    solver.set(use.results[0], without(order, gone))
    return edit


def permutation(use: Use, rank: int) -> Order:
    if use.rule == "swap":
        found = list(range(rank))
        a = use.attributes.get("axis1", -2)
        b = use.attributes.get("axis2", -1)
        a, b = axis_of(-2 if a is None else a, rank), axis_of(-1 if b is None else b, rank)
        if rank >= 2:
            found[a], found[b] = found[b], found[a]
        return tuple(found)
    perm = use.attributes.get("perm")
    if not isinstance(perm, list | tuple):
        return tuple(reversed(range(rank)))
    return tuple(axis_of(p, rank) for p in perm)


def permute(solver: Solver, use: Use) -> Edit:
    """Renumbers axes: often the whole transpose disappears in the target's order."""
    first = next(iter(use.operands.values()))
    if not isinstance(first, Tensor) or not use.results:
        return opaque(solver, use)
    result = use.results[0]
    have, perm = solver.order(first), permutation(use, len(first.shape))
    want = solver.desire(result) or identity(len(perm))
    if use.where in solver.pinned:
        want = identity(len(perm))
    needed = tuple(have.index(perm[axis]) for axis in want)
    edit = Edit()
    solver.set(result, want)
    display = next(iter(use.event.origins.values()), None) if use.event is not None else None
    if display is not None and use.where not in solver.pinned:
        solver.rewrite(use, display, needed)
    elif is_identity(needed):
        edit.drop = True
    elif needed != perm:
        edit.rename = "transpose"
        edit.attributes["perm"] = needed
    return edit


def reshape(solver: Solver, use: Use) -> Edit:
    """Regroups elements: without a transpose where the groups lie together in the target's order."""
    name, first = next(iter(use.operands.items()))
    if not isinstance(first, Tensor) or not use.results:
        return opaque(solver, use)
    result = use.results[0]
    edit = Edit()
    have = solver.order(first)
    if first.identity in solver.layout.folds and result.shape != first.shape:
        solver.conflicts.add(use.where)
    factors = factor(first.shape, result.shape)
    want = _reached(solver, use, factors, have, result)
    if want is None and _fold(solver, use, edit, first, result, have):
        return edit
    if want is None:
        solver.require(edit, name, first, identity(len(have)))
        have = identity(len(have))
        want = _reached(solver, use, factors, have, result) or identity(len(result.shape))
        if not is_identity(want) and not (factors and reaches(factors, have, want)):
            want = identity(len(result.shape))
    _write_shape(edit, use, first, result, have, want)
    produce(solver, edit, use, result, want)
    return edit


def _reached(solver: Solver, use: Use, factors: Any, have: Order, result: Tensor) -> Order | None:
    if factors is None:
        return identity(len(result.shape)) if is_identity(have) else None
    wish = solver.desire(result)
    for candidate in (wish, identity(len(result.shape)), carried(factors, have)):
        if candidate is not None and reaches(factors, have, candidate):
            if wish is None and all(factors.after[1:]):
                solver.carried.setdefault((use.where, len(candidate)), set()).add(candidate)
            return candidate
    return None


def _write_shape(edit: Edit, use: Use, first: Tensor, result: Tensor, have: Order, want: Order) -> None:
    if use.rule == "flatten":
        start = axis_of(use.attributes.get("start_axis", 0), len(first.shape))
        end = axis_of(use.attributes.get("end_axis", -1), len(first.shape))
        if is_identity(have):
            return
        positions = sorted(have.index(a) for a in range(start, end + 1))
        # The merged axis may have other ones of size one between: a reshape by sizes says it best.
        if positions == list(range(positions[0], positions[0] + len(positions))):
            if (positions[0], positions[-1]) != (start, end):
                edit.attributes["start_axis"] = positions[0]
                edit.attributes["end_axis"] = positions[-1]
        else:
            edit.rename = "reshape"
            edit.attributes["shape"] = tuple(result.shape[a] if a else -1 for a in want)
    elif not is_identity(want):
        edit.reorder["shape"] = want


def _fold(solver: Solver, use: Use, edit: Edit, first: Tensor, result: Tensor, have: Order) -> bool:
    """Flatten in the target's order and let the next layer's weights follow."""
    rank = len(result.shape)
    if rank != 2 or len(first.shape) < 3 or first.shape[0] != result.shape[0] or have[0] != 0:
        return False
    if not solver.may_fold(result):
        return False
    order = tuple(a - 1 for a in have[1:])
    solver.layout.folds[result.identity] = Fold(1, tuple(first.shape[1:]), order)
    solver.set(result, identity(2))
    edit.fold = True
    return True


def expand(solver: Solver, use: Use) -> Edit:
    """Repeats axes of size one; the sizes are given for every axis."""
    name, first = next(iter(use.operands.items()))
    if not isinstance(first, Tensor) or not use.results:
        return opaque(solver, use)
    result = use.results[0]
    order = solver.order(first)
    edit = Edit()
    if len(first.shape) != len(result.shape):
        wish = solver.desire(result)
        if wish is not None and trailing(wish, len(first.shape)) == order:
            edit.reorder["shape"] = wish
            solver.set(result, wish)
            return edit
        solver.require(edit, name, first, identity(len(order)))
        produce(solver, edit, use, result)
        return edit
    if not is_identity(order):
        edit.reorder["shape"] = order
        edit.reorder["repeats"] = order
    for other, operand in list(use.operands.items())[1:]:
        if isinstance(operand, Tensor):
            solver.require(edit, other, operand, order)
    solver.set(result, order)
    return edit
