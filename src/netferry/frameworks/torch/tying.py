"""Parameters that two layers share: ``self.decoder.weight = self.encoder.weight``."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import torch

from netferry.frameworks.torch.names import class_path
from netferry.ops import registry
from netferry.pivot.nodes import LayerAttribute, Op

if TYPE_CHECKING:
    from netferry.reader import Reader


def statement(reader: Reader, node: ast.Assign) -> ast.stmt | None:
    """The neutral form of an assignment that ties two layers; None where it is something else."""
    match node:
        case ast.Assign(
            targets=[ast.Attribute(value=ast.Attribute() | ast.Subscript() as first, attr=name)],
            value=ast.Attribute(value=ast.Attribute() | ast.Subscript() as second, attr=other),
        ):
            pass
        case _:
            return None
    if not _is_parameter(reader, first, name) or not _is_parameter(reader, second, other):
        return None
    made = Op("tie", {"x": _read(reader, first, name), "to": _read(reader, second, other)}, site=reader.site(node))
    layers = list(zip(reader.values(first), reader.values(second), strict=False))
    made.nf_tied = frozenset((id(a), id(b)) for a, b in layers)  # type: ignore[attr-defined]
    made.nf_whole = bool(layers) and all(_share_all(a, b) for a, b in layers)  # type: ignore[attr-defined]
    return ast.Expr(made)


def _is_parameter(reader: Reader, owner: ast.expr, name: str) -> bool:
    seen = reader.values(owner)
    if not seen:
        return name == "weight"
    return all(_op(value, name) is not None for value in seen)


def _op(layer: Any, name: str) -> str | None:
    """The op of a stock layer that has a parameter of this name."""
    path = next((p for k in type(layer).__mro__ if (p := class_path(k))), None)
    found = ((op, spelling) for op, spelling in registry.find(path or "") if spelling.layer)
    return next((op.name for op, spelling in found if name in spelling.params), None)


def _read(reader: Reader, owner: ast.expr, name: str) -> LayerAttribute:
    ops = {op for value in reader.values(owner) if (op := _op(value, name)) is not None}
    return LayerAttribute(reader.visit(owner), name, tuple(sorted(ops)), reader.site(owner))


def _share_all(first: Any, second: Any) -> bool:
    """Whether two layers of one class, when all is done, have every parameter in common."""
    if type(first) is not type(second) or not isinstance(first, torch.nn.Module):
        return False
    mine, theirs = dict(first.named_parameters()), dict(second.named_parameters())
    return mine.keys() == theirs.keys() and all(mine[name] is theirs[name] for name in mine)
