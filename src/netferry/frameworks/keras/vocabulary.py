"""From Keras and TensorFlow objects back to the public names that the vocabulary uses."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import keras
import tensorflow as tf

from netferry.ops import carried, registry

LIBRARIES = ("keras", "tensorflow", "tf_keras")


def _resolve(path: str) -> Any:
    first, *rest = path.split(".")
    found: Any = importlib.import_module({"tf": "tensorflow"}.get(first, first))
    for part in rest:
        found = getattr(found, part)
    return found


@functools.cache
def _known() -> tuple[dict[int, str], list[Any]]:
    """Identity of every callable in the vocabulary -> its path (the objects are kept, so identities stay)."""
    table: dict[int, str] = {}
    kept: list[Any] = []
    for framework in ("keras", "tensorflow"):
        for path, _, spelling in registry.paths(framework):
            if spelling.kind in ("method", "attribute"):
                continue
            try:
                found = _resolve(path)
            except (ImportError, AttributeError):
                continue
            table.setdefault(id(found), path)
            kept.append(found)
    return table, kept


@functools.cache
def class_path(kind: type) -> str | None:
    """The public path of a class of Keras or TensorFlow; None for the user's own."""
    own = carried.path_of(kind)
    if own is not None:
        return own
    module = kind.__module__ or ""
    if module.partition(".")[0] not in LIBRARIES or module.startswith("keras.src.applications"):
        return None
    known = _known()[0].get(id(kind))
    if known:
        return known
    if issubclass(kind, keras.Model):
        return {"Functional": "keras.Functional", "Sequential": "keras.Sequential"}.get(kind.__name__, "keras.Model")
    if issubclass(kind, keras.layers.Layer):
        return f"keras.layers.{kind.__name__}"
    if issubclass(kind, tf.Tensor | keras.KerasTensor):
        return "tf.Tensor"
    if issubclass(kind, tf.Variable):
        return "tf.Variable"
    if issubclass(kind, tf.Module):
        return "tf.Module"
    return f"{module}.{kind.__qualname__}".replace("tensorflow.python.", "tf.")


_OF_CELLS = {
    keras.layers.LSTMCell: "keras.layers.LSTM", keras.layers.GRUCell: "keras.layers.GRU",
    keras.layers.SimpleRNNCell: "keras.layers.SimpleRNN",
}  # fmt: skip


def layer_of_cell(kind: Any) -> str | None:
    """``RNN(LSTMCell(8))`` is ``LSTM(8)``: the layer of a class of cells, or of an instance of RNN; None for others."""
    if type(kind) is keras.layers.RNN:
        return _OF_CELLS.get(type(kind.cell))
    return _OF_CELLS.get(kind) if isinstance(kind, type) else None


def callable_path(function: Any) -> str | None:
    """The public path of a callable that belongs to Keras or TensorFlow, or None."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        return class_path(function)
    own = carried.path_of(function)
    if own is not None:
        return own
    if isinstance(function, keras.layers.Layer):
        return None
    known = _known()[0].get(id(function))
    if known:
        return known
    receiver = getattr(function, "__self__", None)
    if isinstance(receiver, list | dict):  # Keras keeps track of the layers in these, but they are Python's own.
        return None
    name = getattr(function, "__name__", type(function).__name__)
    if isinstance(receiver, tf.Tensor | keras.KerasTensor | tf.Variable | keras.Variable):
        return f"tf.Tensor.{name}"
    module = getattr(function, "__module__", None) or ""
    if isinstance(receiver, keras.layers.Layer):
        underlying = getattr(function, "__func__", None)
        owner = getattr(underlying, "__module__", None) or ""
        return f"keras.{underlying.__qualname__}" if owner.partition(".")[0] in LIBRARIES else None  # type: ignore[union-attr]
    if isinstance(receiver, tf.Module) and module.partition(".")[0] in LIBRARIES:
        return f"tf.Module.{name}"
    if module.partition(".")[0] not in LIBRARIES or module.startswith("keras.src.applications"):
        return None
    if name == "__init__" and module.startswith("keras.src."):
        return f"keras.{function.__qualname__}"
    if module == "tensorflow.python.keras.backend":
        return f"keras.src.legacy.backend.{name}"
    if module.startswith("keras.src.layers.merging"):
        return f"keras.layers.{name}"
    if module.startswith("keras.src.activations"):
        return next(
            (p for p in (f"keras.activations.{name}", f"keras.ops.{name}") if registry.find(p)),
            f"keras.activations.{name}",
        )
    return f"{module}.{getattr(function, '__qualname__', name)}"
