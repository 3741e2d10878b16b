"""Comparing running statistics after a training step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netferry.frameworks.base import Array, VarianceUpdate
from netferry.verify.compare import GROWTH, Outcome, largest, magnitude
from netferry.weights.map import WeightMap


def compare_statistics(
    weight_map: WeightMap,
    resolved: Mapping[str, str],
    expected: Mapping[str, Array],
    adjusted: Mapping[str, Array],
    repeated: Mapping[str, Array] | None,
    found: Mapping[str, Array],
    tolerance: float,
) -> Outcome | None:
    """Judge the target's buffers; None where there are none.

    Args:
        weight_map: which buffers belong together.
        resolved: the path of every target array as the target's state lists it.
        expected: the source's buffers after the step.
        adjusted: the same with running variances as the target's own convention updates them.
        repeated: the source's buffers after a step from slightly rounded values, where known.
        found: the target's buffers after the step.
        tolerance: what counts as rounding.
    """
    outcome = Outcome()
    adopted: list[str] = []
    compared = 0
    for entry in weight_map.entries:
        path = resolved[entry.target]
        if path not in found or not entry.sources or any(name not in expected for name in entry.sources):
            continue
        compared += 1
        target = found[path]
        reference, other = entry.recipe(expected), entry.recipe(adjusted)
        noise = largest(reference, entry.recipe(repeated)) if repeated else 0.0
        scale = magnitude(reference) or 1.0
        gap, gap_adjusted = largest(reference, target), largest(other, target)
        if gap_adjusted < gap:
            adopted.append(entry.sources[0])
        gap = min(gap, gap_adjusted)
        outcome.absolute, outcome.relative = max(outcome.absolute, gap), max(outcome.relative, gap / scale)
        if not gap <= max(tolerance * scale, GROWTH * noise):
            outcome.wrong.append(f"{entry.sources[0]} differs by {gap / scale:.1e} after a training step")
    if adopted:
        outcome.notes.append(
            f"{len(adopted)} running variances are updated as the target framework does it (with or without Bessel's "
            "correction), which training from here on will differ by"
        )
    return outcome if compared else None


def adjust(
    before: Mapping[str, Array],
    after: Mapping[str, Array],
    updates: Mapping[str, VarianceUpdate],
    ddof: tuple[int, int],
) -> dict[str, Array]:
    """Running variances as a framework with the second ``ddof`` would have updated them."""
    found = dict(after)
    for path, update in updates.items():
        if path in found and update.count > max(ddof):
            ratio = (update.count - ddof[0]) / (update.count - ddof[1])
            kept = update.kept * before[path]
            found[path] = np.asarray(kept + (after[path] - kept) * ratio)
    return found
