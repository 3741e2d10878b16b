"""What takes more than one call in Keras: explicit padding of convolutions and pooling, depthwise convolutions."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from netferry.pivot.nodes import Op, constant, is_literal, literal

_VALID = constant("valid")
_SAME = constant("same")


def _value(node: Op, name: str, default: Any) -> Any:
    """The literal value of an attribute; None when it is an expression."""
    given = node.attribute(name)
    if given is None:
        return default
    return literal(given) if is_literal(given) else None


def _each(value: Any, n: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,) * n


def _is_same(n: int, kernel: Any, stride: Any, padding: Any, dilation: Any) -> bool:
    """Whether literal padding equals Keras's ``same`` for every input size."""
    if None in (kernel, stride, padding, dilation) or isinstance(padding, str):
        return False
    parts = zip(_each(kernel, n), _each(stride, n), _each(padding, n), _each(dilation, n), strict=True)
    return all(s == 1 and 2 * p == d * (k - 1) for k, s, p, d in parts)


def _is_same_symbolically(node: Op) -> bool:
    """``padding=dilation`` with kernel 3, ``padding=kernel_size // 2`` is not: even kernels differ."""
    padding, dilation = node.attribute("padding"), node.attribute("dilation")
    if padding is None or _value(node, "stride", 1) not in (1, (1, 1), (1,), (1, 1, 1)):
        return False
    equal = dilation is not None and ast.unparse(padding) == ast.unparse(dilation)
    return equal and _value(node, "kernel_size", None) in (3, (3, 3), (3,))


def _pads(padding: ast.expr, n: int) -> ast.expr:
    """What ``ZeroPadding`` takes: the same number on both sides of every axis."""
    if is_literal(padding):
        value = literal(padding)
        if isinstance(value, list | tuple):
            return constant(value[0] if len(set(value)) == 1 else tuple(value))
    return padding


def _convolution(n: int) -> Callable[[Op, str], ast.expr]:
    def legalise(node: Op, framework: str) -> ast.expr:
        made = _depthwise(node, n) if n < 3 else node
        return _padded(made, n)

    return legalise


def _padded(node: Op, n: int) -> ast.expr:
    padding = node.attribute("padding")
    value = _value(node, "padding", 0)
    if value in (0, (0,) * n, [0] * n, "valid"):
        return node.replace(attributes={"padding": _VALID})
    kernel, stride, dilation = _value(node, "kernel_size", None), _value(node, "stride", 1), _value(node, "dilation", 1)
    if value == "same" or _is_same(n, kernel, stride, value, dilation) or _is_same_symbolically(node):
        return node.replace(attributes={"padding": _SAME})
    assert padding is not None
    pad = Op(f"zero_pad{n}d", {}, {"padding": _pads(padding, n)}, layer=True, site=node.site)
    inner = node.replace(attributes={"padding": _VALID})
    inner.nf_legal = True  # type: ignore[attr-defined]
    return Op("sequential", {"layers": ast.List([pad, inner], ast.Load())}, layer=True, site=node.site)


def _depthwise(node: Op, n: int) -> Op:
    """One group per channel is what Keras calls depthwise."""
    groups, inputs, outputs = node.attribute("groups"), node.attribute("in_channels"), node.attribute("out_channels")
    if groups is None or inputs is None or outputs is None or ast.unparse(groups) != ast.unparse(inputs):
        return node
    if _value(node, "groups", None) == 1:
        return node
    if n == 2 and not _equal_strides(node):
        return node
    attributes = {k.arg: k.value for k in node.attributes if k.arg in ("kernel_size", "stride", "padding", "dilation", "use_bias")}
    if ast.unparse(outputs) != ast.unparse(inputs):
        ratio = _ratio(outputs, inputs)
        if ratio is None:
            return node
        attributes["depth_multiplier"] = ratio
    return Op(f"depthwise_conv{n}d", {}, {k: v for k, v in attributes.items() if k}, layer=True, site=node.site)


def _equal_strides(node: Op) -> bool:
    stride = _value(node, "stride", 1)
    return not isinstance(stride, list | tuple) or len(set(stride)) == 1


def _ratio(outputs: ast.expr, inputs: ast.expr) -> ast.expr | None:
    if is_literal(outputs) and is_literal(inputs) and literal(outputs) % literal(inputs) == 0:
        return constant(literal(outputs) // literal(inputs))
    return None


def _with_kernel(n: int) -> Callable[[Op, str], ast.expr]:
    """A convolution whose kernel is a tensor: padding goes to the operand."""

    def legalise(node: Op, framework: str) -> ast.expr:
        if getattr(node, "nf_legal", False):
            return node
        value, bias = _value(node, "padding", 0), node.operand("bias")
        x, padding = node.operand("x"), node.attribute("padding")
        assert x is not None
        mode = {"tensorflow": str.upper}.get(framework, str)
        if value not in (0, (0,) * n, "valid", "same") and not _is_same(n, _value(node, "kernel_size", None), 1, value, 1):
            pads = [(0, 0), *[(p, p) for p in _each(value, n)], (0, 0)] if value is not None else None
            listing = constant(pads) if pads else _symbolic_pads(padding, n)
            path = "tf.pad" if framework == "tensorflow" else "keras.ops.pad"
            x = ast.Call(_dotted(path), [x, listing], [])
        mode_name = constant(mode("same" if value == "same" else "valid"))
        made: ast.expr = node.replace(operands={"x": x, "bias": None}, attributes={"padding": mode_name})
        made.nf_legal = True  # type: ignore[attr-defined]
        return made if bias is None else ast.BinOp(made, ast.Add(), bias)

    return legalise


def _symbolic_pads(padding: ast.expr | None, n: int) -> ast.expr:
    assert padding is not None
    pair = ast.Tuple([padding, padding], ast.Load())
    return ast.List([constant((0, 0)), *[pair] * n, constant((0, 0))], ast.Load())


def _dotted(path: str) -> ast.expr:
    from netferry.ops.lowering import dotted

    return dotted(path)


def _max_pool(n: int) -> Callable[[Op, str], ast.expr]:
    def legalise(node: Op, framework: str) -> ast.expr:
        if not node.layer or _value(node, "ceil_mode", False) is not False:
            return node
        kernel, padding, dilation = _value(node, "kernel_size", None), _value(node, "padding", 0), _value(node, "dilation", 1)
        stride = _value(node, "stride", None) if node.attribute("stride") is not None else kernel
        if padding not in (0, (0,) * n) and _is_same(n, kernel, stride, padding, dilation):
            made = node.replace(attributes={"padding": _SAME})
            made.nf_legal = True  # type: ignore[attr-defined]
            return made
        return node

    return legalise


def _average_pool(n: int) -> Callable[[Op, str], ast.expr]:
    def legalise(node: Op, framework: str) -> ast.expr:
        padding = _value(node, "padding", 0)
        plain = _value(node, "ceil_mode", False) is False and _value(node, "divisor_override", None) is None
        if not node.layer or not plain or padding in (0, (0,) * n) or padding is None or isinstance(padding, str):
            return node
        if _value(node, "count_include_pad", True) is not True:
            kernel = _value(node, "kernel_size", None)
            stride = _value(node, "stride", None) if node.attribute("stride") is not None else kernel
            if _is_same(n, kernel, stride, padding, 1):
                made = node.replace(attributes={"padding": _SAME})
                made.nf_legal = True  # type: ignore[attr-defined]
                return made
            return node
        pad = Op(f"zero_pad{n}d", {}, {"padding": constant(padding)}, layer=True, site=node.site)
        inner = node.replace(attributes={"padding": None})
        return Op("sequential", {"layers": ast.List([pad, inner], ast.Load())}, layer=True, site=node.site)

    return legalise


def _transposed(n: int) -> Callable[[Op, str], ast.expr]:
    """Keras gives the full result of a transposed convolution; PyTorch cuts ``padding`` off it."""

    def legalise(node: Op, framework: str) -> ast.expr:
        if getattr(node, "nf_legal", False):
            return node
        kernel, stride = _value(node, "kernel_size", None), _value(node, "stride", 1)
        padding, extra = _value(node, "padding", 0), _value(node, "output_padding", 0)
        inner = node.replace(attributes={"padding": None, "output_padding": None})
        inner.nf_legal = True  # type: ignore[attr-defined]
        if padding == 0 and extra == 0 and _reaches(kernel, stride, n):
            return inner
        if None in (kernel, stride, padding, extra):
            return _cropped_symbolically(node, inner, n)
        dilation = _each(_value(node, "dilation", 1), n)
        crops, pads = [], []
        for k, s, p, e, d in zip(_each(kernel, n), _each(stride, n), _each(padding, n), _each(extra, n), dilation, strict=True):
            # Keras's "valid" result has max(k - s, 0) more places than size * s; PyTorch's full one (size - 1) * s + k.
            surplus = max(s - (d * (k - 1) + 1), 0)
            end = p - e + surplus
            crops.append((p, max(end, 0)))
            pads.append((0, max(-end, 0)))
        chain: list[ast.expr] = [inner]
        if any(b for _, b in pads):
            chain.append(Op(f"zero_pad{n}d", {}, {"padding": constant(tuple(pads) if n > 1 else pads[0])}, layer=True))
        if any(a or b for a, b in crops):
            chain.append(Op(f"crop{n}d", {}, {"cropping": constant(_cropping(crops, n))}, layer=True))
        if len(chain) == 1:
            return inner
        return Op("sequential", {"layers": ast.List(chain, ast.Load())}, layer=True, site=node.site)

    return legalise


def _reaches(kernel: Any, stride: Any, n: int) -> bool:
    return kernel is not None and stride is not None and all(k >= s for k, s in zip(_each(kernel, n), _each(stride, n), strict=True))


def _cropping(crops: list[tuple[int, int]], n: int) -> Any:
    if len({*crops}) == 1 and crops[0][0] == crops[0][1]:
        return crops[0][0]
    return tuple(crops) if n > 1 else crops[0]


def _cropped_symbolically(node: Op, inner: Op, n: int) -> ast.expr:
    padding = node.attribute("padding")
    if padding is None or _value(node, "output_padding", 0) != 0:
        return inner
    crop = Op(f"crop{n}d", {}, {"cropping": padding}, layer=True)
    return Op("sequential", {"layers": ast.List([inner, crop], ast.Load())}, layer=True, site=node.site)


LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {}
for _n in (1, 2, 3):
    LEGALISATIONS[f"conv{_n}d"] = _convolution(_n)
    LEGALISATIONS[f"conv{_n}d_with"] = _with_kernel(_n)
    LEGALISATIONS[f"conv_transpose{_n}d"] = _transposed(_n)
    LEGALISATIONS[f"max_pool{_n}d"] = _max_pool(_n)
    LEGALISATIONS[f"avg_pool{_n}d"] = _average_pool(_n)
