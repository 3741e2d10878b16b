"""Activations that Keras takes by name or as a function: ``Dense(10, activation="relu")``."""

from __future__ import annotations

import ast
from typing import Any

import keras

from netferry.conventions import MISSING
from netferry.frameworks.keras.vocabulary import callable_path
from netferry.ops import registry
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op, constant
from netferry.reader import Reader

_NAMES = {"linear": "", "exponential": "keras.ops.exp", "hard_silu": "keras.ops.hard_silu", "silu": "keras.ops.silu"}
"""Functions of ``keras.activations`` whose op has another name, or none (they change nothing)."""


def activated(reader: Reader, given: ast.expr) -> Op | None:
    """The activation that an argument stands for, as a layer; None where it changes nothing."""
    value = _value(reader, given)
    if value is None or (value is not MISSING and keras.activations.get(value) is keras.activations.linear):
        return None
    made = activation_layer(reader, given)
    return made if made is not None else _unknown(reader, given)


def activation_layer(reader: Reader, given: ast.expr) -> Op | None:
    """An activation as a layer of its own."""
    value = _value(reader, given)
    if value is MISSING or isinstance(value, keras.layers.Layer):
        return None
    function = keras.activations.get(value)
    if function is keras.activations.linear:
        return Op("identity", {}, layer=True, site=reader.site(given))
    return layer_of(function, reader, given)


def layer_of(function: Any, reader: Reader, node: ast.expr) -> Op | None:
    """The op of an activation function with the defaults that the function has."""
    name = getattr(function, "__name__", "")
    if name == "softplus":
        return Op("softplus", {}, layer=True, site=reader.site(node))
    if name == "gelu" and (getattr(function, "__module__", "") or "").startswith("keras.src.activations"):
        return Op("gelu", {}, layer=True, site=reader.site(node))
    known = callable_path(function) or ""
    for path in (known, _NAMES.get(name, f"keras.ops.{name}"), f"keras.activations.{name}"):
        for op, spelling in registry.find(path):
            defaults = {
                c.attribute: constant(p.default)
                for p in spelling.parsed.parameters
                if (c := spelling.conversion(p.name)) is not None
                and any(a.name == c.attribute and a.default != p.default for a in op.attributes)
                and isinstance(p.default, bool | int | float | str)
            }
            return Op(op.name, {}, defaults, layer=True, site=reader.site(node))
    return None


def follow(reader: Reader, node: ast.expr, activation: Any) -> None:
    """Let an activation that looks along an axis know the results of the layers whose activation it is."""
    if isinstance(activation, Op) and "axis" in registry.get(activation.name).parsed:
        layers = {id(v) for v in reader.values(node)}
        results = [e.result for e in reader.facts.events if e.instance in layers]
        activation.nf_follows = [r.identity for r in results if isinstance(r, Tensor)]  # type: ignore[attr-defined]


def rectifier(reader: Reader, node: ast.Call) -> Op | None:
    """``ReLU(6.0)``: bounded ones are ops of their own; None where instances differ or the op is not known."""
    made = [v for v in reader.values(node) if isinstance(v, keras.layers.ReLU)]
    kinds = {
        (None if v.max_value is None else float(v.max_value), float(v.negative_slope), float(v.threshold)) for v in made
    }
    if not kinds and not node.args and not any(k.arg != "name" for k in node.keywords):
        kinds = {(None, 0.0, 0.0)}
    site = reader.site(node)
    match list(kinds):
        case [(None, 0.0, 0.0)]:
            return Op("relu", {}, layer=True, site=site)
        case [(6.0, 0.0, 0.0)]:
            return Op("relu6", {}, layer=True, site=site)
        case [(None, slope, 0.0)]:
            return Op("leaky_relu", {}, {"negative_slope": constant(slope)}, layer=True, site=site)
        case [(top, 0.0, 0.0)]:
            return Op("hardtanh", {}, {"min": constant(0.0), "max": constant(top)}, layer=True, site=site)
    return None


def _value(reader: Reader, given: ast.expr) -> Any:
    """The one value that an argument has; MISSING where there are several or none is known."""
    if isinstance(given, ast.Constant):
        return given.value
    seen = reader.values(given)
    kinds = {v if isinstance(v, str) else id(v) for v in seen}
    if len(kinds) == 1:
        return seen[0]
    return reader.static(given) if not seen else MISSING


def _unknown(reader: Reader, given: ast.expr) -> Any:
    return reader.hole(given, "an activation that differs from call to call, or is not in the vocabulary")
