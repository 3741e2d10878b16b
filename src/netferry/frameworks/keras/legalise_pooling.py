"""Pooling for Keras targets: padding that it has no word for."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.arguments import all_equal, around, each, known, observed, per_axis, sequence, symmetric
from netferry.frameworks.pooling import ADAPTIVE
from netferry.pivot.nodes import Op, constant, is_literal, literal

Legalise = Callable[[Op, str], ast.expr]

_LOWEST = constant(-float("inf"))


def _is_same(node: Op, n: int) -> bool:
    """Whether the padding is what Keras calls ``same`` for inputs of every size: only with a stride of one."""
    stride = node.attribute("stride")
    strides = (
        each(stride, n)
        if stride is not None and known(node, "stride") is not None
        else per_axis(node, "kernel_size", n)
    )
    if not all(is_literal(s) and literal(s) == 1 for s in strides):
        return False
    pairs = list(zip(per_axis(node, "kernel_size", n), per_axis(node, "padding", n), strict=True))
    return all(is_literal(k) and is_literal(p) and literal(k) - 1 == 2 * literal(p) for k, p in pairs)


def _padded(node: Op, n: int, value: ast.expr | None) -> ast.expr:
    """Padding as a layer in front of it, or around the operand of the function."""
    fill = {} if value is None else {"value": value}
    plain = node.replace(attributes={"padding": None})
    if node.layer:
        pads = symmetric(node, "padding", n)
        return sequence(node, Op(f"spatial_pad{n}d", {}, {"pads": pads, **fill}, layer=True, site=node.site), plain)
    x = node.operand("x")
    assert x is not None
    padded = Op("pad_axes", {"x": x}, {"pads": around(node, "padding", n), **fill}, site=node.site)
    return plain.replace(operands={"x": padded})


def _is_final(node: Op, n: int) -> bool:
    """Whether Keras has the word already, or the general definition takes it as it is."""
    special = (
        known(node, "ceil_mode") is not False or node.attribute("padding") is None or known(node, "padding") == "same"
    )
    return special or any(isinstance(seen, str) for seen in observed(node, "padding"))


def _max(n: int) -> Legalise:
    """What is padded must never win."""

    def legalise(node: Op, framework: str) -> ast.expr:
        if _is_final(node, n) or not all_equal(node, "dilation", n, 1):
            return node
        if all_equal(node, "padding", n, 0):
            return node.replace(attributes={"padding": None})
        if _is_same(node, n):
            return node.replace(attributes={"padding": constant("same")})
        return _padded(node, n, None if getattr(node, "nf_nonnegative", False) else _LOWEST)

    return legalise


def _average(n: int) -> Legalise:
    """Keras's ``same`` does not count what is padded; zeros padded before are counted."""

    def legalise(node: Op, framework: str) -> ast.expr:
        counts, divisor = known(node, "count_include_pad"), node.attribute("divisor_override")
        if _is_final(node, n) or (divisor is not None and ast.unparse(divisor) != "None"):
            return node
        if all_equal(node, "padding", n, 0):
            return node.replace(attributes={"padding": None})
        if counts is False and _is_same(node, n):
            return node.replace(attributes={"padding": constant("same")})
        return _padded(node, n, None) if counts is True else node

    return legalise


LEGALISATIONS: dict[str, Legalise] = ADAPTIVE | {
    f"{kind}_pool{n}d": make(n) for kind, make in (("max", _max), ("avg", _average)) for n in (1, 2, 3)
}
