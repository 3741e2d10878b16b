"""Parameters filled in place (``layer.weight.data.normal_(0, 0.01)``), which is initialising them by another name."""

from __future__ import annotations

import ast
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch

from netferry.frameworks.torch.names import callable_path, class_path
from netferry.pivot.nodes import LayerAttribute, Op

if TYPE_CHECKING:
    from netferry.reader import Reader

_FILLS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "normal_": ("init_normal", ("mean", "std")),
    "uniform_": ("init_uniform", ("low", "high")),
    "fill_": ("init_constant", ("value",)),
    "zero_": ("init_zeros", ()),
}
"""Method of a tensor -> the op, and its attributes in the order of the method's arguments."""
_KEPT: Final = "a layer keeps the target's own initial values: the source computes its own from them"
_KEYWORDS: Final = {"from": "low", "to": "high"}


def fill(reader: Reader, node: ast.Expr, call: ast.Call) -> list[ast.stmt] | None:
    """The initialisation that a bare call stands for; None where it is something else."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in _FILLS:
        return None
    name, attributes = _FILLS[call.func.attr]
    owner, is_data = _parameter(call.func.value)
    target = reader.visit(owner) if isinstance(owner, ast.Attribute) else None
    if not isinstance(target, LayerAttribute) and not (is_data and target is not None):
        return None
    given = dict(zip(attributes, call.args, strict=False))
    given |= {_KEYWORDS.get(k.arg or "", k.arg or ""): k.value for k in call.keywords if k.arg != "generator"}
    op = Op(name, {"x": target}, {k: reader.visit(v) for k, v in given.items()}, site=reader.site(call))
    made = ast.Expr(op)
    made.nf_replaces = node  # type: ignore[attr-defined]
    return [ast.copy_location(made, node)]


def elsewhere(reader: Reader, node: ast.Expr, call: ast.Call, callee: Any) -> list[ast.stmt] | None:
    """A change of a layer's initial values that only the source can make: by arithmetic, or in a function of its own.

    Layers may have no parameters yet where they are initialised, so there is nothing to give to such code.
    """
    if isinstance(callee, types.FunctionType | types.MethodType) and callable_path(callee) is None:
        changed = any(_is_parameter(reader, argument) for argument in call.args)
    else:
        function = call.func
        changed = (
            isinstance(function, ast.Attribute)
            and function.attr.endswith("_")
            and (
                _is_part_of_parameter(reader, function.value)
                or (function.attr not in _FILLS and _is_parameter(reader, function.value))
            )
        )
    if not changed:
        return None
    return _left_out(reader, node)


def replaced(reader: Reader, node: ast.Assign) -> list[ast.stmt] | None:
    """``layer.weight = nn.Parameter(...)``: other initial values than the layer's own."""
    match node:
        case ast.Assign(targets=[ast.Attribute() as target], value=ast.Call() as call):
            made = {callable_path(c) for c in reader.callees(call)} == {"torch.nn.Parameter"}
            return _left_out(reader, node) if made and _is_parameter(reader, target) else None
    return None


def _left_out(reader: Reader, node: ast.stmt) -> list[ast.stmt]:
    """Leave initial values out, and say so."""
    reader.note(node, _KEPT, "NF031", "warning")
    return []


def _is_parameter(reader: Reader, node: ast.expr) -> bool:
    """Whether an expression was seen to be a parameter of a stock layer."""
    node = _parameter(node)[0]
    owners = reader.values(node.value) if isinstance(node, ast.Attribute) else []
    return bool(owners) and all(
        isinstance(o, torch.nn.Module)
        and class_path(type(o)) is not None
        and isinstance(getattr(o, node.attr, None), torch.nn.Parameter)  # type: ignore[attr-defined]
        for o in owners
    )


def _is_part_of_parameter(reader: Reader, node: ast.expr) -> bool:
    """``layer.bias[a:b].data``."""
    part = _parameter(node)[0]
    return isinstance(part, ast.Subscript) and _is_parameter(reader, part.value)


def _parameter(node: ast.expr) -> tuple[ast.expr, bool]:
    """``layer.weight`` of ``layer.weight.data`` and ``layer.weight.detach()``, and whether it was written so."""
    match node:
        case ast.Attribute(value=owner, attr="data"):
            return owner, True
        case ast.Call(func=ast.Attribute(value=owner, attr="detach"), args=[]):
            return owner, True
    return node, False
