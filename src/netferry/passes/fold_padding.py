"""Zeros put around what one convolution reads, as that convolution's own padding."""

from __future__ import annotations

import ast
from typing import Any

from netferry.pivot.nodes import LayerCall, Op, constant, is_literal, literal
from netferry.pivot.program import Program
from netferry.walking import walk


def fold(program: Program) -> None:
    """``x = pad(x, 1); x = conv(x)`` becomes ``x = conv(x)`` with a padding of one, where both sides are equal."""
    for definition in program.definitions:
        for node in walk(definition.node):
            for name in ("body", "orelse"):
                statements = getattr(node, name, None)
                if isinstance(statements, list):
                    setattr(node, name, _folded(statements))


def _folded(statements: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for statement in statements:
        before = kept[-1] if kept else None
        if before is not None and _join(before, statement):
            statement.value = _reading(statement.value, before)
            kept.pop()
        kept.append(statement)
    return kept


def _join(first: ast.stmt, second: ast.stmt) -> bool:
    """Give the convolution of the second statement the padding of the first, where that is all that it is for."""
    match first, second:
        case (
            ast.Assign(targets=[ast.Name(id=padded)], value=Op() as pad),
            ast.Assign(targets=[ast.Name(id=name)], value=value),
        ) if padded == name:
            conv, given = _applied(value)
            if conv is None or not isinstance(given, ast.Name) or given.id != padded:
                return False
            sizes = _sizes(pad, conv)
            if sizes is None:
                return False
            conv.attributes = [k for k in conv.attributes if k.arg != "padding"]
            conv.attributes.append(ast.keyword("padding", constant(sizes)))
            return True
    return False


def _applied(value: ast.expr) -> tuple[Op | None, ast.expr | None]:
    """The convolution that an expression makes and applies, and to what."""
    match value:
        case LayerCall(callee=Op() as made, operands=[ast.keyword(value=given)]):
            pass
        case ast.Call(func=Op(layer=True) as made, args=[given], keywords=[]):
            pass
        case _:
            return None, None
    listing = made.operand("layers") if made.name == "sequential" else None
    first = listing.elts[0] if isinstance(listing, ast.List) and listing.elts else made
    return (
        (first, given)
        if isinstance(first, Op) and "conv" in first.name and "transpose" not in first.name
        else (None, None)
    )


def _sizes(pad: Op, conv: Op) -> Any:
    """The padding of both sides of every axis; None where they differ, or the convolution pads itself."""
    n = conv.name[-2]
    if not n.isdigit() or pad.name != f"spatial_pad{n}d" or pad.layer or {k.arg for k in pad.attributes} != {"pads"}:
        return None
    own, given = conv.attribute("padding"), pad.attribute("pads")
    if not is_literal(given) or not (own is None or (is_literal(own) and literal(own) in (0, "valid"))):
        return None
    value = literal(given)
    each = value if isinstance(value, tuple | list) else (value,) * int(n)
    if int(n) == 1 and len(each) == 2:
        each = (each,)
    sides = [s if isinstance(s, tuple | list) else (s, s) for s in each]
    if len(sides) != int(n) or any(a != b for a, b in sides):
        return None
    return sides[0][0] if len({a for a, _ in sides}) == 1 else tuple(a for a, _ in sides)


def _reading(value: ast.expr, before: ast.Assign) -> ast.expr:
    """The application with what was padded."""
    assert isinstance(before.value, Op)
    given = before.value.operand("x")
    assert given is not None
    if isinstance(value, LayerCall):
        value.operands[0].value = given
    elif isinstance(value, ast.Call):
        value.args = [given]
    return value
