"""Random numbers and initial values for Keras targets: shorter words for what is common."""

from __future__ import annotations

import ast

from netferry.frameworks.arguments import known, observed
from netferry.pivot.nodes import Op, is_literal, literal

_MADE = ("empty", "zeros", "ones")
_NEVER_CUT = 0.25
"""Up to this deviation, what PyTorch cuts off at two lies eight deviations away."""


def _filled(node: Op, framework: str) -> ast.expr:
    """``torch.empty(3, 4).normal_()`` needs no tensor to take its shape from."""
    made = node.operand("x")
    if not isinstance(made, Op) or made.name not in _MADE or made.attribute("dtype") is not None:
        return node
    shape = made.attribute("shape")
    options = {k.arg: k.value for k in node.attributes if k.arg}
    return node if shape is None else Op("normal", {}, {**options, "shape": shape}, site=node.site)


def _truncated(node: Op, framework: str) -> ast.expr:
    """A cut that was far away wherever the run came by is none."""
    std = node.attribute("std")
    seen = [literal(std)] if is_literal(std) else observed(node, "std")
    standard = (known(node, "mean"), known(node, "a"), known(node, "b")) == (0.0, -2.0, 2.0)
    if std is None or not standard or not seen or not all(0 < s <= _NEVER_CUT for s in seen):
        return node
    return node.replace("init_normal", attributes=dict.fromkeys(("mean", "a", "b")))


LEGALISATIONS = {"normal_like": _filled, "init_trunc_normal": _truncated}
