"""Padding for PyTorch: ``same`` with strides, pairs per axis as flat lists from the last axis, crops as negative pads."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from netferry.frameworks.arguments import all_equal, each, known, numbers, observed, per_axis, sequence
from netferry.frameworks.convolutions import as_grouped, held_word
from netferry.frameworks.torch.legalise_sizes import lazy
from netferry.ops.lowering import is_simple, substitute
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op, constant, is_literal, literal

Legalise = Callable[[Op, str], ast.expr]


def _kept(node: Op, *names: str) -> dict[str, ast.expr]:
    return {k.arg: k.value for k in node.attributes if k.arg and k.arg not in names}


def _same(node: Op, name: str, drop: tuple[str, ...]) -> Op:
    operands = {k.arg: k.value for k in node.operands if k.arg}
    return Op(name, operands, _kept(node, *drop), layer=node.layer, site=node.site, indirect=node.indirect)


def _conv(n: int) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        node = held_word(node)
        if node.name.startswith("depthwise") and node.attribute("multiplier") is None:
            return as_grouped(node, n)
        if node.indirect is not None and known(node, "padding") == "same":
            return node  # The class that is handed in takes the word with strides too.
        told = node.attribute("in_channels") is not None or node.indirect is not None
        if known(node, "padding") == "causal":
            return _same(node, f"{'' if told else 'lazy_'}causal_conv1d", ("padding", "padding_mode"))
        if known(node, "padding") == "same" and (all_equal(node, "kernel_size", n, 1) or _is_even_sided(node, n)):
            made = node.replace(attributes={"padding": _half(node, n)})
            return made if node.name.startswith("depthwise") else lazy(made) or made
        if known(node, "padding") != "same" or all_equal(node, "stride", n, 1):
            return node if node.name.startswith("depthwise") else lazy(node) or node
        if node.name.startswith("depthwise"):
            return as_grouped(node, n)
        return _same(node, f"{'' if told else 'lazy_'}same_conv{n}d", ("padding", "padding_mode"))

    return legalise


def _conv_class(n: int) -> Legalise:
    """PyTorch's own class knows ``same`` for strides of one."""

    def legalise(node: Op, framework: str) -> ast.expr:
        strided = any(
            step != 1 for v in observed(node, "stride") for step in (v if isinstance(v, list | tuple) else (v,))
        )
        if known(node, "padding") != "same" or not strided:
            return node
        return Op(f"auto_pad_conv{n}d", {}, _kept(node), layer=True, site=node.site)

    return legalise


def _conv_with(n: int) -> Legalise:
    """PyTorch's function knows ``same`` for strides of one."""

    def legalise(node: Op, framework: str) -> ast.expr:
        if known(node, "padding") != "same" or all_equal(node, "stride", n, 1):
            return node
        return _same(node, f"same_conv{n}d_with", ("padding",))

    return legalise


def _is_even_sided(node: Op, n: int) -> bool:
    """Whether ``same`` is a known number, equal on both sides."""
    items = [*per_axis(node, "kernel_size", n), *per_axis(node, "dilation", n)]
    if not all_equal(node, "stride", n, 1) or not all(map(is_literal, items)):
        return False
    return all(literal(k) % 2 for k in per_axis(node, "kernel_size", n))


def _half(node: Op, n: int) -> ast.expr | None:
    """Half of what the kernel spans beyond one; None for nothing."""
    if all_equal(node, "kernel_size", n, 1):
        return None
    pairs = zip(per_axis(node, "kernel_size", n), per_axis(node, "dilation", n), strict=True)
    sizes = [literal(d) * (literal(k) - 1) // 2 for k, d in pairs]
    return _number(sizes)


def _pool(n: int, kind: str) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        if known(node, "padding") != "same":
            return node
        if all_equal(node, "kernel_size", n, 1):
            return node.replace(attributes={"padding": None})
        return _same(
            node, f"same_{kind}_pool{n}d", ("padding", "dilation", "ceil_mode", "count_include_pad", "divisor_override")
        )

    return legalise


def _transposed(n: int) -> Legalise:
    """What ``same`` cuts off the result, and what kernels smaller than strides leave at its end."""

    def legalise(node: Op, framework: str) -> ast.expr:
        padding = known(node, "padding")
        kernels, strides = per_axis(node, "kernel_size", n), per_axis(node, "stride", n)
        if not all(map(is_literal, (*kernels, *strides))) or not all_equal(node, "dilation", n, 1):
            made = _cut_evenly(node, n) if padding == "same" else _without_filling(node, n)
            return lazy(made) or made
        sizes = [(literal(k), literal(s)) for k, s in zip(kernels, strides, strict=True)]
        filled = known(node, "output_padding") is None and node.attribute("output_padding") is not None
        if filled:
            node = node.replace(attributes={"output_padding": None})
        rest = [max(s - k, 0) for k, s in sizes]
        ends = {"output_padding": _number(rest)} if filled and any(rest) else {}
        if padding != "same":
            made = node.replace(attributes=ends) if padding == 0 else node
            return lazy(made) or made
        cuts = [max(k - s, 0) for k, s in sizes]
        if all(cut % 2 == 0 for cut in cuts):
            made = node.replace(attributes={"padding": _number([cut // 2 for cut in cuts]), **ends})
            return lazy(made) or made
        plain = node.replace(attributes={"padding": None})
        sides = [side for cut in reversed(cuts) for side in (-(cut // 2), -(cut - cut // 2))]
        crop = Op(f"pad{n}d", {}, {"padding": constant(tuple(sides))}, layer=True, site=node.site)
        return sequence(node, plain, crop)

    return legalise


def _cut_evenly(node: Op, n: int) -> Op:
    """``same`` with computed kernels: what is cut off, where that always was the same on both sides."""
    kernels, strides = numbers(node, "kernel_size", n), numbers(node, "stride", n)
    if kernels is None or strides is None or not all_equal(node, "dilation", n, 1):
        return node
    pairs = list(zip(_sizes(node, "kernel_size", n), _sizes(node, "stride", n), strict=False))
    if not pairs or any(k < s or (k - s) % 2 for ks, ss in pairs for k, s in zip(ks, ss, strict=True)):
        return node
    cuts = [
        ast.BinOp(ast.BinOp(k, ast.Sub(), s), ast.FloorDiv(), constant(2)) for k, s in zip(kernels, strides, strict=True)
    ]  # fmt: skip
    same = len({ast.unparse(cut) for cut in cuts}) == 1
    return node.replace(
        attributes={"padding": cuts[0] if same else ast.Tuple([*cuts], ast.Load()), "output_padding": None}
    )


def _without_filling(node: Op, n: int) -> Op:
    """Computed kernels that never were smaller than the strides leave nothing to fill."""
    pairs = list(zip(_sizes(node, "kernel_size", n), _sizes(node, "stride", n), strict=False))
    fills = known(node, "output_padding") is None and node.attribute("output_padding") is not None
    if not fills or not pairs or any(k < s for ks, ss in pairs for k, s in zip(ks, ss, strict=True)):
        return node
    return node.replace(attributes={"output_padding": None})


def _sizes(node: Op, name: str, n: int) -> list[tuple[int, ...]]:
    """What an attribute was in each call seen, for every axis."""
    given = known(node, name)
    count = len(node.site.events) if node.site else 0
    seen = [given] * count if given is not None else observed(node, name)
    return [tuple(v) if isinstance(v, list | tuple) else (v,) * n for v in seen if isinstance(v, int | list | tuple)]


def _number(values: list[int]) -> ast.expr:
    if not any(values):
        return constant(0)
    return constant(values[0] if len(set(values)) == 1 else tuple(values))


def _is_paired(value: Any, n: int) -> bool:
    """Whether a value has two numbers for each axis."""
    return (
        isinstance(value, list | tuple)
        and len(value) == n
        and all(isinstance(v, list | tuple) and len(v) == 2 for v in value)
    )


def _sides(node: Op, name: str, n: int, sign: int) -> ast.expr | None:
    """A flat list from the last axis on, of a number, a number per axis or a pair per axis."""
    given = node.attribute(name)
    if given is None:
        return None
    if not isinstance(given, ast.Tuple | ast.List) and not is_literal(given):
        seen = observed(node, name)
        if sign > 0 and seen and all(isinstance(v, int) for v in seen):
            return given
        listed = numbers(node, name, n)
        if n > 1 and seen and is_simple(given) and all(_is_paired(v, n) for v in seen):
            places = [(axis, side) for axis in reversed(range(n)) for side in (0, 1)]
            read = [
                ast.Subscript(ast.Subscript(given, constant(a), ast.Load()), constant(b), ast.Load()) for a, b in places
            ]
            return ast.Tuple([copied(r) if sign > 0 else _negative(copied(r)) for r in read], ast.Load())
        if any(isinstance(side, list | tuple) for v in seen for side in _numbers(v)):
            return None
        return _around(listed, sign) if listed else None
    if n == 1 and isinstance(given, ast.Tuple | ast.List) and len(given.elts) == 2:
        items: list[ast.expr] = [given]
    else:
        items = each(given, n)
    flat: list[ast.expr] = []
    for item in reversed(items):
        pair = list(item.elts) if isinstance(item, ast.Tuple | ast.List) else [item, item]
        flat += pair if sign > 0 else [_negative(p) for p in pair]
    texts = {ast.unparse(f) for f in flat}
    return flat[0] if len(texts) == 1 else ast.Tuple(flat, ast.Load())


def _around(items: list[ast.expr], sign: int) -> ast.expr:
    """The same on both sides of every axis, as a flat list from the last axis on."""
    flat = [item if sign > 0 else _negative(item) for item in reversed(items) for _ in range(2)]
    return ast.Tuple(flat, ast.Load())


def _flattened(node: Op, n: int) -> ast.expr | None:
    """A computed pair for every axis as a flat list from the last axis on."""
    given, seen = node.attribute("pads"), observed(node, "pads")
    if given is None or not seen or not all(_is_pairs(v, n) for v in seen):
        return None
    text = "[side for pair in reversed(__pads__) for side in pair]"
    return substitute(ast.parse(text, mode="eval").body, {"__pads__": given})


def _is_pairs(value: Any, n: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == n and all(isinstance(v, list | tuple) for v in value)


def _negative(item: ast.expr) -> ast.expr:
    return constant(-literal(item)) if is_literal(item) else ast.UnaryOp(ast.USub(), item)


def _applied(node: Op, padding: ast.expr, n: int, rest: dict[str, ast.expr]) -> ast.expr:
    """The layer, or the function where it is applied at once."""
    x = node.operand("x")
    if node.layer or x is None:
        return Op(f"pad{n}d", {}, {"padding": padding, **rest}, layer=True, site=node.site)
    whole = isinstance(padding, ast.Tuple | ast.ListComp)
    pads = padding if whole else ast.Tuple([padding] * (2 * n), ast.Load())
    return Op("pad", {"x": x}, {"pads": pads, **rest}, site=node.site)


def _spatial(n: int) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        padding = _sides(node, "pads", n, 1)
        if padding is None:
            padding = _flattened(node, n)
        return node if padding is None else _applied(node, padding, n, _kept(node, "pads"))

    return legalise


def _crop(n: int) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        padding = _sides(node, "cropping", n, -1)
        return node if padding is None else _applied(node, padding, n, {})

    return legalise


def _axes(node: Op, framework: str) -> ast.expr:
    """A pair for every axis, without those at the front that are zero."""
    x, pairs = node.operand("x"), _pairs(node)
    if x is None or not pairs:
        return node
    flat = [side for pair in reversed(pairs) for side in _both(pair)]
    return Op("pad", {"x": x}, {"pads": ast.Tuple(flat, ast.Load()), **_kept(node, "pads")}, site=node.site)


def _both(pair: ast.expr) -> list[ast.expr]:
    """The two numbers of a pair."""
    return list(pair.elts) if isinstance(pair, ast.Tuple | ast.List) else [ast.Starred(pair, ast.Load())]


def _pairs(node: Op) -> list[ast.expr]:
    """An expression for the pair of each axis from the first that is not zero on; none where the axes are not known."""
    given, seen = node.attribute("pads"), observed(node, "pads")
    ranks = {len(v) for v in seen if isinstance(v, list | tuple)}
    if given is None or (not isinstance(given, ast.Tuple | ast.List) and (len(ranks) != 1 or not is_simple(given))):
        return []
    rank = ranks.pop() if len(ranks) == 1 else 0
    order = getattr(node, "nf_order", range(rank))
    if isinstance(given, ast.Tuple | ast.List):
        pairs = list(given.elts)
    else:
        pairs = [ast.Subscript(given, constant(axis), ast.Load()) for axis in range(rank)]
    if any(isinstance(p, ast.Starred) or (is_literal(p) and not isinstance(p, ast.Tuple | ast.List)) for p in pairs):
        return []
    zeros = [bool(seen) and not any(any(_numbers(v[axis])) for v in seen) for axis in order]
    while len(pairs) > 1 and (_is_zero(pairs[0]) or (zeros and zeros[0] and not is_literal(pairs[0]))):
        pairs.pop(0)
        zeros = zeros[1:]
    return pairs


def _is_zero(pair: ast.expr) -> bool:
    return is_literal(pair) and not any(literal(pair))


def _numbers(pair: Any) -> list[Any]:
    return list(pair) if isinstance(pair, list | tuple) else [pair]


LEGALISATIONS: dict[str, Legalise] = {
    **{f"conv{n}d": _conv(n) for n in (1, 2, 3)},
    **{f"conv{n}d_with": _conv_with(n) for n in (1, 2, 3)},
    **{f"depthwise_conv{n}d": _conv(n) for n in (1, 2)},
    **{f"max_pool{n}d": _pool(n, "max") for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _pool(n, "avg") for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _transposed(n) for n in (1, 2, 3)},
    **{f"spatial_pad{n}d": _spatial(n) for n in (1, 2, 3)},
    **{f"crop{n}d": _crop(n) for n in (1, 2, 3)},
    "pad_axes": _axes,
}
REFERENCES: dict[str, Legalise] = {f"conv{n}d": _conv_class(n) for n in (1, 2, 3)}
