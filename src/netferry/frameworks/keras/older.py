"""What Keras 2 took and Keras 3 refuses, accepted while a source runs: it is read and compared as it was meant."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras

from netferry.frameworks.keras.patching import replaced

Method = Callable[..., Any]


@contextmanager
def accepted() -> Iterator[None]:
    """Take the calls of Keras 2, as long as the context lasts."""
    kinds = keras.layers.Layer, keras.Model, keras.Sequential
    tracked = keras.src.utils.tracking.TrackedList
    with ExitStack() as stack:
        for owner, name, change in (
            (kinds[0], "__init__", _nameless),
            (kinds[1], "__init__", _nameless_model),
            (kinds[2], "__init__", _listing),
            (kinds[0], "add_weight", _named_weight),
        ):
            stack.enter_context(replaced(owner, name, change(getattr(owner, name))))
        stack.enter_context(replaced(kinds[0], "add_variable", kinds[0].add_weight))
        # Data that are no tensors came by position, too.
        stack.enter_context(replaced(kinds[0], "_allow_non_tensor_positional_args", True))
        stack.enter_context(replaced(tracked, "layers", property(list)))
        stack.enter_context(replaced(kinds[0], "_name", property(_name_of, _rename)))
        yield


def _name_of(layer: Any) -> str:
    """``layer._name``, which could be set."""
    return str(layer.name)


def _rename(layer: Any, name: str) -> None:
    layer.name = name


def _nameless(original: Method) -> Method:
    """``super().__init__("name")``."""

    @functools.wraps(original)
    def construct(self: Any, *args: Any, **kwargs: Any) -> None:
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


def _named_weight(original: Method) -> Method:
    """``add_weight("kernel", (3, 4))``."""
    names = ("name", "shape", "dtype", "initializer", "regularizer", "trainable", "constraint")

    @functools.wraps(original)
    def add_weight(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], str):
            kwargs |= dict(zip(names, args, strict=False))
            args = ()
        for name in ("use_resource", "partitioner", "collections", "experimental_autocast", "getter"):
            kwargs.pop(name, None)
        return original(self, *args, **kwargs)

    return add_weight
