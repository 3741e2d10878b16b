"""What Flax hands from call to call and others keep in the network: the mode, and random generators."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
from collections.abc import Sequence
from typing import Any, Final

import jax
from flax import nnx

from netferry.pivot.nodes import Op

TRAINING: Final = frozenset({"train", "training", "is_training", "is_train"})
"""What a parameter is called that is true while a network is trained."""
INFERENCE: Final = frozenset({"deterministic", "use_running_average", "eval_mode"})
"""What a parameter is called that is true while it is not."""
_seeds = itertools.count()
FLAGS: Final = TRAINING | INFERENCE
RANDOM: Final = frozenset({"rngs", "rng", "rng_key", "dropout_rng", "rng_stream"})
"""What random generators are called."""
_RANDOM_TYPES: Final = ("Rngs", "RngStream", "PRNGKey", "KeyArray", "PRNGKeyArray")


def is_random_parameter(name: str, annotation: str) -> bool:
    """Whether a parameter takes random generators or initialisers, by its name or the text of its annotation."""
    return name in RANDOM or name.endswith(("_init", "_rng")) or any(kind in annotation for kind in _RANDOM_TYPES)


def is_dropped(name: str, annotation: str, *, flags: bool) -> bool:
    """Whether a parameter has no meaning elsewhere; ``flags`` includes the mode."""
    return (flags and name in FLAGS) or is_random_parameter(name, annotation)


def asked(name: str) -> ast.expr:
    """The value of a flag, asked of the network."""
    training: ast.expr = Op("is_training", {})
    return training if name in TRAINING else ast.UnaryOp(ast.Not(), training)


@functools.lru_cache(maxsize=1024)
def _parameters(function: Any) -> tuple[tuple[str, str, bool], ...]:
    """Name, text of the annotation, and whether it must be given, of each parameter."""
    try:
        found = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return ()
    return tuple((p.name, _text(p.annotation), p.default is p.empty) for p in found)


def _text(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def parameters(function: Any) -> tuple[tuple[str, str, bool], ...]:
    """Name, text of the annotation, and whether it must be given, of each parameter of a callable."""
    try:
        return _parameters(function)
    except TypeError:  # What cannot be hashed.
        return _parameters.__wrapped__(function)


def given(network: Any, training: bool, args: Sequence[Any], kwargs: Any) -> dict[str, Any]:
    """The mode and random generators as keywords, where the network's call asks for them."""
    found: dict[str, Any] = {}
    for index, (name, annotation, required) in enumerate(parameters(type(network).__call__)[1:]):
        if name in kwargs or index < len(args):
            continue
        if name in FLAGS and getattr(network, name, None) is not None and not isinstance(network, nnx.Module):
            continue  # It was made for one mode alone.
        if name in FLAGS:
            found[name] = training == (name in TRAINING)
        elif is_random_parameter(name, annotation) and required:
            found[name] = nnx.Rngs(0) if isinstance(network, nnx.Module) else jax.random.key(next(_seeds))
    return found
