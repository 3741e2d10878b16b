"""Code that asks for 32 bits by name computes in 64 where all is compared in 64."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx

from netferry.frameworks.flax.randomness import replaced

_LAYERS = ("linear", "attention", "normalization", "recurrent", "fp8_ops")
_CHOOSING = ("promote_dtype", "canonicalize_dtype")


class _Wide:
    """``jax.numpy`` as the source's modules know it, with 64 bits for 32."""

    float32 = jnp.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(jnp, name)


@contextmanager
def wide_types(modules: Sequence[ModuleType]) -> Iterator[None]:
    """While active, 32-bit numbers that ``modules`` ask for by name have 64 bits."""
    with ExitStack() as stack:
        for module in modules:
            for name, value in list(vars(module).items()):
                if value is jnp:
                    stack.enter_context(replaced(module, name, _Wide()))
                elif value is jnp.float32:
                    stack.enter_context(replaced(module, name, jnp.float64))
        stack.enter_context(replaced(jax.nn, "dot_product_attention", _attention(jax.nn.dot_product_attention)))
        stack.enter_context(replaced(nn.Module, "__post_init__", _made_wide(nn.Module.__post_init__)))
        for layer in _LAYERS:
            module = importlib.import_module(f"flax.linen.{layer}")
            for name in _CHOOSING:
                if getattr(getattr(module, name, None), "__module__", "") == "flax.linen.dtypes":
                    stack.enter_context(replaced(module, name, _widened(getattr(module, name))))
        yield


def _attention(original: Callable[..., Any]) -> Callable[..., Any]:
    """Attention whose scores have the bits of its operands; JAX's own have 32."""

    def attend(
        query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, *, scale: Any = None,
        is_causal: bool = False, **options: Any,
    ) -> Any:  # fmt: skip
        if query.ndim != 4 or query.shape[2] != key.shape[2] or any(v is not None for v in options.values()):
            return original(query, key, value, bias, mask, scale=scale, is_causal=is_causal, **options)
        scores = jnp.einsum("btnh,bsnh->bnts", query, key) * (query.shape[-1] ** -0.5 if scale is None else scale)
        scores = scores if bias is None else scores + bias
        least = -0.7 * jnp.finfo(scores.dtype).max
        scores = scores if mask is None else jnp.where(mask, scores, least)
        causal = jnp.tri(query.shape[1], key.shape[1], dtype=bool)
        scores = jnp.where(causal, scores, least) if is_causal else scores
        return jnp.einsum("bnts,bsnh->btnh", jax.nn.softmax(scores, axis=-1), value)

    return attend


def _widened(function: Callable[..., Any]) -> Callable[..., Any]:
    def choose(*args: Any, dtype: Any = None, **options: Any) -> Any:
        wide = jnp.float64 if dtype is not None and jnp.dtype(dtype) == "float32" else dtype
        return function(*args, dtype=wide, **options)

    return choose


def _made_wide(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Linen's modules, made anew in every call, are widened when they are made."""

    def begin(module: Any) -> None:
        widen(module)
        original(module)

    return begin


def widen(module: Any) -> None:
    """Let a module that was made for 32 bits compute in 64."""
    for name in ("dtype", "param_dtype"):
        kind = vars(module).get(name)
        if kind is not None and not isinstance(kind, nnx.Variable) and _is_single(kind):
            object.__setattr__(module, name, jnp.dtype("float64"))


def _is_single(kind: Any) -> bool:
    try:
        return bool(jnp.dtype(kind) == "float32")
    except TypeError:
        return False
