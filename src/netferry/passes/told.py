"""Channels told by the text alone, for layers that the run did not reach: what the layer before was told to give."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from netferry.ops import registry
from netferry.passes.provenance import OUTPUTS
from netferry.pivot.copying import copied
from netferry.pivot.nodes import LayerCall, Op
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

    def _before(self, layer: Op) -> Op | None:
        """The layer before a layer that was told how many channels to give, which all between them keep."""
        parent = self._parents.get(id(layer))
        if isinstance(parent, ast.List | ast.Tuple):
            return self._given(parent.elts[: parent.elts.index(layer)], _DEEP)
        if isinstance(parent, LayerCall) and parent.callee is layer and parent.operands:
            return self._of(parent.operands[0].value, _DEEP)
        if isinstance(parent, ast.Call) and parent.func is layer and parent.args:
            return self._of(parent.args[0], _DEEP)
        return None

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
        statement: ast.AST | None = name
        while statement is not None and not isinstance(statement, ast.stmt):
            statement = self._parents.get(id(statement))
        while isinstance(statement, ast.stmt) and not isinstance(statement, ast.FunctionDef | ast.ClassDef):
            parent = self._parents.get(id(statement))
            for block in (getattr(parent, part, []) for part in ("body", "orelse")):
                if isinstance(block, list) and statement in block:
                    for before in reversed(block[: block.index(statement)]):
                        match before:
                            case ast.Assign(targets=[ast.Name(id=same)], value=value) if same == name.id:
                                return value
                        if any(
                            isinstance(n, ast.Name) and n.id == name.id and isinstance(n.ctx, ast.Store)
                            for n in walk(before)
                        ):
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
