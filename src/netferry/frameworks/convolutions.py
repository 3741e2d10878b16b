"""What legalisations of convolutions share: how padding is filled, what ``same`` stands for, a bias behind the product."""

from __future__ import annotations

import ast
from typing import Any

from netferry.frameworks.arguments import all_equal, known, observed, per_axis
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op, constant, is_literal, literal


def _half_spans(kernel: str, dilation: str) -> set[str]:
    """How people write the padding that keeps the size with an odd kernel."""
    halves = [f"{kernel} // 2", f"({kernel} - 1) // 2", f"int(({kernel} - 1) / 2)", f"int({kernel} / 2)"]
    if dilation == "1":
        texts = halves
    else:
        texts = [t for h in halves for t in (f"({h}) * {dilation}", f"{dilation} * ({h})")]
        texts += [f"{dilation} * ({kernel} - 1) // 2", f"({kernel} - 1) * {dilation} // 2"]
    return {ast.unparse(ast.parse(text)) for text in texts}


def _keeps_size(kernel: ast.expr, padding: ast.expr, dilation: ast.expr, odd: bool) -> bool:
    """Whether the padding is half of what the kernel spans beyond one, in numbers or by its words."""
    if all(map(is_literal, (kernel, padding, dilation))):
        return bool(2 * literal(padding) == literal(dilation) * (literal(kernel) - 1))
    written, step = ast.unparse(padding), ast.unparse(dilation)
    if not is_literal(kernel):
        return odd and written in _half_spans(ast.unparse(kernel), step)
    half, rest = divmod(literal(kernel) - 1, 2)
    products = {f"{half} * {step}", f"{step} * {half}", *([step] if half == 1 else [])}
    return not rest and written in products | _half_spans(ast.unparse(kernel), step)


def _is_odd(size: Any) -> bool:
    return all(s % 2 for s in (size if isinstance(size, list | tuple) else (size,)))


def is_same(node: Op, n: int) -> bool:
    """Whether the padding is what targets call ``same`` for inputs of every size.

    Of a kernel size that is no literal, the run only tells that it is odd; that the padding fits, the words do.
    """
    if not all_equal(node, "stride", n, 1):
        return False
    sizes = observed(node, "kernel_size")
    odd = bool(sizes) and all(map(_is_odd, sizes))
    kernels, paddings, dilations = (per_axis(node, name, n) for name in ("kernel_size", "padding", "dilation"))
    return all(_keeps_size(k, p, d, odd) for k, p, d in zip(kernels, paddings, dilations, strict=True))


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


def held_word(node: Op) -> Op:
    """``"same" if padding == "same" else 0``: the variable itself, which holds a word that targets know too."""
    match node.attribute("padding"):
        case ast.IfExp(
            test=ast.Compare(left=ast.Name() as held, ops=[ast.Eq()], comparators=[ast.Constant(value="same")]),
            body=ast.Constant(value="same"),
            orelse=ast.Constant(value=0 | "valid"),
        ):
            return node.replace(attributes={"padding": held})
    return node


def as_grouped(node: Op, n: int) -> Op:
    """A depthwise convolution as one in as many groups as channels."""
    channels = node.attribute("in_channels")
    if channels is None:
        return node
    multiplier = node.attribute("multiplier")
    outputs = channels if multiplier is None else ast.BinOp(channels, ast.Mult(), multiplier)
    return node.replace(f"conv{n}d", attributes={"out_channels": outputs, "groups": channels, "multiplier": None})
