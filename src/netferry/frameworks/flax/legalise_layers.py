"""Layers for NNX: scale and shift are two switches, normalised axes are listed."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks import switches
from netferry.frameworks.arguments import observed
from netferry.frameworks.convolutions import linear
from netferry.ops.lowering import is_simple
from netferry.pivot.nodes import Op, constant


def _one_axis(node: Op) -> Op:
    """The size of a single axis, which the source may have given in a tuple."""
    shape = node.attribute("normalized_shape")
    if shape is None or node.attribute("axes") is not None or not node.layer:
        return node
    if isinstance(shape, ast.Tuple | ast.List):
        return node.replace(attributes={"normalized_shape": shape.elts[0]}) if len(shape.elts) == 1 else node
    seen = observed(node, "normalized_shape")
    if not seen or not is_simple(shape) or not all(isinstance(v, list | tuple) and len(v) == 1 for v in seen):
        return node
    return node.replace(attributes={"normalized_shape": ast.Subscript(shape, constant(0), ast.Load())})


def layer_norm(node: Op, framework: str) -> ast.expr:
    """Both switches, and the axes."""
    return _one_axis(switches.axes(switches.switches(node)))


def rms_norm(node: Op, framework: str) -> ast.expr:
    """The axes; there is no shift."""
    return _one_axis(switches.axes(node))


LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {
    **dict.fromkeys(("batch_norm", "group_norm", "instance_norm"), switches.channels),
    "layer_norm": layer_norm,
    "rms_norm": rms_norm,
    "functional_linear": linear,
}
