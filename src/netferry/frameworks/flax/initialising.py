"""Initialisers: functions that JAX hands around; elsewhere layers have ones of their own, and variables start with numbers."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from netferry.conventions import MISSING
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op, constant
from netferry.reader import Reader

_HOME: Final = ("jax._src.nn.initializers", "jax.nn.initializers")
_CONSTANT: Final = {"zeros": "zeros", "ones": "ones"}


def is_initialiser(value: Any) -> bool:
    """Whether a value is a function that gives start values, or makes one."""
    return callable(value) and str(getattr(value, "__module__", "")).startswith(_HOME)


def _is_maker(value: Any) -> bool:
    """Whether a value makes initialisers, and is none."""
    name = getattr(value, "__name__", "")
    return is_initialiser(value) and "<locals>" not in value.__qualname__ and name not in _CONSTANT


def start(reader: Reader, function: Any, shape: ast.expr, made: Sequence[Any], node: ast.AST) -> ast.expr | None:
    """The start value that an initialiser gives a variable of that shape; ``made`` are the arrays that it gave."""
    name = str(getattr(function, "__qualname__", "")).partition(".")[0]
    if isinstance(shape, ast.Constant):  # ``(3)`` is no tuple, but taken for one.
        shape = ast.Tuple([shape], ast.Load())
    site = reader.site(node)
    if name in _CONSTANT:
        return Op(_CONSTANT[name], {}, {"shape": shape}, site=site)
    held = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
    if name == "constant" and isinstance(held.get("value"), int | float):
        return Op("full", {}, {"shape": shape, "value": constant(float(held["value"]))}, site=site)
    if name == "uniform":
        return Op(
            "uniform", {}, {"low": constant(0.0), "high": constant(float(held["scale"])), "shape": shape}, site=site
        )
    if name in ("normal", "truncated_normal"):
        return _normal(shape, float(held["stddev"]), site)
    spread = _spread(held, made) if name == "variance_scaling" else None
    if spread is not None and held.get("distribution") == "uniform":
        limit = math.sqrt(3) * spread
        return Op("uniform", {}, {"low": constant(-limit), "high": constant(limit), "shape": shape}, site=site)
    return _normal(shape, spread if spread is not None else 1.0, site)


def _normal(shape: ast.expr, std: float, site: Any) -> ast.expr:
    if std == 1.0:
        return Op("randn", {}, {"shape": shape}, site=site)
    return Op("normal", {}, {"std": constant(std), "shape": shape}, site=site)


def _spread(held: Mapping[str, Any], made: Sequence[Any]) -> float | None:
    """The standard deviation that scales with the sizes, where all variables made here have the same."""
    shapes = {v.shape for v in made if isinstance(v, Tensor)}
    if len(shapes) != 1 or len(shape := shapes.pop()) < 2:
        return None
    inner = math.prod(shape) / (shape[-1] * shape[-2])
    fans = {"fan_in": inner * shape[-2], "fan_out": inner * shape[-1]}
    fan = fans.get(str(held.get("mode")), sum(fans.values()) / 2)
    return round(math.sqrt(float(held["scale"]) / fan), 6)


def applied(reader: Reader, node: ast.Call) -> ast.expr | object:
    """``initialiser(key, shape, dtype)``, or the making of one, which nobody needs elsewhere."""
    callees = reader.callees(node) or [reader.static(node.func)]
    if not all(map(is_initialiser, callees)):
        return MISSING
    if all(map(_is_maker, callees)):
        return ast.copy_location(ast.Constant(None), node)
    shape = node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "shape"), None)
    if shape is None:
        return MISSING
    made = start(reader, callees[0], reader.visit(shape), reader.values(node), node)
    if isinstance(made, Op):
        made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
        reader.counts.observed += 1
    return made if made is not None else MISSING
