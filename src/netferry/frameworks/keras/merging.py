"""Layers without variables that are made and applied at once: functions."""

from __future__ import annotations

import ast
from typing import Any

from netferry.conventions import MISSING
from netferry.frameworks.keras.activations import activation_layer, rectifier
from netferry.frameworks.keras.wrapping import inlined
from netferry.ops import registry
from netferry.ops.binding import CannotBind, bind
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op
from netferry.reader import Reader


def applied(reader: Reader, node: ast.Call, path: str, strip: Any) -> Any:
    """``Add()([x, y])``, ``Flatten()(x)``, ``Activation("relu")(x)`` as an op; MISSING for anything else."""
    inner = node.func
    if not isinstance(inner, ast.Call) or len(node.args) != 1 or node.keywords:
        return MISSING
    name = getattr(next(iter(reader.callees(inner)), None), "__name__", "")
    if name == "Lambda":
        return inlined(reader, node, inner)
    if name == "Activation":
        given = inner.args[0] if inner.args else next((k.value for k in inner.keywords if k.arg == "activation"), None)
        made = activation_layer(reader, given) if given is not None else None
        return MISSING if made is None else _op(reader, node, made.name, {k.arg: k.value for k in made.attributes})
    if name == "ReLU":
        made = rectifier(reader, inner)
        return MISSING if made is None else _op(reader, node, made.name, {k.arg: k.value for k in made.attributes})
    call = copied(inner)
    strip(reader, call, path)
    for op, spelling in registry.find(path):
        drops = "training" in op.parsed
        if op.has_parameters or (drops and not _in_forward(reader)) or not (_has_function(op) or op.name in _APPLIED):
            continue
        try:
            args, keywords = reader.calls.expand(call, spelling)
            bound = bind(op, spelling, args, keywords)
        except CannotBind:
            continue
        mode: dict[Any, ast.expr] = {"training": Op("is_training", {})} if drops else {}
        return _op(reader, node, op.name, {k: reader.visit(v) for k, v in bound.attributes.items()} | mode)
    return MISSING


def _in_forward(reader: Reader) -> bool:
    """Whether what is read runs in every call of a layer: a layer made there is not kept."""
    inner = reader.function[-1] if reader.function else None
    return bool(reader.class_name) and isinstance(inner, ast.FunctionDef) and inner.name == "forward"


_APPLIED = frozenset(f"{kind}{n}d" for kind in ("spatial_pad", "crop") for n in (1, 2, 3))
"""Layers of which targets make a function themselves."""


def _has_function(op: Any) -> bool:
    """Whether it can be written as a function of tensors."""
    return sum(any(not s.layer and s.write for s in found) for found in op.spellings.values()) > 0


def _op(reader: Reader, node: ast.Call, name: str, attributes: dict[Any, ast.expr]) -> ast.expr:
    operand = registry.get(name).operands[0].name
    site = reader.site(node)
    site.events = [*site.events, *reader.site(node.func).events]  # What the layer was made with was seen there.
    made = Op(name, {operand: reader.visit(node.args[0])}, attributes, site=site)
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return ast.copy_location(made, node)
