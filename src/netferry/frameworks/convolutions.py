"""What legalisations of convolutions share: how padding is filled, what ``same`` stands for, a bias behind the product."""

from __future__ import annotations

import ast

from netferry.frameworks.arguments import known, observed, per_axis
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op, constant, literal


def padding_mode(node: Op) -> str | None:
    """How the padding is filled; None where it is not known."""
    mode: str | None = known(node, "padding_mode")
    seen = set(observed(node, "padding_mode"))
    if mode is None and len(seen) == 1:
        mode = seen.pop()
    return mode


def full_same(node: Op, n: int) -> ast.expr:
    """The padding that ``same`` stands for, from literal sizes."""
    pairs = []
    for kernel, dilation in zip(per_axis(node, "kernel_size", n), per_axis(node, "dilation", n), strict=True):
        total = literal(dilation) * (literal(kernel) - 1)
        pairs.append((total // 2, total - total // 2))
    return constant(pairs[0] if n == 1 else tuple(pairs))


def plus(node: Op, bias: ast.expr) -> ast.expr:
    """The op without its bias, and that added behind unless it is None."""
    plain = node.replace(operands={"bias": None})
    total = ast.BinOp(plain, ast.Add(), bias)
    if None not in observed(node, "bias"):
        return total
    return ast.IfExp(ast.Compare(copied(bias), [ast.Is()], [ast.Constant(None)]), copied(plain), total)


def linear(node: Op, framework: str) -> ast.expr:
    """The bias is added behind the product."""
    bias = node.operand("bias")
    return node if bias is None else plus(node, bias)
