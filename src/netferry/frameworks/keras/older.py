"""What Keras 2 took and Keras 3 refuses, accepted while a source runs: it is read and compared as it was meant."""

from __future__ import annotations

import builtins
import functools
import importlib
import inspect
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import keras
import numpy as np

from netferry.frameworks.keras.flags import FLAGS, asked_for
from netferry.frameworks.keras.patching import replaced

Method = Callable[..., Any]
ALIASES = ("int", "float", "bool", "object", "str", "complex")
"""Names of Python's own types that NumPy used to have."""

_MODULES = (
    *(f"keras.layers.{name}" for name in (
        "advanced_activations", "convolutional", "core", "embeddings", "local", "merge", "noise", "normalization", "pooling",
        "recurrent", "wrappers",
    )),
    "keras.engine", "keras.engine.base_layer", "keras.engine.topology", "keras.engine.training", "keras.utils.generic_utils",
    "keras.utils.np_utils",
)  # fmt: skip
"""Modules that Keras used to have."""


@contextmanager
def accepted() -> Iterator[None]:
    """Take the calls of Keras 2, as long as the context lasts."""
    kinds = keras.layers.Layer, keras.Model, keras.Sequential
    tracked = keras.src.utils.tracking.TrackedList
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # Of what is old, which is why it is run here.
        for owner, name, change in (
            (kinds[0], "__init__", _nameless),
            (kinds[1], "__init__", _nameless_model),
            (kinds[2], "__init__", _listing),
            (kinds[0], "add_weight", _named_weight),
            (kinds[0], "__call__", _flag_by_name),
            (importlib.import_module("keras.src.optimizers.base_optimizer").BaseOptimizer, "__init__", _rates),
        ):
            stack.enter_context(replaced(owner, name, change(getattr(owner, name))))
        stack.enter_context(replaced(kinds[0], "add_variable", kinds[0].add_weight))
        layers = importlib.import_module("keras.src.layers.layer")
        shapes = layers.update_shapes_dict_for_target_fn
        stack.enter_context(replaced(layers, "update_shapes_dict_for_target_fn", _only_required(shapes)))
        for cell in (keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell):
            stack.enter_context(replaced(cell, "get_initial_state", _initial_state(cell.get_initial_state)))
        # Data that are no tensors came by position, too.
        anything = property(lambda layer: True, lambda layer, value: None)
        stack.enter_context(replaced(kinds[0], "_allow_non_tensor_positional_args", anything))
        _old_modules(stack)
        for alias in (n for n in ALIASES if n not in vars(np)):
            stack.enter_context(replaced(np, alias, vars(builtins)[alias]))
        stack.enter_context(replaced(tracked, "layers", property(list)))
        stack.enter_context(replaced(kinds[0], "_name", property(_name_of, _rename)))
        yield


def _old_modules(stack: ExitStack) -> None:
    """``from keras.layers.core import Dense``, ``keras.backend.dot``: what moved, and functions that only TensorFlow has."""
    everything = vars(keras.utils) | vars(keras.models) | vars(keras.layers) | {"InputSpec": keras.InputSpec}
    for name in (n for n in _MODULES if n not in sys.modules):
        module = types.ModuleType(name)
        vars(module).update({k: v for k, v in everything.items() if not k.startswith("__")})
        stack.enter_context(patch.dict(sys.modules, {name: module}))
    legacy = vars(importlib.import_module("keras.src.legacy.backend"))
    missing = {n: f for n, f in legacy.items() if inspect.isfunction(f) and n not in vars(keras.backend)}
    stack.enter_context(patch.dict(vars(keras.backend), missing))


def _only_required(original: Method) -> Method:
    """``build(self, input_shape, other=None)``: what has a default is no shape."""

    @functools.wraps(original)
    def update(target_fn: Any, shapes_dict: Any, *args: Any, **kwargs: Any) -> Any:
        parameters = inspect.signature(target_fn).parameters.values()
        required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        if len(required) == 1 < len(parameters) and shapes_dict:
            return {required[0]: next(iter(shapes_dict.values()))}
        return original(target_fn, shapes_dict, *args, **kwargs)

    return update


def _initial_state(original: Method) -> Method:
    """``cell.get_initial_state(batch_size=2, dtype=tf.float32)``."""

    @functools.wraps(original)
    def state(self: Any, batch_size: Any = None, inputs: Any = None, dtype: Any = None) -> Any:
        return original(self, inputs.shape[0] if batch_size is None else batch_size)

    return state


def _name_of(layer: Any) -> str:
    """``layer._name``, which could be set."""
    return str(layer.name)


def _rename(layer: Any, name: str) -> None:
    layer.name = name.replace("/", "_")


def _nameless(original: Method) -> Method:
    """``super().__init__("name")``, and names with slashes."""

    @functools.wraps(original)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(name := kwargs.get("name"), str):
            kwargs["name"] = name.replace("/", "_")
        original(self, **kwargs)

    construct.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]  # Keras makes configurations of it.
    return construct


def _nameless_model(original: Method) -> Method:
    @functools.wraps(original)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
        graph = len(args) > 1 or "inputs" in kwargs
        original(self, *(args if graph else ()), **kwargs)

    return construct


def _listing(original: Method) -> Method:
    """``Sequential(layer)``."""

    @functools.wraps(original)
    def construct(self: Any, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        single = isinstance(layers, keras.layers.Layer)
        original(self, [layers] if single else layers, trainable, name)

    return construct


def _rates(original: Method) -> Method:
    """``Adam(lr=1e-4, decay=1e-6)``: no network computes anything with it."""

    @functools.wraps(original)
    def construct(self: Any, learning_rate: Any = 0.001, *args: Any, **kwargs: Any) -> None:
        rate = kwargs.pop("lr", learning_rate)
        kwargs.pop("decay", None)
        original(self, rate, *args, **kwargs)

    return construct


def _flag_by_name(original: Method) -> Method:
    """``block(x, training)``: Keras adds the flag by name, whatever came by position."""

    @functools.wraps(original)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        names = list(inspect.signature(self.call).parameters) if len(args) > 1 else []
        first = next((i for i, n in enumerate(names) if n in FLAGS and i < len(args)), len(args))
        moved = dict(zip(names[first:], args[first:], strict=False)) if len(args) <= len(names) else {}
        if (flag := asked_for(self)) is not None:  # Among ``**kwargs``, where Keras leaves it out.
            self._call_has_context_arg |= {flag: True}
        return original(self, *(args[:first] if moved else args), **moved, **kwargs)

    return call


def _named_weight(original: Method) -> Method:
    """``add_weight("kernel", (3, 4))``."""
    names = ("name", "shape", "dtype", "initializer", "regularizer", "trainable", "constraint")

    @functools.wraps(original)
    def add_weight(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], str):
            kwargs |= dict(zip(names, args, strict=False))
            args = ()
        if isinstance(called := kwargs.get("name"), str):
            kwargs["name"] = called.replace("/", "_")
        for name in ("use_resource", "partitioner", "collections", "experimental_autocast", "getter"):
            kwargs.pop(name, None)
        return original(self, *args, **kwargs)

    return add_weight
