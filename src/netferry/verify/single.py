"""Comparing two networks in float32, the precision in which they will be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from netferry.frameworks.base import Arguments
from netferry.verify.compare import GROWTH, Named, Permutation, in_layout, largest, magnitude, paired
from netferry.verify.measure import Network, brief, outputs_of
from netferry.weights.map import WeightMap
from netferry.weights.transfer import transfer

_TOLERANCE: Final = 1e-3
"""float32 rounds at 1e-7; deep networks amplify that, so a multiple of the source's own error is accepted too."""


@dataclass
class Single:
    """The largest relative difference, and what went wrong."""

    difference: float | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare_single(
    source: Network,
    target: Network,
    weight_map: WeightMap,
    network: Any,
    inputs: Arguments,
    converted: Arguments,
    exact: Named,
    permutations: Sequence[Permutation],
) -> Single:
    """Run both in float32 with the state of ``network``; ``exact`` are its outputs in float64."""
    found = Single()
    try:
        expected = in_layout(_source_outputs(source, network, inputs), permutations)
    except Exception as error:  # noqa: BLE001 - networks raise anything
        found.notes.append(f"float32 is not compared: the source raises {brief(error)}")
        return found
    try:
        outputs = paired(expected, _target_outputs(source, target, weight_map, network, converted))
    except Exception as error:  # noqa: BLE001 - generated code raises anything
        found.problems.append(f"float32: the target raises {brief(error)}")
        return found
    if outputs is None:
        found.problems.append("float32: the numbers of outputs differ")
        return found
    reference = in_layout(exact, permutations)
    for path, value in expected.items():
        scale = magnitude(value) or 1.0
        gap = largest(value, outputs[path])
        own = largest(reference[path], value) if path in reference else 0.0
        found.difference = max(found.difference or 0.0, gap / scale)
        if value.dtype.kind in "fc" and not gap <= max(_TOLERANCE * scale, GROWTH * own):
            found.problems.append(f"float32: output {path} differs by {gap / scale:.1e}")
        elif value.dtype.kind not in "fc" and gap:
            found.notes.append(f"float32: the integers of output {path} differ, as rounding may decide them")
    return found


def _source_outputs(source: Network, network: Any, inputs: Arguments) -> Named:
    runtime = source.runtime
    with runtime.prepare("float32"):
        runtime.seed(1)
        single = runtime.build(source.factory, "float32")
        outputs_of(runtime, single, inputs)
        for path, variable in runtime.state(network).variables.items():
            if variable.floating:
                runtime.assign(single, path, runtime.read(network, path))
        return outputs_of(runtime, single, inputs)


def _target_outputs(
    source: Network, target: Network, weight_map: WeightMap, network: Any, converted: Arguments
) -> Named:
    runtime = target.runtime
    with runtime.prepare("float32"):
        runtime.seed(1)
        single = runtime.build(target.factory, "float32")
        outputs_of(runtime, single, converted)
        transfer(source.runtime, network, runtime, single, weight_map)
        return outputs_of(runtime, single, converted)
