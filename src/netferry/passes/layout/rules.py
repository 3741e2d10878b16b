"""How each kind of op treats axis order: what it would like of its operands, and what it does to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netferry.ops.patterns import BadPattern, Pattern
from netferry.passes.layout.bound import Use, tensors
from netferry.passes.layout.orders import (
    Order,
    aligned,
    carried,
    factor,
    identity,
    is_identity,
    moves_units,
    trailing,
    without,
)
from netferry.passes.layout.reshaping import expand, insert, permutation, permute, reshape, squeeze, unsqueeze
from netferry.passes.layout.solve import Edit, Rule, Solver
from netferry.passes.layout.steps import axis_of, move_axes, moved_axis, opaque, produce, source_order
from netferry.pivot.facts import Tensor

# -- backward: wishes ------------------------------------------------------------------------------------------------


def desire(solver: Solver, use: Use) -> None:
    """Hand the wish for the result on to the operands, or make one."""
    first = next(iter(use.operands.values()), None)
    out = use.results[0] if use.results else None
    wish = solver.desire(out) if out is not None else None
    match use.rule:
        case "channels":
            if isinstance(first, Tensor) and len(first.shape) > 2:
                solver.want(first, solver.native(len(first.shape)))
        case "elementwise" | "dropout" | "pad" | "pads" | "axis" | "expand" | "setitem" | "concat":
            if wish is not None:
                for operand in use.operands.values():
                    for value in tensors(operand):
                        if len(value.shape) == len(wish):
                            solver.want(value, wish)
                        elif 1 < len(value.shape) < len(wish):
                            solver.want(value, trailing(wish, len(value.shape)))
        case "split":
            if isinstance(first, Tensor):
                same = [w for w in map(solver.desire, use.results) if w is not None and len(w) == len(first.shape)]
                if same:
                    solver.want(first, same[0])
        case "reshape" | "flatten":
            if wish is not None and isinstance(first, Tensor) and out is not None:
                solver.want(first, _backwards(first, out, wish))
        case "permute" | "swap":
            if wish is not None and isinstance(first, Tensor):
                perm = permutation(use, len(first.shape))
                # Only hand on wishes that are natural for an operand; a permute can produce any order for free.
                back = tuple(perm[a] for a in wish)
                if back == solver.native(len(back)):
                    solver.want(first, back)
        case "unsqueeze":
            if wish is not None and isinstance(first, Tensor) and out is not None:
                axis = axis_of(use.attributes.get("axis", 0), len(out.shape))
                solver.want(first, without(wish, [axis]))
        case "index":
            if (
                wish is not None
                and isinstance(first, Tensor)
                and len(wish) == len(first.shape)
                and _same_rank(use.operands.get("index"), len(wish))
            ):
                solver.want(first, wish)
        case "pattern":
            if isinstance(first, Tensor) and len(first.shape) > 3 and _names_channels(use.attributes.get("pattern")):
                solver.want(first, solver.native(len(first.shape)))
        case "reduce":
            if wish is not None and isinstance(first, Tensor) and len(wish) == len(first.shape):
                solver.want(first, wish)


def _names_channels(text: Any) -> bool:
    """Whether a pattern says that the second axis of its operand are channels: ``b c h w -> ...``."""
    words = str(text).split()
    return len(words) > 1 and words[1] in ("c", "ch", "channel", "channels")


def _same_rank(index: Any, rank: int) -> bool:
    items = index if isinstance(index, tuple) else (index,)
    return all(isinstance(i, slice) or i is Ellipsis for i in items)


def _backwards(before: Tensor, after: Tensor, wish: Order) -> Order | None:
    factors = factor(after.shape, before.shape)
    if factors is None:
        return None
    found = carried(factors, wish)
    return found if found is not None and not is_identity(found) else None


# -- forward: orders and edits ---------------------------------------------------------------------------------------


def elementwise(solver: Solver, use: Use) -> Edit:
    """All operands broadcast; the result has the common order."""
    edit = Edit()
    if not use.results:
        return edit
    result = use.results[0]
    order = _common(solver, use, result)
    for name, operand in use.operands.items():
        if isinstance(operand, list | tuple):
            for i, member in enumerate(operand):
                _broadcast(solver, edit, f"{name}[{i}]", member, order)
        else:
            _broadcast(solver, edit, name, operand, order)
    for out in use.results:
        if len(out.shape) == len(order):
            solver.set(out, order)
    first = next((o for o in use.operands.values() if isinstance(o, Tensor)), None)
    if first is not None and first.identity in solver.layout.folds and first.shape == result.shape:
        solver.layout.folds[result.identity] = solver.layout.folds[first.identity]
    edit.order = None
    return edit


def _common(solver: Solver, use: Use, result: Tensor) -> Order:
    """The order in which operands meet: what readers wish, else what most operands already have."""
    rank = len(result.shape)
    full = [t for o in use.operands.values() for t in tensors(o) if len(t.shape) == rank]
    have = [solver.order(t) for t in full if t.identity not in solver.free or t.identity in solver.desires]
    moved = [o for o in have if not is_identity(o)]
    wish = solver.desire(result)
    if wish is not None and (wish in have or not have):
        candidate = wish
    elif moved:
        candidate = moved[0]
    else:
        candidate = have[0] if have else identity(rank)
    lower = [t for o in use.operands.values() for t in tensors(o) if 0 < len(t.shape) < rank and t.shape != (1,)]
    away = [t for t in lower if trailing(candidate, len(t.shape)) is None]
    # A vector of channels gets new axes, a nested operand has no place for them.
    if away and (candidate != wish or any(len(t.shape) > 1 for t in away) or not _are_named(use, away)):
        return identity(rank)
    return candidate


def _are_named(use: Use, found: Sequence[Tensor]) -> bool:
    """Whether tensors are operands themselves, not members of lists, of what is one expression."""
    named = {o.identity for o in use.operands.values() if isinstance(o, Tensor)}
    return use.site is not None and all(t.identity in named for t in found)


def _broadcast(solver: Solver, edit: Edit, name: str, value: Any, order: Order) -> None:
    if not isinstance(value, Tensor):
        return
    if len(value.shape) == 1 < len(order) and value.shape != (1,) and trailing(order, 1) is None:
        edit.align[name] = aligned(order, 1)[1]
    if len(value.shape) < 2 and len(value.shape) != len(order):
        return
    needed = order if len(value.shape) == len(order) else trailing(order, len(value.shape))
    if needed is not None:
        solver.require(edit, name, value, needed)


def channels(solver: Solver, use: Use) -> Edit:
    """Works channels last."""
    edit = Edit()
    name, first = next(iter(use.operands.items()))
    if not isinstance(first, Tensor):
        return opaque(solver, use)
    solver.require(edit, name, first, solver.native(len(first.shape)))
    for other, operand in list(use.operands.items())[1:]:
        source_order(solver, edit, other, operand)
    for result in use.results:
        solver.set(result, solver.native(len(result.shape)))
    return edit


def last(solver: Solver, use: Use) -> Edit:
    """Works on the source's last axis; the others are a batch in any order."""
    edit = Edit()
    name, first = next(iter(use.operands.items()))
    if not isinstance(first, Tensor):
        return opaque(solver, use)
    order = solver.order(first)
    if first.identity in solver.layout.folds and use.instance is not None:
        solver.layout.weight_folds[use.instance] = solver.layout.folds[first.identity]
    if order and order[-1] != len(order) - 1:
        order = identity(len(order))
        solver.require(edit, name, first, order)
    for other, operand in list(use.operands.items())[1:]:
        source_order(solver, edit, other, operand)
    for result in use.results:
        if len(result.shape) == len(order):
            produce(solver, edit, use, result, order)
    return edit


def along(solver: Solver, use: Use) -> Edit:
    """Works along attribute ``axis`` (or ``axes``) and keeps the shape."""
    first = next(iter(use.operands.values()), None)
    if not isinstance(first, Tensor):
        return opaque(solver, use)
    order, rank = solver.order(first), len(first.shape)
    edit = Edit()
    move_axes(edit, use, order, rank)
    for name, operand in list(use.operands.items())[1:]:
        if isinstance(operand, Tensor) and len(operand.shape) == rank:
            solver.require(edit, name, operand, order)
        else:
            source_order(solver, edit, name, operand)
    for result in use.results:
        solver.set(result, order if len(result.shape) == rank else identity(len(result.shape)))
    return edit


def pad(solver: Solver, use: Use) -> Edit:
    """Pads axes by a list that counts from the source's last one: the op is told where each axis is stored."""
    first = next(iter(use.operands.values()), None)
    if not isinstance(first, Tensor):
        return opaque(solver, use)
    order = solver.order(first)
    for result in use.results:
        solver.set(result, order)
    return Edit() if is_identity(order) else Edit(attributes={"order": order})


def pads(solver: Solver, use: Use) -> Edit:
    """Pads axes by a list with an entry for each."""
    first = next(iter(use.operands.values()), None)
    if not isinstance(first, Tensor):
        return opaque(solver, use)
    order = solver.order(first)
    for result in use.results:
        solver.set(result, order)
    return Edit() if is_identity(order) else Edit(reorder={"pads": order})


def reduce(solver: Solver, use: Use) -> Edit:
    """Removes the axes it works along, or keeps them as ones."""
    first = next(iter(use.operands.values()))
    if not isinstance(first, Tensor):
        return opaque(solver, use)
    order, rank = solver.order(first), len(first.shape)
    edit = Edit()
    move_axes(edit, use, order, rank)
    if isinstance(edit.attributes.get("axes"), tuple):
        edit.attributes["axes"] = tuple(sorted(edit.attributes["axes"]))
    axes = use.attributes.get("axis", use.attributes.get("axes"))
    gone = (
        list(range(rank))
        if axes is None
        else [axis_of(a, rank) for a in (axes if isinstance(axes, list | tuple) else [axes])]
    )
    for result in use.results:
        size = len(result.shape)
        solver.set(
            result, order if size == rank else without(order, gone) if size == rank - len(set(gone)) else identity(size)
        )
    return edit


def concat(solver: Solver, use: Use) -> Edit:
    """Joins along ``axis``: all members in one order."""
    members = [t for o in use.operands.values() for t in tensors(o)]
    if not members or not use.results:
        return opaque(solver, use)
    rank = len(use.results[0].shape)
    members = [m for m in members if len(m.shape) == rank]
    have = [solver.order(m) for m in members if m.identity not in solver.free]
    wish = solver.desire(use.results[0])
    moved = [o for o in have if not is_identity(o)]
    order = wish if wish is not None and (wish in have or not have) else moved[0] if moved else identity(rank)
    edit = Edit()
    for name, operand in use.operands.items():
        listed = operand if isinstance(operand, list | tuple) else [operand]
        for i, member in enumerate(listed):
            solver.require(edit, f"{name}[{i}]", member, order)
    move_axes(edit, use, order, rank)
    solver.set(use.results[0], order)
    return edit


def stack(solver: Solver, use: Use) -> Edit:
    """Joins along a new axis."""
    members = [t for o in use.operands.values() for t in tensors(o)]
    if not members or not use.results:
        return opaque(solver, use)
    order = solver.order(members[0])
    edit = Edit()
    for name, operand in use.operands.items():
        listed = operand if isinstance(operand, list | tuple) else [operand]
        for i, member in enumerate(listed):
            solver.require(edit, f"{name}[{i}]", member, order)
    insert(solver, use, edit, order)
    return edit


def split(solver: Solver, use: Use) -> Edit:
    """Several results along ``axis``."""
    first = next(iter(use.operands.values()))
    if not isinstance(first, Tensor):
        return opaque(solver, use)
    order, rank = solver.order(first), len(first.shape)
    edit = Edit()
    move_axes(edit, use, order, rank)
    axis = axis_of(use.attributes.get("axis", 0), rank)
    for result in use.results:
        solver.set(result, order if len(result.shape) == rank else without(order, [axis]))
    return edit


def create(solver: Solver, use: Use) -> Edit:
    """A new tensor: in whatever order its readers wish."""
    edit = Edit()
    for result in use.results:
        solver.free.add(result.identity)
        wish = solver.desire(result)
        shape = use.attributes.get("shape")
        if wish is not None and isinstance(shape, list | tuple) and len(shape) == len(wish) and len(use.results) == 1:
            if not moves_units(shape, wish):
                edit.reorder["shape"] = wish
            solver.set(result, wish)
        else:
            produce(solver, edit, use, result)
    return edit


def like(solver: Solver, use: Use) -> Edit:
    """Reads a shape: the result of ``x.shape``, ``x.size(i)``."""
    first = next(iter(use.operands.values()), None)
    edit = Edit()
    if isinstance(first, Tensor):
        order = solver.order(first)
        if use.where[1] in solver.leading and order[:1] == (0,):
            return edit
        edit.order = order
        axis = use.attributes.get("axis")
        if isinstance(axis, int) and not is_identity(edit.order):
            edit.attributes["axis"] = moved_axis(edit.order, axis_of(axis, len(first.shape)))
    return edit


def index(solver: Solver, use: Use) -> Edit:
    """Basic indexing follows the order; indexing with tensors needs the source's."""
    first, key = use.operands.get("x"), use.operands.get("index")
    if not isinstance(first, Tensor) or not use.results:
        return Edit()
    order = solver.order(first)
    items = key if isinstance(key, tuple) else (key,)
    basic = all(isinstance(i, int | slice) or i is None or i is Ellipsis for i in items)
    wish = solver.desire(use.results[0])
    if is_identity(order) and basic and wish is not None and _only_new(items, wish):
        solver.set(use.results[0], wish)
        return Edit(reorder={"index": wish})
    if is_identity(order) and basic and None in items and all(i is None or i == slice(None) for i in items):
        solver.free.add(use.results[0].identity)
    if is_identity(order) or not basic:
        return opaque(solver, use)
    edit = Edit(order=order)
    solver.set(use.results[0], _indexed(order, items))
    return edit


def _only_new(items: tuple[Any, ...], wish: Order) -> bool:
    """Whether ``x[:, :, None, None]`` can have its new axes elsewhere: ``x[:, None, None, :]``."""
    if len(items) != len(wish) or not all(i is None or i == slice(None) for i in items):
        return False
    kept = [axis for axis in wish if items[axis] is not None]
    return kept == sorted(kept)


def _indexed(order: Order, items: tuple[Any, ...]) -> Order:
    """The order after basic indexing, when the index is written in the target's order (new axes come first or last)."""
    full = spread(items, len(order))
    kept = [axis for axis, item in enumerate(full) if isinstance(item, slice)]
    return tuple(kept.index(axis) for axis in order if axis in kept)


def spread(items: tuple[Any, ...], rank: int) -> list[Any]:
    """One entry per axis: Ellipsis and missing entries become full slices (new axes are left out)."""
    real = [i for i in items if i is not None]
    if Ellipsis in [i for i in real if not isinstance(i, Tensor)]:
        at = next(n for n, i in enumerate(real) if i is Ellipsis)
        fill = rank - (len(real) - 1)
        return [*real[:at], *[slice(None)] * fill, *real[at + 1 :]]
    return [*real, *[slice(None)] * (rank - len(real))]


def setitem(solver: Solver, use: Use) -> Edit:
    """Writing into a tensor: basic indices follow its order."""
    first, key, value = (use.operands.get(n) for n in ("x", "index", "value"))
    items = key if isinstance(key, tuple) else (key,)
    if not isinstance(first, Tensor) or is_identity(solver.order(first)):
        return opaque(solver, use)
    if not all(isinstance(i, int | slice) or i is Ellipsis for i in items):
        solver.conflicts.add(use.where)
        return Edit()
    order = solver.order(first)
    edit = Edit(order=order)
    inner = _indexed(order, items)
    if isinstance(value, Tensor) and len(value.shape) == len(inner):
        solver.require(edit, "value", value, inner)
    return edit


def matmul(solver: Solver, use: Use) -> Edit:
    """Works on the last two axes; the result may be wished otherwise."""
    edit = Edit()
    for name, operand in use.operands.items():
        source_order(solver, edit, name, operand)
    for result in use.results:
        produce(solver, edit, use, result)
    return edit


def pattern(solver: Solver, use: Use) -> Edit:
    """Rearranges by names of axes: any order of operand and result is free, the names just change places."""
    first = next(iter(use.operands.values()), None)
    if not isinstance(first, Tensor) or not use.results:
        return opaque(solver, use)
    try:
        parsed = Pattern.parse(use.attributes["pattern"], len(first.shape))
    except BadPattern:
        return opaque(solver, use)
    before, result = solver.order(first), use.results[0]
    wish = solver.desire(result)
    after = wish if wish is not None and use.where not in solver.pinned else identity(len(result.shape))
    solver.set(result, after)
    if is_identity(before) and is_identity(after):
        return Edit()
    return Edit(attributes={"pattern": str(parsed.reordered(before, after))})


RULES: dict[str, Rule] = {
    "elementwise": elementwise, "dropout": elementwise, "channels": channels, "last": last, "axis": along,
    "reduce": reduce, "concat": concat, "stack": stack, "split": split, "permute": permute, "swap": permute,
    "reshape": reshape, "flatten": reshape, "squeeze": squeeze, "unsqueeze": unsqueeze, "expand": expand,
    "matmul": matmul, "einsum": matmul, "shape": like, "size": like, "create": create, "index": index,
    "setitem": setitem, "pad": pad, "pads": pads, "pattern": pattern, "opaque": opaque, "none": lambda solver, use: Edit(),
}  # fmt: skip
