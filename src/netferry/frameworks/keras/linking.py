"""Symbolic calls: what stands for a tensor inside a layer is the tensor that the layer was called with."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from netferry.observe.recorder import Recorder

_SAME = "tf.identity"
_GRAPHS = ("Functional", "Sequential")


@contextmanager
def linked(recorder: Recorder, layer: Any, given: Any, *, own: bool) -> Iterator[list[Any]]:
    """Report that tensors which a layer's own ``call`` is traced with are those of the call around it.

    What that ``call`` gave is left in the list, to be linked with the result by :func:`link`.
    """
    outer = [v for v in _flat(given) if isinstance(v, keras.KerasTensor)]
    results: list[Any] = []
    if not own or not outer or type(layer).__name__ in _GRAPHS:
        yield results
        return
    original = layer.call

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        link(recorder, outer, (args, kwargs))
        results[:] = [original(*args, **kwargs)]
        return results[0]

    object.__setattr__(layer, "call", call)
    try:
        yield results
    finally:
        object.__delattr__(layer, "call")


def _flat(value: Any) -> list[Any]:
    return [v for v in keras.tree.flatten(value) if hasattr(v, "shape")]


def link(recorder: Recorder, before: Any, after: Any) -> None:
    """An event that changes nothing from each tensor to the one that stands for it."""
    for one, other in zip(_flat(before), _flat(after), strict=False):
        if one is not other and len(one.shape) == len(other.shape):
            recorder.event(None, _SAME, (one,), {}, other)
