"""Channels told by the text alone, for layers that the run did not reach: what the layer before was told to give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from netferry.ops import registry
from netferry.passes.provenance import OUTPUTS
from netferry.pivot.copying import copied
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import LayerCall, Op, constant
from netferry.walking import walk

_KEEPING = frozenset({"elementwise", "dropout", "channels"})
_DEEP = 20
_SPATIAL = re.compile(r"(\d)d$")


class Told:
    """Looks layers up in the text around them."""

    def __init__(self, trees: Iterable[ast.AST]) -> None:
        self._parents = {
            id(child): node for tree in trees for node in walk(tree) for child in ast.iter_child_nodes(node)
        }

    def size(self, layer: Op, name: str) -> ast.expr | None:
        """A size that a layer must be told: channels, or ``dimensions``, over how many axes it works beside them."""
        before = self._before(layer)
        if name != "dimensions":
            return _told(before) if before is not None else None
        spatial = _SPATIAL.search(before.name) if before is not None else None
        return ast.Constant(int(spatial[1])) if spatial else None

    def seen(self, layer: Op, name: str, axis: int, values: Mapping[int, Sequence[Any]]) -> ast.expr | None:
        """The size along an axis of what a layer would be called with, or its ``dimensions``, where the run saw just one."""
        sizes = self._sizes(self._operand(layer), name, axis, values, _DEEP)
        return constant(sizes.pop()) if len(sizes) == 1 else None

    def _sizes(
        self, value: ast.expr | None, name: str, axis: int, values: Mapping[int, Sequence[Any]], depth: int
    ) -> set[int | None]:  # fmt: skip
        """The sizes that an expression may have; None among them where it is not known."""
        found = [v for v in values.get(getattr(value, "nf_id", -1), ()) if isinstance(v, Tensor)]
        if value is None or found or not depth:
            shapes = {v.shape for v in found if len(v.shape) > 1}
            return {max(len(s) - 2, 1) if name == "dimensions" else s[axis] for s in shapes} or {None}
        if isinstance(value, ast.Name):
            given: list[ast.expr | None] = [*self._branches(value)] or [self._value(value)]
        else:
            before, operand = _application(value)
            given = [operand if before is not None and _keeps(before) else None]
        return {size for g in given for size in self._sizes(g, name, axis, values, depth - 1)}

    def _branches(self, name: ast.Name) -> list[ast.expr]:
        """What a name is given in each branch of the statement right before; empty where that is no such statement."""
        statement = self._statement(name)
        block = self._block(statement)
        at = block.index(statement) if isinstance(statement, ast.stmt) and statement in block else 0
        before = block[at - 1] if at else None
        found: list[ast.expr] = []
        while isinstance(before, ast.If):
            found += [
                s.value for s in before.body[-1:] if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == name.id
            ]
            if not before.orelse:  # Or what it was before.
                earlier = (s for s in block[: at - 1] if isinstance(s, ast.Assign))
                found += [s.value for s in earlier if ast.unparse(s.targets[0]) == name.id][-1:] if found else []
            before = before.orelse[0] if before.orelse else None
        return found

    def _statement(self, node: ast.AST) -> ast.AST | None:
        found: ast.AST | None = node
        while found is not None and not isinstance(found, ast.stmt):
            found = self._parents.get(id(found))
        return found

    def _block(self, statement: ast.AST | None) -> list[ast.stmt]:
        """The statements among which one stands."""
        parent = self._parents.get(id(statement))
        blocks = [b for part in ("body", "orelse") if isinstance(b := getattr(parent, part, []), list)]
        return next((b for b in blocks if statement in b), [])

    def _operand(self, layer: Op) -> ast.expr | None:
        """What a layer is called with where it is made."""
        parent = self._parents.get(id(layer))
        if isinstance(parent, LayerCall) and parent.callee is layer and parent.operands:
            return parent.operands[0].value
        return parent.args[0] if isinstance(parent, ast.Call) and parent.func is layer and parent.args else None

    def _before(self, layer: Op) -> Op | None:
        """The layer before a layer that was told how many channels to give, which all between them keep."""
        parent = self._parents.get(id(layer))
        if isinstance(parent, ast.List | ast.Tuple):
            return self._given(parent.elts[: parent.elts.index(layer)], _DEEP)
        return self._of(self._operand(layer), _DEEP)

    def _given(self, before: list[ast.expr], depth: int) -> Op | None:
        """The last of some layers, which follow each other, that tells the channels."""
        if not before or not depth:
            return None
        *rest, last = before
        layer = self._value(last) if isinstance(last, ast.Name) else last
        if not isinstance(layer, Op):
            return None
        return layer if _told(layer) is not None else self._given(rest, depth - 1) if _keeps(layer) else None

    def _of(self, value: ast.expr | None, depth: int) -> Op | None:
        """The layer that told the channels of a tensor."""
        if value is None or not depth:
            return None
        if isinstance(value, ast.Name):
            return self._of(self._value(value), depth - 1)
        layer, operand = _application(value)
        if layer is None:
            return None
        return layer if _told(layer) is not None else self._of(operand, depth - 1) if _keeps(layer) else None

    def _value(self, name: ast.Name) -> ast.expr | None:
        """What a name was given last, in the statements before the one that reads it."""
        statement = self._statement(name)
        while isinstance(statement, ast.stmt) and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            parent = self._parents.get(id(statement))
            block = self._block(statement)
            for before in reversed(block[: block.index(statement)] if statement in block else []):
                match before:
                    case ast.Assign(targets=[ast.Name(id=same)], value=value) if same == name.id:
                        return value
                stores = (n for n in walk(before) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
                if any(n.id == name.id for n in stores):
                    return None
            statement = parent
        return None


def _application(value: ast.expr) -> tuple[Op | None, ast.expr | None]:
    """The layer or op that gives a value, and what it works on."""
    match value:
        case LayerCall(callee=Op() as layer, operands=[first, *_]):
            return layer, first.value
        case ast.Call(func=Op() as layer, args=[argument, *_]):
            return layer, argument
        case Op(layer=False, operands=[first, *_]):
            return value, first.value
    return None, None


def _told(layer: Op) -> ast.expr | None:
    """How many channels a layer was told to give, where names alone say it."""
    found = next((v for name in OUTPUTS if (v := layer.attribute(name)) is not None), None)
    plain = found is not None and all(
        isinstance(n, ast.Name | ast.Constant | ast.BinOp | ast.Attribute) for n in walk(found)
    )
    return copied(found) if plain else None


def _keeps(layer: Op) -> bool:
    """Whether a layer gives as many channels as it takes."""
    return registry.get(layer.name).layout in _KEEPING and not any(
        a.name in OUTPUTS for a in registry.get(layer.name).attributes
    )
