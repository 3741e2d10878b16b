"""Layers around layers, the way they are written in PyTorch."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.pivot.nodes import Op

Legalise = Callable[[Op, str], ast.expr]
_DIRECTIONS = {f"{kind}_layer": f"bidirectional_{kind}" for kind in ("lstm", "gru", "rnn")}


def _bidirectional(node: Op, framework: str) -> ast.expr:
    """A layer of its own kind, made with the arguments of the one inside."""
    inner = node.attribute("layer")
    if not isinstance(inner, Op) or inner.name not in _DIRECTIONS or inner.attribute("go_backwards") is not None:
        return node
    given = {k.arg: k.value for k in (*inner.attributes, *node.attributes) if k.arg and k.arg != "layer"}
    return Op(_DIRECTIONS[inner.name], {}, given, layer=True, site=node.site)


LEGALISATIONS: dict[str, Legalise] = {"bidirectional": _bidirectional}
