"""Layers and what they hold as the expressions that make them: what is as it always is goes without saying."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, Final

import keras
import numpy as np

from netferry.graphs.model import Code, Kind, Make

_ROLES: Final[Mapping[str, tuple[str, ...]]] = {
    "conv": ("Conv",), "depthwise": ("DepthwiseConv", "SeparableConv"), "norm": ("Normalization",),
    "activation": ("ReLU", "Activation", "Softmax", "ELU"), "dropout": ("Dropout", "Noise"), "add": ("Add",),
    "concat": ("Concatenate",), "multiply": ("Multiply",), "pool": ("Pooling",), "global_pool": ("Global",),
    "upsample": ("UpSampling", "Transpose"), "pad": ("ZeroPadding",), "attention": ("Attention",), "dense": ("Dense",),
    "recurrent": ("LSTM", "GRU", "RNN", "Bidirectional"), "flatten": ("Flatten",), "reshape": ("Reshape",),
    "embedding": ("Embedding",), "crop": ("Cropping",), "merge": ("Subtract", "Average", "Maximum", "Minimum", "Dot"),
}  # fmt: skip
"""What a layer is in a network, by a word in its class's name; the last that fits."""
_SHORT: Final = {"norm": "bn", "activation": "act", "flatten": "flatten", "recurrent": "rnn"}
_FIRST: Final = ("pool_size", "padding", "size", "rate", "cropping", "negative_slope", "factor", "stddev")
"""Options with a default that are written without their name all the same where they come first."""
_SETTLED_LATER: Final = ("attention_axes",)
"""Options that a layer settles when it sees the shape of what it is called with."""
_UNSAID: Final = ("name", "dtype", "trainable", "data_format", "seed")
WIDTHS: Final = frozenset({"filters", "units"})


class Unwritable(Exception):
    """What cannot be written as code, and why."""


def kind_of(layer_class: Any) -> Kind:
    """What is to be known of a class of layers to write it."""
    name = layer_class.__name__
    role = next((r for r, words in reversed(list(_ROLES.items())) if any(w in name for w in words)), "")
    role = "norm" if name.endswith("Normalization") else "upsample" if "Transpose" in name else role
    role = "global_pool" if name.startswith("Global") else role
    short = "relu" if "ReLU" in name else _SHORT.get(role, role) if "Layer" not in name else "norm"
    return Kind(role, _positional(layer_class), _defaults(layer_class), short or _snake(name))


def _positional(layer_class: Any) -> tuple[str, ...]:
    parameters = _parameters(layer_class)
    required = [p.name for p in parameters if p.default is p.empty]
    if required or not parameters or parameters[0].name not in _FIRST:
        return tuple(required)
    return (parameters[0].name,)


@cache
def _parameters(made: Hashable) -> list[inspect.Parameter]:
    found = list(inspect.signature(made.__init__).parameters.values())[1:]  # type: ignore[misc]
    return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


@cache
def _defaults(made: Hashable) -> Mapping[str, Any]:
    return {p.name: plain(p.default) for p in _parameters(made) if p.default is not p.empty}


def options(layer: Any, rank: int = 0) -> dict[str, Any]:
    """The options of a layer that are not what they are by default; ``rank`` is that of what it is called with."""
    config = layer.get_config()
    found: dict[str, Any] = {}
    made: Any = type(layer)
    for parameter in _parameters(made):
        name = parameter.name
        if name not in config or name in _UNSAID:
            continue
        value = config[name]
        if name == "axis" and not isinstance(value, str):
            value = _axis(value, rank, parameter.default)
        if parameter.default is None and value is not None and _follows(layer, name, value):
            continue
        if not _is_default(name, value, parameter.default):
            found[name] = _shown(name, expression(value, name))
    if getattr(layer, "data_format", None) not in (None, keras.config.image_data_format()) and "data_format" in config:
        found["data_format"] = config["data_format"]
    if config.get("trainable") is False:
        found["trainable"] = False
    return found


def _follows(layer: Any, name: str, value: Any) -> bool:
    """Whether a layer makes this of an option of which nothing is said."""
    config = {k: v for k, v in layer.get_config().items() if k != name}
    try:
        made = type(layer).from_config(config)
        if _bare(made.get_config()[name]) == _bare(value):
            return True
        if not layer.built or name not in _SETTLED_LATER:
            return False
        made.build_from_config(layer.get_build_config())
        return bool(_bare(made.get_config()[name]) == _bare(value))
    except Exception:  # noqa: BLE001 - a layer that cannot be made without it needs it said
        return False


def _shown(name: str, value: Any) -> Any:
    """Numbers as people write them, where the last bits are nobody's choice."""
    if not isinstance(value, float) or not value or len(repr(value)) < 12:
        return value
    if name == "scale" and abs(1 / value - round(1 / value)) < 1e-9:
        return Code(f"1.0 / {round(1 / value)}")
    return round(value, 10) if name == "rate" else value


def _axis(value: Any, rank: int, default: Any) -> Any:
    """An axis as it is said by default, where that is the same one."""
    value = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    return (
        default
        if rank and isinstance(value, int) and isinstance(default, int) and value % rank == default % rank
        else value
    )


def _is_default(name: str, value: Any, default: Any) -> bool:
    if default is inspect.Parameter.empty:
        return False
    if (plain(value) == plain(default) and type(value) is not bool) or value is default:
        return True
    registry = next((r for word, r in _registries().items() if name.endswith(word)), None)
    if registry is None:
        return isinstance(value, bool) and value == default
    try:
        return bool(_bare(registry.serialize(registry.get(default))) == _bare(value))
    except (ValueError, TypeError):
        return False


def _registries() -> dict[str, Any]:
    return {
        "initializer": keras.initializers, "regularizer": keras.regularizers, "constraint": keras.constraints,
        "activation": keras.activations,
    }  # fmt: skip


def _bare(config: Any) -> Any:
    """A configuration without the numbers that differ between two objects made alike."""
    if isinstance(config, dict):
        return {
            k: _bare(v)
            for k, v in config.items()
            if k not in ("seed", "registered_name", "module", "build_config", "name")
        }
    if isinstance(config, list | tuple):
        return [_bare(v) for v in config]
    return config


def plain(value: Any) -> Any:
    """Numbers that are equal for all axes as one number, lists as tuples, NumPy's numbers as Python's."""
    if isinstance(value, list | tuple):
        items = tuple(plain(v) if not isinstance(v, list | tuple) else tuple(v) for v in value)
        numbers = [n for item in items for n in (item if isinstance(item, tuple) else (item,))]
        alike = len(numbers) > 1 and all(isinstance(n, int) and n == numbers[0] for n in numbers)
        return numbers[0] if alike else items
    if isinstance(value, np.generic):
        return value.item()
    return value


_PAIRS: Final = (
    "kernel_size",
    "strides",
    "pool_size",
    "dilation_rate",
    "padding",
    "size",
    "cropping",
    "output_padding",
)


def expression(value: Any, name: str = "") -> Any:
    """A value of a configuration as what is written."""
    if isinstance(value, dict) and "class_name" in value and "config" in value:
        return _object(value, name)
    if name in _PAIRS:
        return plain(value)
    if isinstance(value, dict):
        return {k: expression(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [expression(v) for v in value] if value and _is_object(value[0]) else tuple(expression(v) for v in value)
    if isinstance(value, float) and not math.isfinite(value):
        return Code(f'float("{value}")')
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str | slice) or value is Ellipsis:
        return value
    if isinstance(value, np.ndarray) or hasattr(value, "numpy"):
        return _array(np.asarray(value))
    raise Unwritable(f"holds {type(value).__name__} objects")


def _array(values: Any) -> Any:
    if values.size > _LARGEST:
        raise Unwritable(f"holds a constant array of {values.size} numbers")
    return Code(repr(values.tolist()))


_LARGEST: Final = 64


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and "class_name" in value


def _object(config: dict[str, Any], name: str) -> Any:
    """An object that a configuration describes."""
    kind, inner = config["class_name"], config["config"]
    if kind == "function":
        return str(inner) if name.endswith("activation") else Code(f"keras.activations.{inner}")
    if kind in ("__tuple__", "__list__"):
        return tuple(expression(v) for v in inner)
    registry = next((r for word, r in _registries().items() if name.endswith(word)), None)
    made = keras.saving.deserialize_keras_object(config)
    if isinstance(made, keras.layers.Layer):
        return make(made)
    shown = tuple(options(made).items())
    if registry is not None and not shown and registry in (keras.initializers, keras.regularizers):
        return _snake(kind)
    public = f"{registry.__name__.removeprefix('keras.api.')}.{kind}" if registry else f"{type(made).__module__}.{kind}"
    return Make(public.replace("keras.src.", "keras."), shown)


def make(layer: Any) -> Make:
    """A layer inside another one."""
    kind = kind_of(type(layer))
    found = options(layer)
    positional = [("", found.pop(n)) for n in kind.positional if n in found]
    return Make(head(type(layer)), (*positional, *found.items()))


def head(layer_class: Any) -> str:
    """What a class of layers is called in the code."""
    return f"layers.{layer_class.__name__}" if is_public(layer_class) else str(layer_class.__qualname__)


def is_public(layer_class: Any) -> bool:
    """Whether Keras offers a class under its name."""
    return getattr(keras.layers, layer_class.__name__, None) is layer_class


def _snake(name: str) -> str:
    bare = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return re.sub(r"_(\d)_?d\b", r"\1d", bare)


snake = _snake
