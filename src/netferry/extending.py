"""Classes that extend a stock layer and inherit its constructor: they get one that takes the source's arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from netferry.ops import registry
from netferry.ops.binding import CannotBind, bind
from netferry.ops.core import INFERRED, REQUIRED
from netferry.pivot.nodes import Op, Reference, constant

_CONSTRUCTOR = "__init__"


def add_constructor(node: ast.ClassDef, given: Iterable[str]) -> None:
    """Give a class without a constructor the one of the stock layer it extends, for the arguments ``given`` anywhere."""
    if len(node.bases) != 1 or any(isinstance(s, ast.FunctionDef) and s.name == _CONSTRUCTOR for s in node.body):
        return
    base = node.bases[0]
    made = _constructor(base.path, set(given)) if isinstance(base, Reference) and base.kind == "base" else None
    if made is not None:
        after_docstring = int(ast.get_docstring(node, clean=False) is not None)
        node.body = [*node.body[:after_docstring], made, *node.body[after_docstring:]]


def _constructor(path: str, given: set[str]) -> ast.FunctionDef | None:
    for op, spelling in registry.find(path):
        if not spelling.layer:
            continue
        parameters = [
            p
            for p in spelling.parsed.parameters
            if not p.variadic and (p.default is REQUIRED or (p.name in given and p.default is not INFERRED))
        ]
        try:
            bound = bind(op, spelling, [], [ast.keyword(p.name, ast.Name(p.name, ast.Load())) for p in parameters])
        except CannotBind:
            continue
        base = ast.Attribute(ast.Call(ast.Name("super", ast.Load()), [], []), _CONSTRUCTOR, ast.Load())
        call = Op(op.name, bound.operands, bound.attributes, layer=True, indirect=base)
        call.complete = True  # type: ignore[attr-defined]
        arguments = [ast.arg("self"), *(ast.arg(p.name) for p in parameters)]
        defaults = [constant(p.default) for p in parameters if p.default is not REQUIRED]
        taken = ast.arguments([], arguments, None, [], [], None, defaults)
        return ast.FunctionDef(name=_CONSTRUCTOR, args=taken, body=[ast.Expr(call)], decorator_list=[], returns=None)
    return None
