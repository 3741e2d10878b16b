"""Random state for a network: every array differs from what a constructor would have put there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import numpy as np

from netferry.frameworks.base import Arguments, Array, Runtime, Variable
from netferry.trees import convert

FULL: Final = 0
MILD: Final = 1
"""Initial values changed by a tenth: for networks that random values drive out of range."""
SETTLED: Final = 2
"""Random values, running statistics near those of the data: for deep networks whose last layer saturates otherwise."""

_GAIN: Final = 1.3
"""Between 1 (linear networks) and the root of 2 (rectified ones): deep activations neither vanish nor explode."""

_PERIOD: Final = 1_000_003
"""A prime."""

_ROUNDING: Final = 1e-15
"""Relative noise of a few units in the last place of float64."""


def randomise(
    runtime: Runtime, network: Any, buffers: Collection[str], random: np.random.Generator, level: int = FULL
) -> None:
    """Fill all parameters and the given buffers; integer arrays stay as they are."""
    for path, variable in runtime.state(network).variables.items():
        if variable.floating and variable.shape.count(0) == 0 and (variable.kind == "parameter" or path in buffers):
            before = runtime.read(network, path)
            drawn = _mild(before, random) if level == MILD else _full(runtime, variable, before, random)
            runtime.assign(network, path, drawn)


def _full(runtime: Runtime, variable: Variable, before: Array, random: np.random.Generator) -> Array:
    name = variable.path.rpartition(".")[2]
    shape = variable.shape
    if variable.kind == "buffer" or not variable.trainable:
        if name.endswith(("running_var", "variance", "var")):
            return random.uniform(0.5, 1.5, shape)
        if name.endswith(("running_mean", "moving_mean", "mean")):
            return 0.5 * random.standard_normal(shape)
    if variable.kind == "buffer":
        return _mild(before, random)
    sample = before.ravel()[:_PERIOD]
    spread, centre = float(sample.std()), float(sample.mean())
    if len(shape) >= 2:
        centre = 0.0 if spread < 1e-12 and abs(centre) <= 0.01 else centre  # Sums over many inputs would grow with it.
        spread = min(1.0, max(spread, _GAIN / float(np.sqrt(max(1, runtime.fan_in(shape))))))
    if spread > 0:
        return centre + spread * _normal(shape, random)
    constant = float(before.flat[0])
    # A constant near zero is a bias or a gate that is closed at first; any other is a scale and keeps its sign.
    if abs(constant) < 0.01:
        return 0.2 * _normal(shape, random)
    return constant * random.uniform(0.75, 1.25, shape)


def _mild(before: Array, random: np.random.Generator) -> Array:
    # Multiplied, so that zeros and infinities (masks) keep their meaning.
    return np.asarray(before * random.uniform(0.9, 1.1, before.shape))


def perturb_state(runtime: Runtime, network: Any, random: np.random.Generator) -> None:
    """Change every floating parameter by rounding noise."""
    for path, variable in runtime.state(network).variables.items():
        if variable.floating and variable.kind == "parameter":
            runtime.assign(network, path, _rounded(runtime.read(network, path), random))


def perturb_inputs(arguments: Arguments, random: np.random.Generator) -> Arguments:
    """Change every floating input by rounding noise."""

    def change(value: Any) -> Any:
        return _rounded(value.astype("float64"), random) if _floats(value) else value

    changed: Arguments = convert(arguments, change)
    return changed


def other_inputs(arguments: Arguments, random: np.random.Generator) -> Arguments | None:
    """Inputs with the same shapes and other values; None where there is nothing to vary."""
    varied = False

    def change(value: Any) -> Any:
        nonlocal varied
        if not isinstance(value, np.ndarray) or value.size == 0:
            return value
        drawn = random.permutation(value.ravel()).reshape(value.shape)
        if _floats(value) and (value == value.flat[0]).all():
            drawn = value + random.standard_normal(value.shape)
        varied |= bool((drawn != value).any())
        return drawn

    changed: Arguments = convert(arguments, change)
    return changed if varied else None


def _rounded(array: Array, random: np.random.Generator) -> Array:
    return np.asarray(array * (1 + _ROUNDING * _normal(array.shape, random)))


def _normal(shape: Sequence[int], random: np.random.Generator) -> Array:
    """Normal numbers; large arrays repeat them with a period that no layout shares."""
    size = int(np.prod(shape))
    drawn = random.standard_normal(min(size, _PERIOD))
    return np.resize(drawn, tuple(shape)) if size > _PERIOD else drawn.reshape(shape)


def _floats(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fc"
