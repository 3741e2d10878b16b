"""Layers for NNX: kernels of several dimensions have a size for each, scale and shift are two switches."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks import switches
from netferry.frameworks.arguments import known, observed
from netferry.pivot.nodes import Op, constant

Legalise = Callable[[Op, str], ast.expr]


def _kernel(n: int) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        size = node.attribute("kernel_size")
        single = isinstance(known(node, "kernel_size"), int) or (
            bool(seen := observed(node, "kernel_size")) and all(isinstance(v, int) for v in seen)
        )
        changes: dict[str, ast.expr] = {}
        if size is not None and single and not isinstance(size, ast.Tuple | ast.List):
            changes["kernel_size"] = ast.Tuple([size] * n, ast.Load())
        if isinstance(rule := known(node, "padding"), str):
            changes["padding"] = constant(rule.upper())
        return node.replace(attributes=changes) if changes else node

    return legalise


LEGALISATIONS: dict[str, Legalise] = {
    **{f"conv{n}d": _kernel(n) for n in (1, 2, 3)},
    **dict.fromkeys(("batch_norm", "group_norm", "instance_norm"), switches.channels),
    "layer_norm": switches.layer,
}
