"""Updates, types and reductions for JAX: what its arrays say shorter."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.arguments import known
from netferry.pivot.nodes import Op

_REDUCTIONS = "sum mean prod max min all any var std logsumexp"


def index_update(node: Op, framework: str) -> ast.expr:
    """``x.at[:, 0].set(value)``."""
    x, index, value = (node.operand(name) for name in ("x", "index", "value"))
    match index:
        case ast.Subscript(value=ast.Attribute(value=ast.Name(id="np"), attr="s_"), slice=place) if x and value:
            places = ast.Subscript(ast.Attribute(x, "at", ast.Load()), place, ast.Load())
            return ast.Call(ast.Attribute(places, "set", ast.Load()), [value], [])
    return node


def cast(node: Op, framework: str) -> ast.expr:
    """``nnx.one_hot`` gives floating-point numbers by itself."""
    x = node.operand("x")
    if not isinstance(x, Op) or x.name != "one_hot" or known(node, "dtype") != "float32":
        return node
    classes = x.attribute("num_classes")
    return node if classes is None or known(x, "num_classes") == -1 else x.replace("one_hot_float")


def reduce(node: Op, framework: str) -> ast.expr:
    """Axes are a tuple."""
    axes = node.attribute("axes")
    if not isinstance(axes, ast.List):
        return node
    return node.replace(attributes={"axes": ast.Tuple(axes.elts, ast.Load())})


LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {
    "index_update": index_update,
    "cast": cast,
    **dict.fromkeys((f"reduce_{name}" for name in _REDUCTIONS.split()), reduce),
}
