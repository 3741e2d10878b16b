"""Resizing for Keras targets, which have a layer for each number of axes."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.keras.legalise_shape import rank_of
from netferry.pivot.nodes import Op, constant


def _ranked(node: Op, framework: str) -> ast.expr:
    """Note the rank of what is resized here, if it is always the same."""
    ranks = getattr(node, "nf_ranks", set()) if node.layer else {rank_of(node)}
    if node.attribute("rank") is not None or len(ranks) != 1 or None in ranks:
        return node
    return node.replace(attributes={"rank": constant(next(iter(ranks)))})


LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {"interpolate": _ranked}
