"""Classes that extend a stock layer and leave nothing of it but its name and arguments: they are layers of their own."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import keras

from netferry.frameworks.keras.vocabulary import class_path
from netferry.ops import registry
from netferry.pivot.nodes import Reference, constant
from netferry.reader import Reader
from netferry.walking import walk

_GENERAL = (keras.layers.Layer, keras.Model, keras.Sequential)


def settle(reader: Reader, node: ast.ClassDef) -> None:
    """Let a class with a ``call`` and variables of its own extend no stock layer."""
    base = reader.static(node.bases[0]) if len(node.bases) == 1 else None
    if not isinstance(base, type) or not issubclass(base, keras.layers.Layer) or base in _GENERAL:
        return
    path = class_path(base)
    methods = {s.name: s for s in node.body if isinstance(s, ast.FunctionDef)}
    if path is None or base.__module__.startswith("keras.src.models") or "call" not in methods:
        return
    holds = any(op.has_parameters for op, _ in registry.find(path))
    if _asks_base(methods["call"]) or (holds and ("build" not in methods or _asks_base(methods["build"]))):
        return
    node.bases = [Reference("keras.layers.Layer", "Module")]
    init = methods.get("__init__")
    if init is not None:
        _keep_arguments(node, init, base)


def _asks_base(method: ast.FunctionDef) -> bool:
    """Whether a method calls that of its base."""
    return any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and ast.unparse(n.func.value).startswith("super(")
        and n.func.attr == method.name for n in walk(method)
    )  # fmt: skip


def _keep_arguments(node: ast.ClassDef, init: ast.FunctionDef, base: Any) -> None:
    """``super().__init__(rate=0.5)``: what the class reads of it, it keeps itself."""
    attributes = [
        n for n in walk(node) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self"
    ]
    read = {n.attr for n in attributes if isinstance(n.ctx, ast.Load)}
    read -= {n.attr for n in attributes if isinstance(n.ctx, ast.Store)}
    for position, statement in enumerate(init.body):
        match statement:
            case ast.Expr(value=ast.Call(func=ast.Attribute(attr="__init__")) as call):
                given = _given(call, base)
                call.args, call.keywords = [], []
                kept = [_kept(name, given[name]) for name in given if name in read]
                init.body[position + 1 : position + 1] = kept
                return


def _given(call: ast.Call, base: Any) -> dict[str, ast.expr]:
    """What the base's constructor gets, by name, with what it takes where nothing is given."""
    parameters = [p for p in list(inspect.signature(base.__init__).parameters.values())[1:] if p.name != "kwargs"]
    found: dict[str, ast.expr] = {
        p.name: constant(p.default) for p in parameters if isinstance(p.default, bool | int | float | str | None)
    }
    found |= dict(zip([p.name for p in parameters], call.args, strict=False))
    return found | {k.arg: k.value for k in call.keywords if k.arg}


def _kept(name: str, value: ast.expr) -> ast.stmt:
    target = ast.Attribute(ast.Name("self", ast.Load()), name, ast.Store())
    return (
        ast.copy_location(ast.Assign([target], value), value)
        if hasattr(value, "lineno")
        else ast.Assign([target], value)
    )
