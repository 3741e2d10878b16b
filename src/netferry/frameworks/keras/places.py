"""Where in a network each layer came to be, found by building it, which gives no layer its weights yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netferry.frameworks.keras import paths


def places(build: Callable[[Callable[[int, Any], Any]], Any]) -> dict[int, list[str]]:
    """Site -> the paths of the layers that it made, in order; ``build`` gets what reports a layer and its site."""
    made: list[tuple[int, Any]] = []

    def report(site: int, layer: Any) -> Any:
        made.append((site, layer))
        return layer

    network = build(report)
    if not paths.is_holder(network):
        return {}
    known: dict[int, str] = {}
    for path, layer in paths.layers(network):
        known.setdefault(id(layer), path)
    found: dict[int, list[str]] = {}
    for site, layer in made:
        if id(layer) in known:
            found.setdefault(site, []).append(known[id(layer)])
    return found
