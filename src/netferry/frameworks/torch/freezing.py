"""Parameters that the source keeps from being trained: ``requires_grad`` of a module's, or of a single one."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from netferry.frameworks.torch.names import callable_path
from netferry.pivot.nodes import Op

if TYPE_CHECKING:
    from netferry.reader import Reader

_NORMED: Final = (
    "parameters that the source freezes stay trainable: elsewhere, freezing changes batch normalisation too"
)
_SINGLE: Final = "a single parameter of a layer that the source freezes stays trainable"


def statement(reader: Reader, node: ast.stmt) -> list[ast.stmt] | None:
    """A statement that freezes parameters, in neutral form; None where it is another."""
    match node:
        case ast.For(target=ast.Name(id=name), iter=ast.Call() as call, body=[only], orelse=[]):
            owner, value = _walked(reader, call), _assigned(only, name)
            return _freeze(reader, node, owner, value) if owner is not None and value is not None else None
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="requires_grad_")) as call):
            value = _first(call)
        case ast.Assign(targets=[ast.Attribute(value=owner, attr="requires_grad")], value=value):
            pass
        case _:
            return None
    seen = reader.values(owner)
    if seen and all(isinstance(v, torch.nn.Module) for v in seen):
        return _freeze(reader, node, owner, value)
    return _single(reader, node, owner, value)


def _walked(reader: Reader, call: ast.Call) -> ast.expr | None:
    """``module`` of ``module.parameters()``."""
    if not isinstance(call.func, ast.Attribute) or call.args or call.keywords:
        return None
    paths = {callable_path(c) for c in reader.callees(call)}
    return call.func.value if paths == {"torch.nn.Module.parameters"} or _is_own(reader, call.func) else None


def _is_own(reader: Reader, function: ast.Attribute) -> bool:
    """``self.parameters()`` that the run did not reach."""
    owner = ast.unparse(function.value)
    return function.attr == "parameters" and owner.partition(".")[0] == "self" and not reader.values(function.value)


def _assigned(only: ast.stmt, name: str) -> ast.expr | None:
    """The value that the body of a loop gives ``requires_grad``."""
    match only:
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=owner), attr="requires_grad")], value=value):
            return value if owner == name else None
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr="requires_grad_")) as call):
            return _first(call) if owner == name else None
    return None


def _first(call: ast.Call) -> ast.expr:
    given = [*call.args, *(k.value for k in call.keywords)]
    return given[0] if given else ast.Constant(True)


def _freeze(reader: Reader, node: ast.stmt, owner: ast.expr, value: ast.expr) -> list[ast.stmt]:
    """Freezing what holds batch normalisation means something else elsewhere: its statistics would stand still."""
    if _has_batch_norm(reader.values(owner)):
        reader.note(node, _NORMED, "NF031", "warning")
        return []
    return _made(reader, node, reader.visit(owner), reader.visit(value))


def _has_batch_norm(modules: Sequence[Any]) -> bool:
    return any(isinstance(part, _BatchNorm) for module in modules for part in module.modules())


def _single(reader: Reader, node: ast.stmt, owner: ast.expr, value: ast.expr) -> list[ast.stmt] | None:
    """``self.scale.requires_grad = False`` of a parameter that the user's own class holds."""
    if not isinstance(owner, ast.Attribute):
        return None
    is_own = ast.unparse(owner.value) == "self" and torch.nn.Module in reader.bases
    holders = reader.values(owner.value)
    if not is_own and not (holders and all(isinstance(h, torch.nn.Module) for h in holders)):
        return None
    if not is_own and all(type(h).__module__.startswith("torch.nn.") for h in holders):
        reader.note(node, _SINGLE, "NF031", "warning")
        return []
    return _made(reader, node, reader.visit(owner), reader.visit(value))


def _made(reader: Reader, node: ast.stmt, owner: ast.expr, value: ast.expr) -> list[ast.stmt]:
    op = Op("set_trainable", {"module": owner}, {"value": value}, site=reader.site(node))
    made = ast.Expr(op)
    made.nf_replaces = node  # type: ignore[attr-defined]
    return [ast.copy_location(made, node)]
