"""Layers whose sizes nobody knows: PyTorch's lazy ones, which learn them from the first call."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.ops import registry
from netferry.ops.lowering import CannotWrite, lower
from netferry.pivot.nodes import Op, constant

Legalise = Callable[[Op, str], ast.expr]
_LAZY = {
    **{f"conv{n}d": ("in_channels", f"torch.nn.LazyConv{n}d") for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": ("in_channels", f"torch.nn.LazyConvTranspose{n}d") for n in (1, 2, 3)},
    "linear": ("in_features", "torch.nn.LazyLinear"),
    "batch_norm": ("num_features", "torch.nn.LazyBatchNorm{}d"),
}


def lazy(node: Op) -> ast.expr | None:
    """The lazy form of a layer that lacks a size; None where it has it."""
    name, path = _LAZY[node.name]
    if not node.layer or node.attribute(name) is not None or node.indirect is not None:
        return None
    dimensions = node.attribute("dimensions")
    path = path.format(ast.literal_eval(dimensions) if dimensions is not None else 2)
    made = lower(node.replace(attributes={name: constant(0)}), "torch")
    if not isinstance(made, ast.Call):
        raise CannotWrite(f"{node.name} needs {name}, which differs from call to call")
    args = [a for a in made.args if not (isinstance(a, ast.Constant) and a.value == 0)][: len(made.args) - 1]
    return ast.Call(ast.parse(path, mode="eval").body, args, made.keywords)


def _linear(node: Op, framework: str) -> ast.expr:
    return lazy(node) or node


def _batch_norm(node: Op, framework: str) -> ast.expr:
    return lazy(node) or node


LEGALISATIONS: dict[str, Legalise] = {"linear": _linear, "batch_norm": _batch_norm}
__all__ = ["LEGALISATIONS", "lazy", "registry"]
