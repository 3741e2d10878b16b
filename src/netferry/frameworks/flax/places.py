"""Where in a network each layer came to be, found by building it in shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from netferry.frameworks.flax import paths


def places(build: Callable[[Callable[[int, Any], Any]], Any]) -> dict[int, list[str]]:
    """Site -> the paths of the layers that it made, in order; ``build`` gets what reports a layer and its site."""
    found: dict[int, list[str]] = {}

    def built() -> None:
        made: list[tuple[int, Any]] = []

        def report(site: int, layer: Any) -> Any:
            made.append((site, layer))
            return layer

        network = build(report)
        known = {id(m): path for path, m in paths.modules(network)} if isinstance(network, nnx.Module) else {}
        for site, layer in made:
            if id(layer) in known:
                found.setdefault(site, []).append(known[id(layer)])

    jax.eval_shape(built)
    return found
