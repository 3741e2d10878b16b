"""What legalisations of pooling share."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.arguments import all_equal, observed
from netferry.pivot.nodes import Op, constant, is_literal


def adaptive(n: int) -> Callable[[Op, str], ast.expr]:
    """A size for every axis."""

    def legalise(node: Op, framework: str) -> ast.expr:
        size = node.attribute("output_size")
        if size is None or isinstance(size, ast.Tuple | ast.List) or all_equal(node, "output_size", n, 1):
            return node
        seen = observed(node, "output_size")
        if seen and all(isinstance(value, list | tuple) for value in seen):
            return node
        sizes = [size] * n if is_literal(size) or isinstance(size, ast.Name) else None
        made = ast.BinOp(ast.Tuple([size], ast.Load()), ast.Mult(), constant(n))
        return node.replace(attributes={"output_size": ast.Tuple(list(sizes), ast.Load()) if sizes else made})

    return legalise


ADAPTIVE = {f"adaptive_{kind}_pool{n}d": adaptive(n) for kind in ("avg", "max") for n in (1, 2, 3)}
