"""Dropout of channels of tensors that have other axes than the op's name says, for targets whose layers name theirs."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.frameworks.shapes import rank_of
from netferry.ops.lowering import CannotWrite
from netferry.pivot.nodes import Op, constant

_BATCHED = {1: {3: 1}, 2: {2: 0, 3: 1, 4: 2, 5: 3}, 3: {5: 3}}
"""Axes in PyTorch's name -> rank of the input -> spatial axes; of any other rank, the first axis holds the channels."""


def channels(n: int) -> Callable[[Op, str], ast.expr]:
    """The op for as many spatial axes as its input has."""

    def legalise(node: Op, framework: str) -> ast.expr:
        """Name the op after the axes its input has."""
        ranks: set[int | None] = getattr(node, "nf_ranks", set()) if node.layer else {rank_of(node)}
        rank = next(iter(ranks)) if len(ranks) == 1 else None
        if rank is None or rank == n + 2:
            return node
        spatial = _BATCHED[n].get(rank)
        if spatial is not None:
            return node.replace(f"dropout{spatial}d" if spatial else "dropout")
        if not node.layer:
            raise CannotWrite("channels are dropped of a tensor without a batch axis")
        return node.replace("dropout", attributes={"noise_shape": constant((None, *[1] * (rank - 1)))})

    return legalise


CHANNELS = {f"dropout{n}d": channels(n) for n in (1, 2, 3)}
