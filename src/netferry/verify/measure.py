"""Running one network in every way that is compared."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from netferry.frameworks.base import Arguments, Array, Refused, Runtime
from netferry.verify.compare import Named, arrays, paired

T = TypeVar("T")

Convert = Callable[[Arguments], Arguments]


@dataclass(frozen=True)
class Network:
    """One side of a comparison: how to build it, and how its call's arguments follow from the source's.

    ``wide`` builds it for float64, where that takes other code (see :mod:`netferry.verify.widen`), and ``widest`` where
    even that mixes types that do not mix.
    """

    runtime: Runtime
    factory: Callable[[], Any]
    arguments: Convert | None = None
    wide: Callable[[], Any] | None = None
    widest: Callable[[], Any] | None = None

    def convert(self, arguments: Arguments) -> Arguments:
        """The arguments that this network takes."""
        return arguments if self.arguments is None else self.arguments(arguments)


@dataclass
class Measured:
    """What one network computes; ``failures`` says what raised in which check."""

    outputs: Named
    gradients: dict[str, Array] | None = None
    training: Named | None = None
    statistics: dict[str, Array] | None = None
    second: Named | None = None
    failures: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    """The checks that failed for the size of the data alone."""


def outputs_of(runtime: Runtime, network: Any, arguments: Arguments, seed: int = 1, *, training: bool = False) -> Named:
    """The numeric outputs of one run."""
    runtime.seed(seed)
    return arrays(runtime.run(network, arguments, training))


def measure(
    runtime: Runtime,
    network: Any,
    arguments: Arguments,
    cotangents: Named,
    second: Arguments | None,
    seed: int = 1,
) -> Measured:
    """Run every check; the buffers are afterwards as they were before.

    ``cotangents`` belong to the outputs in their order or by name; those of integers are not used.
    """
    found = Measured(outputs_of(runtime, network, arguments, seed))
    runtime.seed(seed)
    weights = _weights(found.outputs, cotangents)
    found.gradients = _attempt(
        found, "gradients", lambda: runtime.gradients(network, arguments, weights, training=False)
    )
    if second is not None:
        given = second
        found.second = _attempt(found, "second input", lambda: outputs_of(runtime, network, given, seed))
    before = buffers(runtime, network)
    found.training = _attempt(
        found, "training mode", lambda: outputs_of(runtime, network, arguments, seed, training=True)
    )
    if found.training is not None:
        found.statistics = buffers(runtime, network)
    restore(runtime, network, before)
    return found


def _weights(outputs: Named, cotangents: Named) -> list[Array | None]:
    matched = paired(outputs, cotangents) or {}
    return [matched.get(path) if array.dtype.kind in "fc" else None for path, array in outputs.items()]


def buffers(runtime: Runtime, network: Any) -> dict[str, Array]:
    """The values of all floating buffers."""
    variables = runtime.state(network).variables.values()
    return {v.path: runtime.read(network, v.path) for v in variables if v.kind == "buffer" and v.floating}


def restore(runtime: Runtime, network: Any, values: dict[str, Array]) -> None:
    """Put buffers back; those that a call has made anew in another size are caches, not state."""
    now = runtime.state(network).variables
    for path, value in values.items():
        if path in now and now[path].shape == value.shape:
            runtime.assign(network, path, value)


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _attempt(found: Measured, check: str, action: Callable[[], T]) -> T | None:
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - networks raise anything; what failed is reported
        found.failures[check] = brief(error)
        if isinstance(error, Refused):
            found.refused.add(check)
        return None


def brief(error: BaseException) -> str:
    """An exception in one line, with the place at which the network raised it."""
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    # Some frameworks put a frame of their own around the message.
    text = [line for line in lines if not line.startswith("Exception encountered when calling")]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
    place = f" at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}: {text[0] if text else ''}"[:400]
