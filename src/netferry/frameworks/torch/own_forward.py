"""``F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)`` in a class that extends ``nn.LayerNorm``.

It computes what the extended layer itself does, so it is read as ``super().forward(x)``, which every framework has a
word for.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Final

from netferry.calls import bind_call
from netferry.frameworks.torch.names import class_path
from netferry.ops import registry
from netferry.ops.binding import CannotBind, bind
from netferry.ops.core import OpDef, Spelling
from netferry.pivot.nodes import LayerCall
from netferry.reader import Reader

_FUNCTIONS: Final = {
    "torch.nn.functional.layer_norm": "torch.nn.LayerNorm",
    "torch.nn.functional.rms_norm": "torch.nn.RMSNorm",
    "torch.nn.functional.group_norm": "torch.nn.GroupNorm",
    "torch.nn.functional.linear": "torch.nn.Linear",
    "torch.nn.functional.prelu": "torch.nn.PReLU",
    **{f"torch.nn.functional.conv{n}d": f"torch.nn.Conv{n}d" for n in (1, 2, 3)},
}


def own_forward(reader: Reader, node: ast.Call, path: str) -> ast.expr | None:
    """The call of the extended layer that ``node`` amounts to; None when it is something else."""
    layer = _FUNCTIONS.get(path)
    if layer is None or layer not in _extended(reader):
        return _base_forward(reader, node, path)
    for op, spelling in registry.find(path):
        operand = _operand(reader, node, op, spelling)
        if operand is not None:
            named = next(op.name for op, spelling in registry.find(layer) if spelling.layer)
            return _called(reader, node, named, {"x": operand})
    return None


def _base_forward(reader: Reader, node: ast.Call, path: str) -> ast.expr | None:
    """``super().forward(x)`` of a class that extends a stock layer."""
    layer, _, method = path.rpartition(".")
    if method != "forward" or layer not in _extended(reader) or ast.unparse(node.func) != "super().forward":
        return None
    for op, spelling in registry.find(layer):
        if spelling.layer:
            try:
                return _called(reader, node, op.name, bind_call(op, spelling, node))
            except CannotBind:
                continue
    return None


def _called(reader: Reader, node: ast.Call, name: str, operands: Mapping[str, ast.expr]) -> ast.expr:
    """The call of the extended layer."""
    forward = ast.Attribute(ast.Call(ast.Name("super", ast.Load()), [], []), "forward", ast.Load())
    made = LayerCall(name, forward, {k: reader.visit(v) for k, v in operands.items()}, reader.site(node))
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return ast.copy_location(made, node)


def _extended(reader: Reader) -> set[str | None]:
    """The stock classes that the class being read extends."""
    return {class_path(kind) for base in reader.bases if isinstance(base, type) for kind in base.__mro__}


def _operand(reader: Reader, node: ast.Call, op: OpDef, spelling: Spelling) -> ast.expr | None:
    """The first argument, where all others are the layer's own attributes of the same names."""
    try:
        args, keywords = reader.calls.expand(node, spelling)
        bind(op, spelling, args, keywords)
    except CannotBind:
        return None
    first, *names = spelling.parsed.names
    given = dict(zip(spelling.parsed.names, args, strict=False)) | {str(k.arg): k.value for k in keywords}
    own = all(name in given and ast.unparse(given[name]) == f"self.{name}" for name in names)
    return given.get(first) if own else None
