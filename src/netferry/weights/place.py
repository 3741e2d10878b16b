"""Adding to a weight map where the target framework's own weights file keeps its arrays."""

from __future__ import annotations

from typing import Any

from netferry.frameworks.base import Runtime
from netferry.weights.map import TargetFile, WeightMap


def target_file(weight_map: WeightMap, runtime: Runtime, network: Any) -> TargetFile | None:
    """The places of the map's target arrays, from a built target network; None where files use the same names."""
    found = runtime.weights_file(network)
    if found is None:
        return None
    resolved = {entry.target: runtime.resolve(network, entry.target) for entry in weight_map.entries}
    placed = {target: found.paths[path] for target, path in resolved.items() if path in found.paths}
    mapped = set(resolved.values())
    variables = runtime.state(network).variables
    left = {path: place for path, place in found.paths.items() if path in variables and path not in mapped}
    # Arrays that no entry makes (constants that the network computes itself) are written as they are.
    constants = {
        place: {"dtype": variables[path].dtype, "values": runtime.read(network, path).tolist()}
        for path, place in left.items()
    }
    return TargetFile(placed, {**found.others, **constants})
