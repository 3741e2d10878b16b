"""Dropout of channels where there are no spatial axes."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.pivot.nodes import Op


def _channels(n: int) -> Callable[[Op, str], ast.expr]:
    def legalise(node: Op, framework: str) -> ast.expr:
        """On inputs without spatial axes, dropping channels is dropping values."""
        ranks: set[int] = getattr(node, "nf_ranks", set())
        if not node.layer or not ranks or n + 2 in ranks:
            return node
        rate = node.attribute("rate")
        return Op("dropout", {}, {} if rate is None else {"rate": rate}, layer=True, site=node.site)

    return legalise


LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {f"dropout{n}d": _channels(n) for n in (1, 2, 3)}
