"""Rearrangements by patterns for Keras targets."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.passes.patterns import expanded, named_einsum
from netferry.pivot.nodes import Op

_ROOTS = {"tensorflow": "tf.keras", "keras": "keras"}


def rearrange(node: Op, framework: str) -> ast.expr:
    """Reshapes, transposes, reductions and repeats; as a layer, in a ``Lambda``."""
    return expanded(node, f"{_ROOTS[framework]}.layers.Lambda")


LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {
    **dict.fromkeys(("rearrange", "rearrange_reduce", "rearrange_repeat"), rearrange),
    "named_einsum": lambda node, framework: named_einsum(node),
}
