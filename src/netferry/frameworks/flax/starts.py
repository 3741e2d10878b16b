"""Initial values of parameters, said where their layers are made: ``kernel_init=...``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Final

from netferry.ops import registry
from netferry.ops.lowering import CannotWrite, dotted, lower
from netferry.pivot.nodes import Op
from netferry.pivot.program import Program
from netferry.walking import walk

_PLACE: Final = "PARAMETER"
_ALIKE: Final = {"zeros": "zeros_init()", "ones": "ones_init()"}
"""Functions of a shape -> what makes an initialiser that calls them."""


def as_arguments(program: Program) -> None:
    """Give layers whose parameters start in a way of their own the initialisers for that."""
    starts = program.facts.starts if program.facts is not None else {}
    if not starts:
        return
    for tree in [*(d.node for d in program.definitions), program.construction]:
        for node in walk(tree):
            if isinstance(node, Op) and node.layer and getattr(node, "nf_id", -1) in starts:
                node.nf_more = _given(node, starts[node.nf_id])  # type: ignore[attr-defined]


def _given(layer: Op, starts: Mapping[str, Op]) -> list[ast.keyword]:
    spellings = registry.get(layer.name).spellings.get("flax", ())
    params = next((s.params for s in spellings if s.layer and s.write and s.path and s.params), {})
    names = {text.partition(":")[0].strip(): name for name, text in params.items() if "." not in name}
    found = [(names[name], _initialiser(start)) for name, start in starts.items() if name in names]
    return [ast.keyword(f"{name}_init", made) for name, made in found if made is not None]


def _initialiser(start: Op) -> ast.expr | None:
    """What gives the values for a key and a shape; None where the target has no such function."""
    try:
        made = lower(start.replace(operands={"x": ast.Name(_PLACE, ast.Load())}), "flax")
    except CannotWrite:
        return None
    match made:
        case ast.Call(func=ast.Call() as maker, args=[_, ast.Attribute(attr="shape")]):
            return maker
        case ast.Call(func=ast.Attribute(attr=name), args=[ast.Attribute(attr="shape")]) if name in _ALIKE:
            return ast.parse(f"flax.nnx.initializers.{_ALIKE[name]}", mode="eval").body
        case ast.Call(func=ast.Attribute(attr="full"), args=[ast.Attribute(attr="shape"), value]):
            return ast.Call(dotted("flax.nnx.initializers.constant"), [value], [])
    return None
