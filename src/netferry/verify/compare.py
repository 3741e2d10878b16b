"""Comparing nested outputs array by array, each judged by its own scale and sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from netferry.frameworks.base import Arguments, Array
from netferry.trees import convert, numbers

TOLERANCE: Final = 1e-12
"""Relative to the largest value: float64 rounds at 1e-16; thousands of terms summed in another order stay below."""

NARROW_TOLERANCE: Final = 1e-5
"""The same for networks that compute partly in float32 whatever their state's type."""

GROWTH: Final = 64.0
"""Multiple of the source's own sensitivity to rounding that is accepted: rounding happens in every layer, the noise
that measures the sensitivity enters only through inputs and weights."""

CHAOTIC: Final = 1e-6
"""Sensitivity to rounding beyond which a comparison says nothing."""

Permutation = Sequence[int] | None
Named = dict[str, Array]


@dataclass(frozen=True)
class Layouts:
    """For every input and output array, in order, the axes in which the target takes or returns it (None: as is)."""

    inputs: Sequence[Permutation] = ()
    outputs: Sequence[Permutation] = ()


@dataclass
class Outcome:
    """The result of one comparison: largest differences, and what disagrees."""

    absolute: float = 0.0
    relative: float = 0.0
    noise: float = 0.0
    wrong: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether nothing disagrees."""
        return not self.wrong


def permuted(arguments: Arguments, permutations: Sequence[Permutation]) -> Arguments:
    """The arguments with their arrays transposed, in order."""
    position = iter(range(1 << 30))

    def change(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        index = next(position)
        wanted = permutations[index] if index < len(permutations) else None
        return value if wanted is None else np.ascontiguousarray(np.transpose(value, wanted))

    changed: Arguments = convert(arguments, change)
    return changed


def arrays(outputs: Any) -> Named:
    """The numeric members of nested outputs by place."""
    return {path: np.asarray(leaf) for path, leaf in numbers(outputs)}


def in_layout(outputs: Named, permutations: Sequence[Permutation]) -> Named:
    """The source's outputs as the target returns them."""
    padded = [*permutations, *[None] * len(outputs)]
    pairs = zip(outputs.items(), padded, strict=False)
    return {path: array if axes is None else np.transpose(array, axes) for (path, array), axes in pairs}


def paired(reference: Named, other: Named) -> Named | None:
    """The arrays of ``other`` under the places of ``reference``: by name where all agree, else by order."""
    if reference.keys() == other.keys():
        return other
    if len(reference) != len(other):
        return None
    return dict(zip(reference, other.values(), strict=True))


def compare(
    reference: Named, other: Named, repeated: Mapping[str, Array] | None = None, tolerance: float = TOLERANCE
) -> Outcome:
    """Judge ``other`` against ``reference``; ``repeated`` is the reference from slightly rounded inputs."""
    outcome = Outcome()
    matched = paired(reference, other)
    if matched is None:
        outcome.wrong.append(f"the source returns {len(reference)} arrays, the target {len(other)}")
        outcome.absolute = outcome.relative = float("inf")
        return outcome
    for path, expected in reference.items():
        again = (repeated or {}).get(path)
        again = again if again is not None and again.shape == expected.shape else None
        _judge(outcome, path, expected, matched[path], again, tolerance)
    return outcome


def _judge(outcome: Outcome, path: str, expected: Array, found: Array, again: Array | None, tolerance: float) -> None:
    name = f"output {path}" if path else "the output"
    scale = magnitude(expected)
    noise = 0.0 if again is None else largest(expected, again)
    gap = largest(expected, found)
    relative = gap / scale if scale else gap
    outcome.noise = max(outcome.noise, noise / scale if scale else noise)
    outcome.absolute, outcome.relative = max(outcome.absolute, gap), max(outcome.relative, relative)
    if expected.shape != found.shape:
        outcome.wrong.append(f"{name} has shape {expected.shape} in the source's values, {found.shape} in the target")
    elif not gap <= max(tolerance * (scale or 1.0), GROWTH * noise):
        outcome.wrong.append(f"{name} differs by {relative:.1e}")
    if expected.dtype.kind in "fc" and not np.isfinite(expected).all():
        outcome.notes.append(f"{name} is not finite everywhere; infinities were compared by place")


def magnitude(array: Array) -> float:
    """The largest finite absolute value."""
    values = array if array.dtype.kind in "fc" else array.astype("float64")
    if not values.size:
        return 0.0
    if values.dtype.kind == "c":
        values = np.abs(values)
    extreme = max(float(values.max()), -float(values.min()))
    if np.isfinite(extreme):
        return extreme
    finite = values[np.isfinite(values)]
    return float(np.abs(finite).max()) if finite.size else 0.0


def largest(one: Array, other: Array) -> float:
    """The largest absolute difference; infinite where shapes differ, or one is not finite as the other is."""
    if one.shape != other.shape:
        return float("inf")
    if not one.size:
        return 0.0
    if one.dtype.kind not in "fc" and other.dtype.kind not in "fc":
        one, other = one.astype("float64"), other.astype("float64")
    with np.errstate(invalid="ignore"):
        gap = float(np.abs(one - other).max())
    if np.isfinite(gap):
        return gap
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(other)) or not np.array_equal(
        one[~finite], other[~finite], equal_nan=True
    ):
        return float("inf")
    return float(np.abs(one[finite] - other[finite]).max()) if finite.any() else 0.0
