"""Convolutions for NNX: sizes and pads for every axis, padding that it has no word for as a layer in front."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from netferry.frameworks.arguments import all_equal, known, numbers, observed, per_axis, sequence
from netferry.frameworks.convolutions import as_grouped, full_same, held_word, is_same, padding_mode, plus
from netferry.pivot.nodes import Op, constant, is_literal, literal

Legalise = Callable[[Op, str], ast.expr]
_FILLS = {"circular": "CIRCULAR", "reflect": "REFLECT"}
"""Fills for which NNX has a word, where the padding keeps the size."""


def tupled(items: Sequence[ast.expr]) -> ast.expr:
    """A display of expressions; of literals, one constant."""
    return ast.Tuple(list(items), ast.Load())


def _with_kernel(node: Op, n: int) -> Op:
    """A size for every axis of the kernel."""
    size = node.attribute("kernel_size")
    if size is None or isinstance(size, ast.Tuple | ast.List):
        return node
    seen = observed(node, "kernel_size")
    single = isinstance(known(node, "kernel_size"), int) or (bool(seen) and all(isinstance(v, int) for v in seen))
    return node.replace(attributes={"kernel_size": tupled([size] * n)}) if single else node


def _keeps_size(node: Op, n: int) -> bool:
    """Whether the padding is literally half of what each kernel spans beyond one."""
    parts = zip(*(per_axis(node, name, n) for name in ("kernel_size", "padding", "dilation")), strict=True)
    return all(all(map(is_literal, (k, p, d))) and 2 * literal(p) == literal(d) * (literal(k) - 1) for k, p, d in parts)


def _filled(node: Op, n: int, mode: str) -> ast.expr:
    """Padding that is not of zeros."""
    if mode in _FILLS and known(node, "padding") != "same" and _keeps_size(node, n):
        return node.replace(attributes={"padding": constant(_FILLS[mode]), "padding_mode": None})
    if known(node, "padding") == "same":
        pads: list[ast.expr] = [full_same(node, n)] if n == 1 else each_pair(full_same(node, n))
    else:
        found = numbers(node, "padding", n)
        if found is None:
            return node
        pads = [tupled([p, p]) for p in found]
    none = constant((0, 0))
    attributes = {"pads": tupled([none, *pads, none]), "mode": constant(mode)}
    plain = node.replace(attributes={"padding": constant("VALID"), "padding_mode": None})
    return sequence(node, Op("pad_axes", {}, attributes, layer=True, site=node.site), plain)


def each_pair(pairs: ast.expr) -> list[ast.expr]:
    """The pairs of a literal."""
    return [constant(pair) for pair in literal(pairs)]


def _word(node: Op, n: int) -> str | None:
    """NNX's word for the padding, if it has one."""
    if isinstance(rule := known(node, "padding"), str):
        return rule.upper()
    if is_same(node, n):
        return "SAME"
    return "VALID" if all_equal(node, "padding", n, 0) else None


def _layer(n: int) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        made = held_word(_with_kernel(node, n))
        if made.name.startswith("depthwise") and made.attribute("multiplier") is None:
            made = as_grouped(made, n)
        rule = known(made, "padding")
        mode = padding_mode(made)
        if mode not in (None, "zeros") and rule != "valid" and not all_equal(made, "padding", n, 0):
            return _filled(made, n, mode)
        changes: dict[str, ast.expr | None] = {}
        if (rule := _word(made, n)) is not None and rule != known(made, "padding"):
            changes["padding"] = constant(rule)
        if made.attribute("padding_mode") is not None and mode is not None:
            changes["padding_mode"] = None
        return made.replace(attributes=changes) if changes else made

    return legalise


def _separable(n: int) -> Legalise:
    """A word is all that its padding can be."""

    def legalise(node: Op, framework: str) -> ast.expr:
        made = held_word(_with_kernel(node, n))
        rule = known(made, "padding")
        return made.replace(attributes={"padding": constant(rule.upper())}) if isinstance(rule, str) else made

    return legalise


def _function(n: int) -> Legalise:
    """A number for every axis, a pair of pads; the bias goes behind."""

    def legalise(node: Op, framework: str) -> ast.expr:
        bias = node.operand("bias")
        if bias is not None:
            return plus(node, bias)
        strides, dilations = numbers(node, "stride", n), numbers(node, "dilation", n)
        rule = known(node, "padding")
        pads = constant(rule.upper()) if isinstance(rule, str) else _both_sides(numbers(node, "padding", n))
        if strides is None or dilations is None or pads is None:
            return node
        plain = all_equal(node, "dilation", n, 1)
        dilation = None if plain else tupled(dilations)
        return node.replace(attributes={"stride": tupled(strides), "padding": pads, "dilation": dilation})

    return legalise


def _both_sides(pads: list[ast.expr] | None) -> ast.expr | None:
    return None if pads is None else tupled([tupled([p, p]) for p in pads])


def _sum(one: ast.expr, operator: ast.operator, other: ast.expr) -> ast.expr:
    """A sum, difference or product; of literals, its value, and without what changes nothing."""
    made = ast.BinOp(one, operator, other)
    if is_literal(one) and is_literal(other):
        return constant(eval(compile(ast.fix_missing_locations(ast.Expression(made)), "<sum>", "eval")))  # noqa: S307 - two numbers
    if isinstance(operator, ast.Mult) and is_literal(one) and literal(one) == 1:
        return other
    if not isinstance(operator, ast.Mult) and is_literal(other) and literal(other) == 0:
        return one
    return made


def _transposed_pads(node: Op, n: int) -> ast.expr | None:
    """What NNX pads the stretched input with: the kernel's span beyond one less what PyTorch cuts off."""
    names = ("kernel_size", "padding", "dilation", "output_padding")
    found = [numbers(node, name, n) for name in names]
    pairs = []
    for kernel, cut, dilation, extra in zip(*[f for f in found if f is not None], strict=True) if all(found) else ():
        span = _sum(dilation, ast.Mult(), _sum(kernel, ast.Sub(), constant(1)))
        side = _sum(span, ast.Sub(), cut)
        pairs.append(tupled([side, _sum(side, ast.Add(), extra)]))
    return tupled(pairs) if pairs else None


def _rule(node: Op, n: int) -> str | None:
    """NNX's word for what is cut off, from literal numbers."""
    names = ("kernel_size", "stride", "padding", "dilation", "output_padding")
    parts = list(zip(*(per_axis(node, name, n) for name in names), strict=True))
    if not all(is_literal(item) for part in parts for item in part):
        return None
    values = [tuple(map(literal, part)) for part in parts]
    if not all(d == 1 and extra == 0 and k >= s for k, s, _, d, extra in values):
        return None
    if all(p == 0 for _, _, p, _, _ in values):
        return "VALID"
    return "SAME" if all(k - s == 2 * p for k, s, p, _, _ in values) else None


def _filled_up(node: Op) -> ast.expr:
    """As many results as strides and kernels ask for, which JAX's words give by themselves."""
    made = held_word(node)
    word = made.attribute("padding")
    if word is None or is_literal(word):
        rule = known(node, "padding") or "valid"
        if not isinstance(rule, str):
            return node
        word = constant(rule.upper())
    elif made is node:
        return node
    else:
        word = ast.Call(ast.Attribute(word, "upper", ast.Load()), [], [])
    return made.replace(attributes={"padding": word, "output_padding": None})


def _transposed(n: int) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        made = _with_kernel(node, n)
        if made.attribute("output_padding") is not None and known(made, "output_padding") is None:
            return _filled_up(made)
        if isinstance(rule := known(made, "padding"), str):
            return made.replace(attributes={"padding": constant(rule.upper())})
        rule = _rule(made, n)
        pads = constant(rule) if rule else _transposed_pads(made, n)
        if pads is None:
            return node
        return made.replace(attributes={"padding": pads, "output_padding": None})

    return legalise


def _table() -> dict[str, Legalise]:
    made: dict[str, Legalise] = {}
    for n in (1, 2, 3):
        made |= {f"conv{n}d": _layer(n), f"conv{n}d_with": _function(n), f"conv_transpose{n}d": _transposed(n)}
        if n < 3:
            made |= {f"depthwise_conv{n}d": _layer(n), f"separable_conv{n}d": _separable(n)}
    return made


LEGALISATIONS = _table()
