"""Finding the first submodule at which two networks differ."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from netferry.frameworks.base import Array, Call
from netferry.verify.compare import arrays, largest, magnitude
from netferry.verify.report import Divergence
from netferry.weights.map import WeightMap

_NOISE: Final = 1e-10
"""Relative difference in float64 that no rounding inside one network explains."""

_MOST_AXES: Final = 5
"""Arrays with more axes are not tried in every order."""


def first_divergence(source: list[Call], target: list[Call], weight_map: WeightMap) -> Divergence | None:
    """The first submodule, in the order in which they return, whose outputs differ."""
    names = _Names(weight_map)
    by_path: dict[str, list[Call]] = defaultdict(list)
    for call in target:
        by_path[call.path].append(call)
    seen: dict[str, int] = defaultdict(int)
    agreed = ""
    for call in source:
        path = names.target(call.path)
        index = seen[call.path]
        seen[call.path] += 1
        if path is None or index >= len(by_path[path]):
            continue
        other = by_path[path][index]
        gap = difference(call.outputs, other.outputs)
        if gap is not None and gap > _NOISE:
            before = difference(call.inputs, other.inputs)
            # Inputs of another size (padded beforehand) cannot be compared.
            inside = None if before in (None, float("inf")) else before <= _NOISE
            return Divergence(call.path, path, call.kind, gap, inside, agreed)
        if gap is not None:
            agreed = call.path
    return None


def difference(one: Any, other: Any) -> float | None:
    """The relative difference of nested values in whatever order of axes fits best; None when nothing compares."""
    gaps = [
        _gap(expected, found) for expected, found in zip(arrays(one).values(), arrays(other).values(), strict=False)
    ]
    return max((gap for gap in gaps if gap is not None), default=None)


def _gap(expected: Array, found: Array) -> float | None:
    if expected.dtype.kind not in "fc" or found.dtype.kind not in "fc":
        return None
    if expected.size != found.size:
        return float("inf")
    scale = magnitude(expected) or 1.0
    gaps = [largest(expected, view) / scale for view in _orders(found, expected)]
    if gaps:
        return min(gaps)
    # Another shape of the same size: agreement proves something, a difference may be one of order only.
    return 0.0 if largest(np.sort(expected, None), np.sort(found, None)) / scale <= _NOISE else None


def _orders(array: Array, like: Array) -> Iterable[Array]:
    """Every transposition of ``array`` that has the shape of ``like``."""
    if array.ndim == like.ndim <= _MOST_AXES:
        for axes in itertools.permutations(range(array.ndim)):
            if tuple(array.shape[axis] for axis in axes) == like.shape:
                yield array.transpose(axes)
    elif array.shape == like.shape:
        yield array


class _Names:
    """Which submodule of the target stands for one of the source, as told by the weight map."""

    def __init__(self, weight_map: WeightMap) -> None:
        self._pairs: dict[str, str] = {}
        for entry in weight_map.entries:
            for name in entry.sources:
                self._pairs.setdefault(_owner(name), _owner(entry.target))
        self._claimed = set(self._pairs.values())
        # Where an index moved (a padding layer put before a convolution), equal names mean nothing any more.
        self._moved = {_owner(s) for s, t in self._pairs.items() if s != t and _owner(s) == _owner(t)}

    def target(self, path: str) -> str | None:
        if path in self._pairs:
            named = self._pairs[path]
            # A part of the same submodule (the cell of a recurrent layer) does not stand for all of it.
            return path if named.startswith(f"{path}.") else named
        if path in self._claimed or (path and _owner(path) in self._moved):
            return None
        return path


def _owner(path: str) -> str:
    return path.rpartition(".")[0]
