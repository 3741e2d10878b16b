"""Pooling for NNX: a size, a stride and two pads for every axis."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.arguments import all_equal, known, numbers, observed
from netferry.frameworks.pooling import ADAPTIVE
from netferry.pivot.nodes import Op, constant

Legalise = Callable[[Op, str], ast.expr]


def _pool(n: int, target: str) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        sizes = numbers(node, "kernel_size", n)
        plain = node.attribute("stride") is None or (known(node, "stride") is None and not observed(node, "stride"))
        strides = sizes if plain else numbers(node, "stride", n)
        word = known(node, "padding")
        is_word = isinstance(word, str)
        pads = [constant(0)] * n if node.attribute("padding") is None or is_word else numbers(node, "padding", n)
        divisor = node.attribute("divisor_override")
        special = known(node, "ceil_mode") is not False or (divisor is not None and ast.unparse(divisor) != "None")
        if sizes is None or strides is None or pads is None or special:
            return node
        if target == "max_windows" and not all_equal(node, "dilation", n, 1):
            return node
        attributes: dict[str, ast.expr] = {"window_shape": _tuple(sizes), "strides": _tuple(strides)}
        if word == "same":
            attributes["padding"] = constant("SAME")
        elif any(ast.unparse(p) != "0" for p in pads):
            attributes["padding"] = _tuple([_tuple([p, p]) for p in pads])
        counted = constant(False) if word == "same" else node.attribute("count_include_pad")
        if counted is not None and target == "mean_windows":
            attributes["count_include_pad"] = counted
        return Op(
            target, {k.arg: k.value for k in node.operands if k.arg}, attributes, layer=node.layer, site=node.site
        )

    return legalise


def _tuple(items: list[ast.expr]) -> ast.expr:
    return ast.Tuple(list(items), ast.Load())


LEGALISATIONS: dict[str, Legalise] = ADAPTIVE | {
    f"{kind}_pool{n}d": _pool(n, target)
    for kind, target in (("max", "max_windows"), ("avg", "mean_windows"))
    for n in (1, 2, 3)
}
