"""Enlarging for JAX: a factor for each axis."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.arguments import numbers
from netferry.pivot.nodes import Op

Legalise = Callable[[Op, str], ast.expr]


def _each(n: int) -> Legalise:
    def legalise(node: Op, framework: str) -> ast.expr:
        factors = None if isinstance(node.attribute("factor"), ast.Tuple) else numbers(node, "factor", n)
        return node if factors is None else node.replace(attributes={"factor": ast.Tuple(factors, ast.Load())})

    return legalise


LEGALISATIONS: dict[str, Legalise] = {f"upsample{n}d": _each(n) for n in (2, 3)}
