"""TensorFlow code in float64: what makes float32 by default, or asks for it by name, makes float64 instead."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import numpy as np

Function = Callable[..., Any]
Replace = Callable[[Any, str, Function], Any]

_BY_DEFAULT = ("zeros", "ones", "eye", "one_hot", "random.normal", "random.uniform", "random.truncated_normal")
"""Functions of ``tf`` whose ``dtype`` is float32 when it is not given."""
_OF_DATA = ("constant", "convert_to_tensor", "fill", "linspace", "sqrt", "exp", "sin", "cos", "math.sqrt", "math.exp",
            "math.log", "math.sin", "math.cos", "range")  # fmt: skip
"""Functions of ``tf`` that make float32 of Python's numbers."""
_OF_TWO = {"where": ("x", "y"), "maximum": ("x", "y"), "minimum": ("x", "y"), "math.maximum": ("x", "y"),
           "math.minimum": ("x", "y")}  # fmt: skip
"""Functions of ``tf`` that make float32 of a Python number before they look at the other operand."""
_INITIALIZERS = ("random_normal_initializer", "random_uniform_initializer", "zeros_initializer", "ones_initializer",
                 "constant_initializer")  # fmt: skip


@contextmanager
def widened(replaced: Replace, modules: Sequence[ModuleType] = ()) -> Iterator[None]:
    """Let TensorFlow's own functions make float64, as long as the context lasts, under their names in ``modules`` too."""
    import tensorflow as tf

    with ExitStack() as stack:
        wide: dict[int, Function] = {}
        for path in _BY_DEFAULT:
            owner, name = _place(tf, path)
            wide[id(getattr(owner, name))] = _by_default(getattr(owner, name), tf)
            stack.enter_context(replaced(owner, name, wide[id(getattr(owner, name))]))
        for path in _OF_DATA:
            owner, name = _place(tf, path)
            wide[id(getattr(owner, name))] = _of_data(getattr(owner, name), tf)
            stack.enter_context(replaced(owner, name, wide[id(getattr(owner, name))]))
        for path, operands in _OF_TWO.items():
            owner, name = _place(tf, path)
            stack.enter_context(replaced(owner, name, _of_two(getattr(owner, name), operands, tf)))
        for name in _INITIALIZERS:
            kind = getattr(tf, name)
            stack.enter_context(replaced(kind, "__call__", _by_default(kind.__call__, tf)))
        for module in modules:
            for name, value in list(vars(module).items()):
                if id(value) in wide:
                    stack.enter_context(replaced(module, name, wide[id(value)]))
        variables = type(tf.Variable)
        stack.enter_context(replaced(variables, "__call__", _variable(variables.__call__, tf)))
        yield


def _place(tf: Any, path: str) -> tuple[Any, str]:
    owner, _, name = path.rpartition(".")
    return (getattr(tf, owner) if owner else tf), name


def _wide_type(dtype: Any, tf: Any) -> Any:
    return tf.float64 if dtype is not None and tf.as_dtype(dtype) == tf.float32 else dtype


def _by_default(function: Function, tf: Any) -> Function:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wide(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments.get("dtype")
        limits = (bound.arguments.get(n) for n in ("minval", "maxval", "on_value", "off_value"))
        named = signature.parameters["dtype"].default is not None
        if given is None and (named or all(v is None or isinstance(v, float | int) for v in limits)):
            given = tf.float64
        bound.arguments["dtype"] = _wide_type(given, tf)
        return function(*bound.args, **bound.kwargs)

    return wide


def _of_data(function: Function, tf: Any) -> Function:
    signature = inspect.signature(function)
    data = next(n for n in signature.parameters if n != "dims")

    @functools.wraps(function)
    def wide(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        given = bound.arguments.get("dtype")
        if given is None and data in bound.arguments:
            bound.arguments[data] = _wide_data(bound.arguments[data])
        elif given is not None:
            bound.arguments["dtype"] = _wide_type(given, tf)
        return function(*bound.args, **bound.kwargs)

    return wide


def _of_two(function: Function, operands: tuple[str, str], tf: Any) -> Function:
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wide(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        one, other = (bound.arguments.get(name) for name in operands)
        for name, value, beside in ((operands[0], one, other), (operands[1], other, one)):
            if isinstance(value, float) and getattr(beside, "dtype", None) in (tf.float64, None):
                bound.arguments[name] = tf.constant(value, tf.float64)
        return function(*bound.args, **bound.kwargs)

    return wide


def _wide_data(value: Any) -> Any:
    """Python's floats, alone and in lists, and arrays of float32."""
    if isinstance(value, np.ndarray | np.generic):
        return value.astype("float64") if value.dtype == np.float32 else value
    if isinstance(value, float):
        return np.float64(value)
    if isinstance(value, list | tuple) and _numbers(value) and any(isinstance(v, float) for v in _leaves(value)):
        return np.asarray(value, "float64")
    return value


def _leaves(value: Any) -> Iterator[Any]:
    for item in value:
        if isinstance(item, list | tuple):
            yield from _leaves(item)
        else:
            yield item


def _numbers(value: Any) -> bool:
    return all(isinstance(v, int | float) for v in _leaves(value))


def _variable(make: Function, tf: Any) -> Function:
    @functools.wraps(make)
    def wide(kind: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("dtype") is not None:
            kwargs["dtype"] = _wide_type(kwargs["dtype"], tf)
        elif args:
            args = (_wide_start(args[0], tf), *args[1:])
        elif "initial_value" in kwargs:
            kwargs["initial_value"] = _wide_start(kwargs["initial_value"], tf)
        return make(kind, *args, **kwargs)

    return wide


def _wide_start(value: Any, tf: Any) -> Any:
    """What a variable starts with; tensors may come from functions that were named before."""
    if isinstance(value, tf.Tensor):
        return tf.cast(value, tf.float64) if value.dtype == tf.float32 else value
    return _wide_data(value)
