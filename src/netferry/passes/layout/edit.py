"""Applies a solved layout to the pivot: transposes, axis arguments, shape reads, indices, sizes."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from netferry.passes.layout.orders import Order, identity, is_identity
from netferry.passes.layout.rules import spread
from netferry.passes.layout.solve import Edit, Layout
from netferry.pivot.nodes import LayerCall, Op, constant
from netferry.pivot.program import Program
from netferry.project.names import dotted
from netferry.walking import Transformer, walk


def apply(program: Program, layout: Layout) -> Program:
    """Rewrite every site of ``program`` that the layout changes."""
    for definition in program.definitions:
        definition.node = _Apply(layout).visit(definition.node)
    return program


def leading_reads(program: Program) -> set[int]:
    """The reads of shapes of which only the size of the first axis is used: ``x.shape[0]``."""
    return {
        getattr(node.value, "nf_id", -1)
        for definition in program.definitions
        for node in walk(definition.node)
        if isinstance(node, ast.Subscript) and isinstance(node.value, Op) and node.value.name == "shape"
        if isinstance(node.slice, ast.Constant) and node.slice.value == 0
    }


def transposed(value: ast.expr, perm: Order) -> ast.expr:
    """``value`` with its axes permuted."""
    return Op("transpose", {"x": value}, {"perm": constant(tuple(perm))})


def _met(value: ast.expr, edit: Edit, name: str) -> ast.expr:
    """An operand with its axes where the others have them."""
    if (perm := edit.convert.get(name)) is not None:
        value = transposed(value, perm)
    if (own := edit.align.get(name)) is None:
        return value
    axes: list[ast.expr] = [ast.Slice() if is_own else ast.Constant(None) for is_own in own]
    return ast.Subscript(value, ast.Tuple(axes, ast.Load()), ast.Load())


_ORDERLESS = frozenset({"math.prod", "np.prod", "numpy.prod", "sum", "max", "min"})
"""Functions of sizes for which their sequence means nothing."""


class _Apply(Transformer):
    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def _edit(self, node: ast.AST, kind: str = "call") -> Edit | None:
        found = self.layout.edits.get((kind, getattr(node, "nf_id", -1)))
        return None if found is None or found.trivial else found

    def _display(self, node: ast.List | ast.Tuple) -> ast.AST:
        new = self.layout.displays.get(getattr(node, "nf_id", -1))
        if new is None or len(new) != len(node.elts):
            return self.generic_visit(node)
        return ast.copy_location(constant(list(new) if isinstance(node, ast.List) else new), node)

    visit_List = _display  # noqa: N815
    visit_Tuple = _display  # noqa: N815

    def visit_Op(self, node: Op) -> ast.AST:
        for result in getattr(node, "nf_follows", ()):
            order = self.layout.orders.get(result)
            if order is not None and not is_identity(order):
                node = node.replace(attributes={"axis": constant(order.index(len(order) - 1))})
                break
        if node.layer:
            node.nf_ranks = self.layout.ranks.get(getattr(node, "nf_id", -1), set())  # type: ignore[attr-defined]
        edit = (self._edit(node, "made") or self._edit(node, "layer")) if node.layer else self._edit(node)
        calls = self._edit(node) if node.layer else None
        self.generic_visit(node)
        if edit is None:
            return node
        if node.layer:
            return self._layer(node, edit)
        if calls is not None:
            return node
        self._convert(node.operands, edit)
        if edit.drop:
            return node.operands[0].value
        if node.name == "index_update" and edit.order is not None:
            index = node.operand("index")
            assert isinstance(index, ast.Subscript)
            index.slice = _index(index.slice, edit.order)
        made = self._attributes(node, edit)
        return transposed(made, edit.result) if edit.result else made

    def _layer(self, node: Op, edit: Edit) -> ast.expr:
        """A layer that is called inside a container or by name: its own axis arguments, and transposes around it."""
        if edit.drop:
            return Op("identity", {}, layer=True, site=node.site)
        made: ast.expr = self._attributes(node, edit)
        before = next(iter(edit.convert.values()), None)
        if before is None and edit.result is None:
            return made
        chain = [made]
        made.nf_within = (0 if before is None else 1,)  # type: ignore[attr-defined]  # where the weights are
        if before is not None:
            chain.insert(0, Op("transpose", {}, {"perm": constant(before)}, layer=True))
        if edit.result is not None:
            chain.append(Op("transpose", {}, {"perm": constant(edit.result)}, layer=True))
        return Op("sequential", {"layers": ast.List(chain, ast.Load())}, layer=True, site=node.site)

    def _attributes(self, node: Op, edit: Edit) -> Op:
        changes: dict[str, ast.expr | None] = {k: constant(v) for k, v in edit.attributes.items()}
        if edit.rename == "transpose":
            changes |= {"axis1": None, "axis2": None}
        if edit.rename == "reshape":
            changes |= {"start_axis": None, "end_axis": None}
        for name, order in edit.reorder.items():
            value = node.attribute(name)
            if value is not None:
                changes[name] = self._moved_sizes(value, order)
                node.nf_order = order  # type: ignore[attr-defined]
        made = node.replace(edit.rename or None, attributes=changes)
        for name in ("nf_id", "nf_order", "nf_ranks", "nf_given", "inplace", "alternatives", "complete"):
            if hasattr(node, name):
                setattr(made, name, getattr(node, name))
        return ast.copy_location(made, node) if hasattr(node, "lineno") else made

    def visit_LayerCall(self, node: LayerCall) -> ast.AST:
        edit = self._edit(node)
        self.generic_visit(node)
        if edit is None:
            return node
        self._convert(node.operands, edit)
        if edit.drop:
            return node.operands[0].value
        return transposed(node, edit.result) if edit.result else node

    def _convert(self, operands: list[ast.keyword], edit: Edit) -> None:
        for keyword in operands:
            if (keyword.arg or "") in edit.convert or (keyword.arg or "") in edit.align:
                keyword.value = _met(keyword.value, edit, keyword.arg or "")
                continue
            members = _members(edit.convert, keyword.arg or "")
            if members:
                keyword.value = _convert_members(keyword.value, members)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        edit = self._edit(node)
        self.generic_visit(node)
        if edit is None:
            return node
        node.left, node.right = _met(node.left, edit, "x"), _met(node.right, edit, "y")
        return transposed(node, edit.result) if edit.result else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """``x.shape == sizes`` compares sizes that are in the source's order."""
        edit = self._edit(node)
        sides = [node.left, *node.comparators]
        shapes = [isinstance(s, Op) and s.name == "shape" for s in sides]
        self.generic_visit(node)
        if shapes in ([True, False], [False, True]) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            node.left, node.comparators[0] = (
                self._whole_shape(s) if isinstance(s, Op) and s.name == "shape" else s
                for s in (node.left, node.comparators[0])
            )
        if edit is None:
            return node
        node.left, node.comparators[0] = _met(node.left, edit, "x"), _met(node.comparators[0], edit, "y")
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        edit = self._edit(node)
        self.generic_visit(node)
        if edit is not None:
            node.value = _met(node.value, edit, "y")
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """``b, c, h, w = x.shape`` names the axes in the target's order."""
        value = node.value
        if isinstance(value, ast.Tuple) and isinstance(node.targets[0], ast.Tuple):
            self.generic_visit(node)
            starred = any(isinstance(e, ast.Starred) for e in node.targets[0].elts)
            self._spelled(value) if starred else self._unpacked(node.targets[0], value)
            return node
        if isinstance(value, Op) and value.name == "shape" and isinstance(node.targets[0], ast.Tuple):
            edit = self._edit(value)
            target = node.targets[0]
            order = edit.order if edit is not None else None
            if order is not None and _has_elements(target, len(order)):
                node.targets = [ast.Tuple([target.elts[a] for a in order], ast.Store())]
                self.generic_visit(value)
                return node
        self.generic_visit(node)
        if isinstance(node.value, Op) and node.value.name == "shape":
            node.value = self._whole_shape(node.value)
        return node

    def _unpacked(self, target: ast.Tuple, value: ast.Tuple) -> None:
        """``b, c, h, w, heads = *x.shape, self.heads``: the names of the axes move among themselves."""
        start = 0
        for element in value.elts:
            given = element.value if isinstance(element, ast.Starred) else None
            edit = self._edit(given) if isinstance(given, Op) and given.name == "shape" else None
            if isinstance(element, ast.Starred) and (edit is None or edit.order is None):
                return  # How many axes there are is not known, or they keep their order.
            order = edit.order if edit is not None and edit.order is not None else (0,)
            if len(order) > 1:
                target.elts[start : start + len(order)] = [target.elts[start + a] for a in order]
            start += len(order)

    def _spelled(self, value: ast.Tuple) -> None:
        """``*_, h, w, heads = *x.shape, self.heads``: the sizes are given one by one in the source's order."""
        elements: list[ast.expr] = []
        for element in value.elts:
            given = element.value if isinstance(element, ast.Starred) else None
            whole = self._whole_shape(given) if isinstance(given, Op) and given.name == "shape" else None
            elements.extend(whole.elts if isinstance(whole, ast.Tuple) else [element])
        value.elts = elements

    def _moved_sizes(self, value: ast.expr, order: Order) -> ast.expr:
        """Sizes in the target's order: those of a tensor that has this order are its own."""
        if not isinstance(value, Op) or value.name != "shape":
            return _reordered(value, order)
        edit = self._edit(value)
        theirs = edit.order if edit is not None else None
        return (
            value
            if theirs is not None and tuple(theirs) == tuple(order)
            else _reordered(self._whole_shape(value), order)
        )

    def _whole_shape(self, node: Op) -> ast.expr:
        edit = self._edit(node)
        if edit is None or edit.order is None or is_identity(edit.order):
            return node
        sources = [constant(edit.order.index(a)) for a in identity(len(edit.order))]
        elements = [ast.Subscript(node, s, ast.Load()) for s in sources]
        return ast.Tuple(list(elements), ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if dotted(node.func) in _ORDERLESS and node.args:
            node.args[0].nf_orderless = True  # type: ignore[attr-defined]
        self.generic_visit(node)
        return self._summed(node) if dotted(node.func) == "sum" else node

    def _summed(self, node: ast.Call) -> ast.expr:
        """Python's own ``sum``, of tensors."""
        edit = self._edit(node)
        if edit is None:
            return node
        members = _members(edit.convert, "x")
        if members:
            node.args[0] = _convert_members(node.args[0], members)
        return transposed(node, edit.result) if edit.result else node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, Op) and node.value.name == "shape":
            edit = self._edit(node.value)
            self.generic_visit(node.value)
            if edit is not None and edit.order is not None and not is_identity(edit.order):
                return self._shape_item(node, edit.order)
            return node
        edit = self._edit(node)
        self.generic_visit(node)
        if edit is None:
            return node
        if "x" in edit.convert:
            node.value = transposed(node.value, edit.convert["x"])
        elif "index" in edit.reorder:
            node.slice = _new_axes(node.slice, edit.reorder["index"])
        elif edit.order is not None and not is_identity(edit.order):
            node.slice = _index(node.slice, edit.order)
        return transposed(node, edit.result) if edit.result else node

    def _shape_item(self, node: ast.Subscript, order: Order) -> ast.expr:
        rank = len(order)
        try:
            value = ast.literal_eval(node.slice) if not isinstance(node.slice, ast.Slice) else None
        except ValueError:
            value = None
        if isinstance(value, int):
            position = order.index(value % rank)
            node.slice = constant(-1 if position == rank - 1 else position)
            return node
        if isinstance(node.slice, ast.Slice):
            axes = _slice_axes(node.slice, rank)
            if axes is not None:
                positions = [order.index(a) for a in axes]
                return _shape_slice(node, sorted(positions) if hasattr(node, "nf_orderless") else positions, rank)
        node.value = self._whole_shape(node.value)  # type: ignore[arg-type]
        return node


def _slice_axes(part: ast.Slice, rank: int) -> list[int] | None:
    try:
        bounds = [None if b is None else ast.literal_eval(b) for b in (part.lower, part.upper, part.step)]
    except ValueError:
        return None
    return list(range(rank))[slice(*bounds)]


def _shape_slice(node: ast.Subscript, positions: list[int], rank: int) -> ast.expr:
    if positions and positions == list(range(positions[0], positions[0] + len(positions))):
        upper = positions[-1] + 1
        end = None if upper == rank else constant(upper - rank) if upper == rank - 1 else constant(upper)
        start = None if positions[0] == 0 else constant(positions[0])
        node.slice = ast.Slice(start, end)
        return node
    elements: list[ast.expr] = [ast.Subscript(node.value, constant(p), ast.Load()) for p in positions]
    return ast.Tuple(elements, ast.Load())


def _index(key: ast.expr, order: Order) -> ast.expr:
    """A basic index in the target's order, written with an Ellipsis where only the last axis is meant."""
    items = list(key.elts) if isinstance(key, ast.Tuple) else [key]
    spelled: list[Any] = [Ellipsis if isinstance(i, ast.Constant) and i.value is Ellipsis else i for i in items]
    full = [ast.Slice() if isinstance(i, slice) else i for i in spread(tuple(spelled), len(order))]
    moved = [full[axis] for axis in order]
    while len(moved) > 1 and _is_full(moved[-1]):
        moved.pop()
    leading = next((n for n, i in enumerate(moved) if not _is_full(i)), len(moved))
    if len(moved) == len(order) and leading >= 2 and leading == len(moved) - 1:
        moved = [ast.Constant(Ellipsis), moved[-1]]
    return moved[0] if len(moved) == 1 else ast.Tuple(moved, ast.Load())


def _new_axes(key: ast.expr, order: Order) -> ast.expr:
    items = list(key.elts) if isinstance(key, ast.Tuple) else [key]
    return ast.Tuple([items[axis] for axis in order], ast.Load())


def _is_full(node: ast.expr) -> bool:
    return isinstance(node, ast.Slice) and node.lower is None and node.upper is None and node.step is None


def _members(convert: Mapping[str, Order], name: str) -> dict[int, Order]:
    found: dict[int, Order] = {}
    for key, perm in convert.items():
        if key.startswith(f"{name}[") and key.count("[") == 1:
            found[int(key[len(name) + 1 : -1])] = perm
    return found


def _convert_members(value: ast.expr, members: Mapping[int, Order]) -> ast.expr:
    if isinstance(value, ast.List | ast.Tuple) and not any(isinstance(e, ast.Starred) for e in value.elts):
        value.elts = [transposed(e, members[i]) if i in members else e for i, e in enumerate(value.elts)]
        return value
    if len(members) == 1 and 0 in members and not isinstance(value, ast.ListComp):
        member = ast.Name("member", ast.Load())
        generator = ast.comprehension(ast.Name("member", ast.Store()), value, [], 0)
        return ast.ListComp(transposed(member, members[0]), [generator])
    perms = set(members.values())
    member = ast.Name("member", ast.Load())
    generator = ast.comprehension(ast.Name("member", ast.Store()), value, [], 0)
    return ast.ListComp(transposed(member, perms.pop()), [generator])


def _has_elements(node: ast.Tuple | ast.List, count: int) -> bool:
    """Whether a display has exactly ``count`` elements, none of them unpacked."""
    return len(node.elts) == count and not any(isinstance(e, ast.Starred) for e in node.elts)


def _reordered(value: ast.expr, order: Order) -> ast.expr:
    """The elements of a size tuple in the target's order."""
    if isinstance(value, ast.Tuple | ast.List) and _has_elements(value, len(order)):
        return ast.Tuple([value.elts[axis] for axis in order], ast.Load())
    match value:
        case ast.Tuple(elts=[first, ast.Starred(value=rest)]) if order[0] == 0:
            others: list[ast.expr] = [ast.Subscript(rest, constant(axis - 1), ast.Load()) for axis in order[1:]]
            return ast.Tuple([first, *others], ast.Load())
    elements: list[ast.expr] = [ast.Subscript(value, constant(axis), ast.Load()) for axis in order]
    return ast.Tuple(elements, ast.Load())
