"""Normalisation where scale and shift are two switches, and the axes are listed."""

from __future__ import annotations

import ast

from netferry.frameworks.arguments import known, observed
from netferry.pivot.nodes import Op, constant, is_literal


def switches(node: Op) -> Op:
    """A layer without a scale has no shift either; Keras is told both."""
    affine, bias = node.attribute("affine"), node.attribute("use_bias")
    if not node.layer or (affine is None and node.indirect is not None):
        return node
    value = known(node, "affine")
    if value is not None:
        return (
            node
            if value or known(node, "use_bias") is False
            else node.replace(attributes={"use_bias": constant(False)})
        )
    assert affine is not None
    if bias is None:
        return node.replace(attributes={"use_bias": affine})
    first = bias.values[0] if isinstance(bias, ast.BoolOp) else bias
    if is_literal(bias) or ast.unparse(first) == ast.unparse(affine):
        return node
    return node.replace(attributes={"use_bias": ast.BoolOp(ast.And(), [affine, bias])})


def axes(node: Op) -> Op:
    """As many trailing axes as sizes are given, or were in the run."""
    shape = node.attribute("normalized_shape")
    counts = {len(value) for value in observed(node, "normalized_shape") if isinstance(value, list | tuple)}
    if isinstance(shape, ast.Tuple | ast.List):
        counts = {len(shape.elts)}
    if not node.layer or node.attribute("axes") is not None or len(counts) != 1 or counts == {1}:
        return node
    return node.replace(attributes={"axes": constant(tuple(range(-counts.pop(), 0)))})


def channels(node: Op, framework: str) -> ast.expr:
    """Both switches of a layer whose parameters have one axis."""
    return switches(node)


def layer(node: Op, framework: str) -> ast.expr:
    """Both switches, and the axes."""
    return axes(switches(node))


def root_mean_square(node: Op, framework: str) -> ast.expr:
    """The axes; there is no shift."""
    return axes(node)
