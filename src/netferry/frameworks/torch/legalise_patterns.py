"""Rearrangements by patterns for PyTorch, without the library that reads patterns."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.passes.patterns import expanded, named_einsum
from netferry.pivot.nodes import Op


def rearrange(node: Op, framework: str) -> ast.expr:
    """Reshapes, transposes, reductions and repeats."""
    return expanded(node)


LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {
    **dict.fromkeys(("rearrange", "rearrange_reduce", "rearrange_repeat"), rearrange),
    "named_einsum": lambda node, framework: named_einsum(node),
}
