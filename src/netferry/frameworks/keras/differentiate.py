"""Gradients, which each backend of Keras computes in its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from netferry.frameworks.keras import paths


def gradients(loss: Callable[[], Any], network: Any, variables: Sequence[Any]) -> list[Any]:
    """The gradient of ``loss()`` by each variable; None where it does not depend on it."""
    if not variables:
        return []
    backend = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    return list(backend[keras.backend.backend()](loss, network, variables))


def _tensorflow(loss: Callable[[], Any], network: Any, variables: Sequence[Any]) -> Sequence[Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch([paths.tensor(v) for v in variables])
        total = loss()
    found = tape.gradient(total, [paths.tensor(v) for v in variables])
    return [None if g is None else tf.convert_to_tensor(g) for g in found]


def _jax(loss: Callable[[], Any], network: Any, variables: Sequence[Any]) -> Sequence[Any]:
    import jax

    others = [v for v in network.variables if not any(v is w for w in variables)]
    fixed = [(v, v.value) for v in others]

    def of(values: Sequence[Any]) -> Any:
        with keras.StatelessScope(state_mapping=[*zip(variables, values, strict=True), *fixed]):
            return loss()

    return list(jax.grad(of)([v.value for v in variables]))


def _torch(loss: Callable[[], Any], network: Any, variables: Sequence[Any]) -> Sequence[Any]:
    import torch

    return torch.autograd.grad(loss(), [v.value for v in variables], allow_unused=True)
