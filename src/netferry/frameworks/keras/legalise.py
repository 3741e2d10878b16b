"""Convolutions for Keras targets: padding that it has no word for, kernels of one channel each."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.arguments import all_equal, around, known, observed, per_axis, sequence, symmetric
from netferry.frameworks.convolutions import full_same, is_same, linear, padding_mode, plus
from netferry.ops import registry
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op, constant, is_literal, literal

Legalise = Callable[[Op, str], ast.expr]

_SAME = constant("same")


def _is_depthwise(node: Op, n: int) -> bool:
    """Whether there are as many groups as channels, whatever their number; as many as one is an ordinary one."""
    given = [node.attribute(name) for name in ("groups", "in_channels", "out_channels")]
    texts = {"" if a is None else ast.unparse(a) for a in given}
    strides = {ast.unparse(s) for s in per_axis(node, "stride", n)}
    return len(texts) == 1 and texts not in ({""}, {"1"}) and len(strides) == 1 and node.indirect is None


def _depthwise(node: Op, n: int) -> Op:
    kept = {k.arg: k.value for k in node.attributes if k.arg and k.arg not in ("out_channels", "groups")}
    return Op(f"depthwise_conv{n}d", {}, kept, layer=True, site=node.site)


def _holds_same(node: Op) -> bool:
    """Whether the class that is handed in pads if it is not told otherwise."""
    found = [s for e in (node.site.events if node.site else ()) for _, s in registry.find(e.path)]
    return any("padding" in s.parsed.names and str(s.parsed["padding"].default).lower() == "same" for s in found)


def _layer(n: int) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        if n < 3 and not node.name.startswith("depthwise") and _is_depthwise(node, n):
            return _depthwise(node, n)
        padding, mode = known(node, "padding"), padding_mode(node)
        told = constant(0) if node.indirect is not None and _holds_same(node) else None
        plain = {"padding": told, "padding_mode": None}
        if padding == "valid" or all_equal(node, "padding", n, 0):
            return node if all(node.attribute(name) is None for name in plain) else node.replace(attributes=plain)
        if mode is None or any(isinstance(seen, str) for seen in observed(node, "padding") if padding != "same"):
            return node
        if mode == "zeros" and (padding == "same" or is_same(node, n)):
            final = padding == "same" and node.attribute("padding_mode") is None
            return node if final else node.replace(attributes={"padding": _SAME, "padding_mode": None})
        pads = full_same(node, n) if padding == "same" else symmetric(node, "padding", n)
        fill = {} if mode == "zeros" else {"mode": constant(mode)}
        pad = Op(f"spatial_pad{n}d", {}, {"pads": pads, **fill}, layer=True, site=node.site)
        return sequence(node, pad, node.replace(attributes=plain))

    return legalise


def _function(n: int) -> Legalise:
    """Padding goes to the operand, the bias behind."""

    def legalise(node: Op, framework: str) -> ast.expr:
        bias, x = node.operand("bias"), node.operand("x")
        if bias is not None:
            return plus(node, bias)
        padding = known(node, "padding")
        if padding == "same" or x is None or node.attribute("padding") is None:
            return node
        if padding == "valid" or all_equal(node, "padding", n, 0):
            return node.replace(attributes={"padding": None})
        padded = Op("pad_axes", {"x": x}, {"pads": around(node, "padding", n)}, site=node.site)
        return node.replace(operands={"x": padded}, attributes={"padding": None})

    return legalise


def _is_transposed_same(node: Op, n: int) -> bool:
    """Whether ``padding`` cuts off what Keras cuts off for ``same``, on both sides alike."""
    if not (all_equal(node, "dilation", n, 1) and all_equal(node, "output_padding", n, 0)):
        return False
    parts = list(zip(*(per_axis(node, name, n) for name in ("kernel_size", "stride", "padding")), strict=True))
    if not all(is_literal(item) for part in parts for item in part):
        return False
    values = [tuple(map(literal, part)) for part in parts]
    return all(k - s == 2 * p for k, s, p in values)


def _covers(node: Op, n: int) -> bool:
    """Whether the kernel leaves no gaps between strides; Keras fills such with zeros at the end unless it is told."""
    kernels, strides = per_axis(node, "kernel_size", n), per_axis(node, "stride", n)
    if not all(map(is_literal, (*kernels, *strides))) or not all_equal(node, "dilation", n, 1):
        return False
    return all(literal(k) >= literal(s) for k, s in zip(kernels, strides, strict=True))


def _transposed(n: int) -> Legalise:
    """Keras has no number for what is cut off the result: it crops, or says ``same``."""

    def legalise(node: Op, framework: str) -> ast.expr:
        if known(node, "padding") == "same":
            return node
        unpadded = node.replace(attributes={"padding": None})
        if not all_equal(node, "padding", n, 0):
            if _is_transposed_same(node, n):
                return node.replace(attributes={"padding": _SAME, "output_padding": constant(None)})
            crop = Op(f"crop{n}d", {}, {"cropping": symmetric(node, "padding", n)}, layer=True, site=node.site)
            return sequence(node, unpadded, crop)
        if all_equal(node, "output_padding", n, 0) and _covers(node, n):
            return unpadded.replace(attributes={"output_padding": constant(None)})
        return node if node.attribute("padding") is None else unpadded

    return legalise


def _table() -> dict[str, Legalise]:
    made: dict[str, Legalise] = {}
    for n in (1, 2, 3):
        made[f"conv{n}d"] = _layer(n)
        made[f"conv{n}d_with"] = _function(n)
        made[f"conv_transpose{n}d"] = _transposed(n)
        if n < 3:
            made[f"depthwise_conv{n}d"] = _layer(n)
    return made


def _weighed(node: Op, framework: str) -> ast.expr:
    """A formula with a factor that was seen to be None is another one then."""
    for name in ("weight", "pos_weight"):
        given = node.attribute(name)
        if given is not None and not is_literal(given) and not node.layer and None in observed(node, name):
            test = ast.Compare(copied(given), [ast.Is()], [ast.Constant(None)])
            given_one = copied(node)
            given_one.nf_legal = True
            return ast.IfExp(test, node.replace(attributes={name: None}), given_one)
    return node


LEGALISATIONS: dict[str, Legalise] = {
    **_table(),
    "functional_linear": linear,
    "binary_cross_entropy": _weighed,
    "binary_cross_entropy_with_logits": _weighed,
}
