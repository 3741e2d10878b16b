"""Which names of a function hold layers: those that are called, and lists of which members are."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from netferry.passes.living import stores
from netferry.pivot.nodes import LayerCall
from netferry.walking import walk


def called(statements: Sequence[ast.stmt]) -> set[str]:
    """The names that are called."""
    nodes = [n for s in statements for n in walk(s)]
    callees = [n.func if isinstance(n, ast.Call) else n.callee for n in nodes if isinstance(n, ast.Call | LayerCall)]
    return {c.id for c in callees if isinstance(c, ast.Name)}


def held(statements: Sequence[ast.stmt]) -> set[str]:
    """The lists of which members are called: ``blocks[i](x)``, ``for block in blocks: x = block(x)``."""
    nodes = [n for s in statements for n in walk(s)]
    callees = [n.func if isinstance(n, ast.Call) else n.callee for n in nodes if isinstance(n, ast.Call | LayerCall)]
    found = {c.value.id for c in callees if isinstance(c, ast.Subscript) and isinstance(c.value, ast.Name)}
    called = {c.id for c in callees if isinstance(c, ast.Name)}
    for loop in (n for n in nodes if isinstance(n, ast.For | ast.comprehension)):
        found |= {n for target, source in _paired(loop.target, loop.iter) if target & called for n in source}
    made = [n for n in nodes if isinstance(n, ast.Assign) and isinstance(n.value, ast.List)]
    return found & {name for n in made for name in stores(n)}


def _paired(target: ast.expr, source: ast.expr) -> list[tuple[set[str], set[str]]]:
    """The names that a loop binds, and the list that each takes members of: also of one in ``zip`` or ``enumerate``."""
    match target, source:
        case ast.Tuple(elts=targets), ast.Call(func=ast.Name(id="zip"), args=args) if len(targets) == len(args):
            return [pair for t, a in zip(targets, args, strict=True) for pair in _paired(t, a)]
        case ast.Tuple(elts=[_, inner]), ast.Call(func=ast.Name(id="enumerate"), args=[given]):
            return _paired(inner, given)
        case ast.Name(), ast.Call(func=ast.Name(id="reversed" | "list"), args=[given]):
            return _paired(target, given)
        case ast.Name(id=name), ast.Name(id=held):
            return [({name}, {held})]
    return []
