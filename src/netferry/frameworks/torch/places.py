"""Where in a network each layer came to be, found by building it without memory for its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def places(build: Callable[[Callable[[int, Any], Any]], Any]) -> dict[int, list[str]]:
    """Site -> the paths of the layers that it made, in order; ``build`` gets what reports a layer and its site."""
    made: list[tuple[int, Any]] = []

    def report(site: int, layer: Any) -> Any:
        made.append((site, layer))
        return layer

    with torch.device("meta"):
        network = build(report)
    if not isinstance(network, torch.nn.Module):
        return {}
    paths: dict[int, str] = {}
    for path, module in network.named_modules(remove_duplicate=False):
        paths.setdefault(id(module), path)
    found: dict[int, list[str]] = {}
    for site, layer in made:
        if id(layer) in paths:
            found.setdefault(site, []).append(paths[id(layer)])
    return found
