"""Comparing gradients: those of the target, carried back through the weight map, with those of the source."""

from __future__ import annotations

from collections.abc import Mapping

from netferry.frameworks.base import Array, State
from netferry.verify.compare import GROWTH, TOLERANCE, Outcome, largest, magnitude
from netferry.weights.adjoint import adjoint
from netferry.weights.map import WeightMap


def carried_back(
    weight_map: WeightMap, gradients: Mapping[str, Array], resolved: Mapping[str, str], state: State
) -> dict[str, Array]:
    """The target's gradients by the arrays of the source.

    An array that arrives in several places receives the sum of what comes back from all; one that is shared in both
    networks is listed more than once and counts once.
    """
    shapes = {name: state.variables[state.canonical(name)].shape for name in weight_map.sources}
    found: dict[str, Array] = {}
    counted: set[tuple[str, ...]] = set()
    for entry in weight_map.entries:
        gradient = gradients.get(resolved[entry.target])
        ends = (resolved[entry.target], *map(state.canonical, entry.sources))
        if gradient is not None and ends not in counted:
            counted.add(ends)
            for name, part in adjoint(entry.recipe, gradient, shapes).items():
                path = state.canonical(name)
                found[path] = found[path] + part if path in found else part
    return found


def compare_gradients(
    reference: Mapping[str, Array], found: Mapping[str, Array], repeated: Mapping[str, Array] | None, tolerance: float
) -> Outcome:
    """Judge every parameter by its own scale; a gradient that is zero but for rounding is judged by the rounding."""
    outcome = Outcome()
    whole = max((magnitude(g) for g in reference.values()), default=0.0) or 1.0
    silent = []
    for path, expected in reference.items():
        scale = magnitude(expected)
        noise = largest(expected, repeated[path]) if repeated and path in repeated else 0.0
        if scale == 0.0:
            silent.append(path)
        gap = largest(expected, found[path]) if path in found else scale
        # Below this, what a softmax's or a normalisation's shift leaves is rounding, not a gradient.
        floor = scale if scale > TOLERANCE * whole else whole
        outcome.absolute = max(outcome.absolute, gap)
        outcome.relative = max(outcome.relative, gap / floor)
        if not gap <= max(tolerance * floor, GROWTH * noise):
            outcome.wrong.append(f"the gradient of {path} differs by {gap / floor:.1e}")
    if silent:
        shown = ", ".join(silent[:3]) + (", …" if len(silent) > 3 else "")
        outcome.notes.append(f"{len(silent)} of {len(reference)} parameters have no gradient for these inputs: {shown}")
    return outcome
