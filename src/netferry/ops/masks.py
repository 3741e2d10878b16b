"""Masks of attention that allow where they are true, as JAX's libraries make them: (batch, heads, queries, keys)."""

from __future__ import annotations

from typing import Any

import numpy as np

from netferry.ops.core import Case, Conversion, OpDef, Spelling, Support
from netferry.ops.forms import template
from netferry.ops.registry import register, register_support
from netferry.ops.shared import tensorflow_text

Array = np.ndarray[Any, Any]

_CAUSAL = '''
def make_causal_mask(x):
    """A mask (batch, 1, length, length) for sequences `x` (batch, length) that allows what is not later."""
    positions = torch.arange(x.shape[-1], device=x.device)
    allowed = positions[:, None] >= positions
    return allowed.expand(*x.shape[:-1], 1, -1, -1)
'''
_KERAS_CAUSAL = '''
def make_causal_mask(x):
    """A mask (batch, 1, length, length) for sequences `x` (batch, length) that allows what is not later."""
    positions = keras.ops.arange(x.shape[-1])
    allowed = positions[:, None] >= positions
    return keras.ops.broadcast_to(allowed, (*keras.ops.shape(x)[:-1], 1, x.shape[-1], x.shape[-1]))
'''
_COMBINED = '''
def combine_masks(*masks):
    """One mask that allows what all given ones allow; None where none is given."""
    found = [mask.bool() for mask in masks if mask is not None]
    return functools.reduce(torch.logical_and, found) if found else None
'''
_KERAS_COMBINED = '''
def combine_masks(*masks):
    """One mask that allows what all given ones allow; None where none is given."""
    found = [keras.ops.cast(mask, "bool") for mask in masks if mask is not None]
    return functools.reduce(keras.ops.logical_and, found) if found else None
'''


def _support(name: str, torch: str, keras: str) -> None:
    register_support(Support(name, {"torch": torch, "keras": keras, "tensorflow": tensorflow_text(keras)}))


_support("make_causal_mask", _CAUSAL, _KERAS_CAUSAL)
_support("combine_masks", _COMBINED, _KERAS_COMBINED)


def _causal(x: Array) -> Array:
    length = x.shape[-1]
    return np.broadcast_to(np.tri(length, dtype=bool), (*x.shape[:-1], 1, length, length))


register(
    OpDef(
        "sequence_causal_mask",
        "x",
        "The mask, one for all heads, with which no element of a sequence sees later ones.",
        reference=_causal,
        spellings={
            **{
                f: [Spelling("make_causal_mask", "x", support="make_causal_mask", read=False)]
                for f in ("torch", "tensorflow", "keras")
            },
            "flax": [
                Spelling(
                    f"flax.{library}.make_causal_mask", "x, extra_batch_dims=0, dtype=...", ignore=("dtype",),
                    fixed={"extra_batch_dims": 0}, write=False,
                )
                for library in ("nnx", "linen")
            ],
        },
        cases=[Case({"x": (2, 5)}, gradients=False)],
    )
)  # fmt: skip
_PAIRS = {"and": np.logical_and, "equal": np.equal, "greater_equal": np.greater_equal}


def _pairs(x: Array, other: Array, pairwise: str = "and") -> Array:
    return np.asarray(_PAIRS[pairwise](x[..., :, None], other[..., None, :])[..., None, :, :])


def _paired(pairs: dict[str, str], left: str, right: str, whole: str) -> list[Spelling]:
    return [template(whole.format(call.format(left, right)), when={"pairwise": name}) for name, call in pairs.items()]


_TORCH = {"and": "torch.logical_and({}, {})", "equal": "{} == {}", "greater_equal": "{} >= {}"}
_KERAS = {**_TORCH, "and": "keras.ops.logical_and({}, {})"}
_TENSORFLOW = {**_TORCH, "and": "tf.logical_and(tf.cast({}, tf.bool), tf.cast({}, tf.bool))"}
register(
    OpDef(
        "pair_mask",
        "x, other, *, pairwise='and'",
        "A mask, one for all heads, of what two sequences say of each pair of their elements.",
        reference=_pairs,
        spellings={
            "torch": _paired(_TORCH, "{x}.unsqueeze(-1)", "{other}.unsqueeze(-2)", "({}).unsqueeze(-3)"),
            "keras": _paired(
                _KERAS, "keras.ops.expand_dims({x}, -1)", "keras.ops.expand_dims({other}, -2)", "keras.ops.expand_dims({}, -3)"
            ),
            "tensorflow": _paired(
                _TENSORFLOW, "tf.expand_dims({x}, -1)", "tf.expand_dims({other}, -2)", "tf.expand_dims({}, -3)"
            ),
            "flax": [
                Spelling(
                    f"flax.{library}.make_attention_mask", "query_input, key_input, pairwise_fn=..., extra_batch_dims=0, dtype=...",
                    maps={"query_input": "x", "key_input": "other", "pairwise_fn": Conversion("pairwise", "{}", "{}")},
                    ignore=("dtype",), fixed={"extra_batch_dims": 0}, write=False,
                )
                for library in ("nnx", "linen")
            ],
        },
        cases=[
            Case({"x": (2, 5), "other": (2, 4)}, {"pairwise": "greater_equal"}, gradients=False),
            Case({"x": np.array([[True, False, True]]), "other": np.array([[True, True]])}, gradients=False),
        ],
    )
)  # fmt: skip
register(
    OpDef(
        "combined_mask",
        "*masks",
        "The mask that allows what all given masks allow; None among them says nothing.",
        spellings={
            **{
                f: [Spelling("combine_masks", "*masks", support="combine_masks", read=False)]
                for f in ("torch", "tensorflow", "keras")
            },
            "flax": [
                Spelling(f"flax.{library}.combine_masks", "*masks, dtype=...", ignore=("dtype",), write=False)
                for library in ("nnx", "linen")
            ],
        },
    )
)
