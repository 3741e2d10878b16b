"""Attention: scaled dot products of queries and keys, alone and as a multi-head layer with projections."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from netferry.ops.core import Case, OpDef, Spelling, Support
from netferry.ops.forms import supported
from netferry.ops.jax_forms import UNUSED, nnx_layer, nnx_support
from netferry.ops.layer_forms import on_keras
from netferry.ops.registry import register, register_support
from netferry.ops.shared import keras_support

Array = np.ndarray[Any, Any]

keras_support(
    "masked_softmax",
    '''
def masked_softmax(scores):
    """Softmax over the last axis; a row that is minus infinity everywhere gives zeros."""
    empty = keras.ops.all(scores == -float("inf"), -1, keepdims=True)
    return keras.ops.where(empty, 0.0, keras.ops.softmax(keras.ops.where(empty, 0.0, scores)))
''',
)
keras_support(
    "scaled_dot_product_attention",
    '''
def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """Attend to values with weights softmax(query · key * scale).

    A boolean mask is true where attention is allowed, any other is added to the scores.
    """
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (keras.ops.repeat(x, groups, axis=-3) for x in (key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = keras.ops.matmul(query, keras.ops.einsum("...sd->...ds", key)) * scale
    if is_causal:
        rows, columns = keras.ops.shape(scores)[-2], keras.ops.shape(scores)[-1]
        attn_mask = keras.ops.arange(rows)[:, None] >= keras.ops.arange(columns)
    if attn_mask is None:
        weights = keras.ops.softmax(scores)
    elif keras.backend.standardize_dtype(attn_mask.dtype) == "bool":
        weights = masked_softmax(keras.ops.where(attn_mask, scores, -float("inf")))
    else:
        weights = masked_softmax(scores + attn_mask)
    if dropout_p > 0.0:
        weights = keras.random.dropout(weights, dropout_p)
    return keras.ops.matmul(weights, value)
''',
    requires=("masked_softmax",),
    flax='''
def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False, rngs=None
):
    """Attend to values with weights softmax(query · key * scale).

    A boolean mask is true where attention is allowed, any other is added to the scores.
    """
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (jax.numpy.repeat(x, groups, axis=-3) for x in (key, value))
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = query @ key.swapaxes(-1, -2) * scale
    if is_causal:
        attn_mask = jax.numpy.tri(*scores.shape[-2:], dtype=bool)
    if attn_mask is None:
        weights = flax.nnx.softmax(scores)
    elif attn_mask.dtype == bool:
        weights = masked_softmax(jax.numpy.where(attn_mask, scores, -jax.numpy.inf))
    else:
        weights = masked_softmax(scores + attn_mask)
    if dropout_p > 0.0:
        weights = flax.nnx.Dropout(dropout_p, rngs=rngs)(weights)
    return weights @ value
''',
)
keras_support(
    "MultiheadAttention",
    '''
class MultiheadAttention(keras.layers.Layer):
    """Attention in several heads; returns the output and the attention weights.

    A boolean mask is true where attention is *not* allowed, any other is added to the scores.
    """

    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True, batch_first=False, **kwargs):
        super().__init__(**kwargs)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.batch_first = batch_first
        self.q_proj = keras.layers.Dense(embed_dim, use_bias=bias)
        self.k_proj = keras.layers.Dense(embed_dim, use_bias=bias)
        self.v_proj = keras.layers.Dense(embed_dim, use_bias=bias)
        self.out_proj = keras.layers.Dense(embed_dim, use_bias=bias)
        self.dropout = keras.layers.Dropout(dropout)

    def call(
        self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True
    ):
        if not self.batch_first:
            query, key, value = (keras.ops.transpose(x, (1, 0, 2)) for x in (query, key, value))
        q = self.split_heads(self.q_proj(query))
        k = self.split_heads(self.k_proj(key))
        v = self.split_heads(self.v_proj(value))
        scores = keras.ops.matmul(q, keras.ops.transpose(k, (0, 1, 3, 2))) * self.head_dim**-0.5
        if attn_mask is not None:
            if len(attn_mask.shape) == 3:
                attn_mask = keras.ops.reshape(attn_mask, keras.ops.shape(scores))
            scores = self.mask_scores(scores, attn_mask)
        if key_padding_mask is not None:
            scores = self.mask_scores(scores, key_padding_mask[:, None, None, :])
        weights = self.dropout(masked_softmax(scores))
        output = self.out_proj(self.merge_heads(keras.ops.matmul(weights, v)))
        if not self.batch_first:
            output = keras.ops.transpose(output, (1, 0, 2))
        if not need_weights:
            return output, None
        return output, keras.ops.mean(weights, axis=1) if average_attn_weights else weights

    def split_heads(self, x):
        batch, length = keras.ops.shape(x)[0], keras.ops.shape(x)[1]
        x = keras.ops.reshape(x, (batch, length, self.num_heads, self.head_dim))
        return keras.ops.transpose(x, (0, 2, 1, 3))

    def merge_heads(self, x):
        x = keras.ops.transpose(x, (0, 2, 1, 3))
        return keras.ops.reshape(x, (keras.ops.shape(x)[0], keras.ops.shape(x)[1], self.embed_dim))

    def mask_scores(self, scores, mask):
        if keras.backend.standardize_dtype(mask.dtype) == "bool":
            return keras.ops.where(mask, -float("inf"), scores)
        return scores + mask
''',
    requires=("masked_softmax",),
    flax='''
class MultiheadAttention(flax.nnx.Module):
    """Attention in several heads; returns the output and the attention weights.

    A boolean mask is true where attention is *not* allowed, any other is added to the scores.
    """

    def __init__(
        self, embed_dim, num_heads, dropout=0.0, bias=True, kdim=None, vdim=None, batch_first=False, *, rngs
    ):
        self.num_heads = num_heads
        self.batch_first = batch_first
        self.q_proj = flax.nnx.Linear(embed_dim, embed_dim, use_bias=bias, rngs=rngs)
        self.k_proj = flax.nnx.Linear(kdim or embed_dim, embed_dim, use_bias=bias, rngs=rngs)
        self.v_proj = flax.nnx.Linear(vdim or embed_dim, embed_dim, use_bias=bias, rngs=rngs)
        self.out_proj = flax.nnx.Linear(embed_dim, embed_dim, use_bias=bias, rngs=rngs)
        self.dropout = flax.nnx.Dropout(dropout, rngs=rngs)

    def __call__(
        self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True
    ):
        if not self.batch_first:
            query, key, value = (x.swapaxes(0, 1) for x in (query, key, value))
        q = self.split_heads(self.q_proj(query))
        k = self.split_heads(self.k_proj(key))
        v = self.split_heads(self.v_proj(value))
        scores = q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5
        if attn_mask is not None:
            scores = self.mask_scores(scores, attn_mask.reshape(scores.shape) if attn_mask.ndim == 3 else attn_mask)
        if key_padding_mask is not None:
            scores = self.mask_scores(scores, key_padding_mask[:, None, None, :])
        weights = self.dropout(masked_softmax(scores))
        output = (weights @ v).swapaxes(1, 2).reshape(query.shape)
        output = self.out_proj(output)
        if not self.batch_first:
            output = output.swapaxes(0, 1)
        if not need_weights:
            return output, None
        return output, weights.mean(axis=1) if average_attn_weights else weights

    def split_heads(self, x):
        return x.reshape(*x.shape[:2], self.num_heads, -1).swapaxes(1, 2)

    def mask_scores(self, scores, mask):
        return jax.numpy.where(mask, -jax.numpy.inf, scores) if mask.dtype == bool else scores + mask
''',
)


def _softmax(scores: Array) -> Array:
    """Softmax over the last axis, zeros where everything is masked."""
    top = scores.max(axis=-1, keepdims=True)
    powers = np.exp(scores - np.where(np.isinf(top), 0, top))
    made: Array = powers / np.maximum(powers.sum(axis=-1, keepdims=True), np.finfo(float).tiny)
    return made


def _additive(mask: Array, masked: bool) -> Array:
    """A mask to be added; ``masked`` is the boolean that forbids."""
    return np.where(mask == masked, -np.inf, 0.0) if mask.dtype == bool else mask


def _attend(query: Array, key: Array, mask: Array | float, scale: float) -> Array:
    return _softmax(query @ np.swapaxes(key, -1, -2) * scale + mask)


def _sdpa_reference(
    query: Array, key: Array, value: Array, attn_mask: Array | None = None, *, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Array:  # fmt: skip
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        key, value = (np.repeat(x, groups, axis=-3) for x in (key, value))
    if is_causal:
        attn_mask = np.tri(query.shape[-2], key.shape[-2], dtype=bool)
    mask = 0.0 if attn_mask is None else _additive(attn_mask, masked=False)
    weights = _attend(query, key, mask, query.shape[-1] ** -0.5 if scale is None else scale)
    return weights @ value


_PARTLY = np.array(
    [[True, False, True, True, False], [False, False, True, False, True], [True] * 5, [False] * 4 + [True]]
)
_EMPTY_ROW = np.array([[True, False, True, True, False], [False] * 5, [True] * 5, [False] * 4 + [True]])
_ADDED = np.linspace(-1.0, 1.0, 20).reshape(4, 5)

_SDPA_OPTIONS = "dropout_p=0.0, is_causal=False"
register(
    OpDef(
        "scaled_dot_product_attention",
        f"query, key, value, attn_mask=None, *, {_SDPA_OPTIONS}, scale=None, enable_gqa=False",
        "softmax(query @ key.T * scale + mask) @ value; a boolean mask is true where attention is allowed.",
        reference=_sdpa_reference,
        spellings={
            "torch": [
                Spelling(
                    "torch.nn.functional.scaled_dot_product_attention",
                    f"query, key, value, attn_mask=None, {_SDPA_OPTIONS}, scale=None, enable_gqa=False",
                )
            ],
            **{
                framework: [
                    supported(
                        "scaled_dot_product_attention",
                        f"query, key, value, attn_mask=None, {_SDPA_OPTIONS}, scale=None, enable_gqa=False",
                    )
                ]
                for framework in ("tensorflow", "keras")
            },
            "flax": [
                supported(
                    "scaled_dot_product_attention",
                    f"query, key, value, attn_mask=None, {_SDPA_OPTIONS}, scale=None, enable_gqa=False",
                    when={"dropout_p": 0.0},
                ),
                supported(
                    "scaled_dot_product_attention",
                    f"query, key, value, attn_mask=None, {_SDPA_OPTIONS}, scale=None, enable_gqa=False, rngs=None",
                    threaded=("rngs",),
                ),
            ],
        },
        cases=[
            Case({"query": (2, 3, 4, 6), "key": (2, 3, 5, 6), "value": (2, 3, 5, 7)}),
            Case({"query": (2, 4, 6), "key": (2, 5, 6), "value": (2, 5, 6)}, {"is_causal": True}),
            Case({"query": (2, 4, 6), "key": (2, 5, 6), "value": (2, 5, 6), "attn_mask": _PARTLY}, {"scale": 0.3}),
            # PyTorch's own gradients are not numbers where a row is masked everywhere.
            Case({"query": (4, 6), "key": (5, 6), "value": (5, 3), "attn_mask": _EMPTY_ROW}, gradients=False),
            Case({"query": (2, 3, 4, 6), "key": (2, 3, 5, 6), "value": (2, 3, 5, 6), "attn_mask": _ADDED}),
            Case({"query": (2, 6, 4, 3), "key": (2, 2, 5, 3), "value": (2, 2, 5, 3)}, {"enable_gqa": True}),
        ],
    )
)


def _mha_reference(
    query: Array, key: Array, value: Array, key_padding_mask: Array | None = None, need_weights: bool = True,
    attn_mask: Array | None = None, average_attn_weights: bool = True, *, embed_dim: int, num_heads: int,
    dropout: float = 0.0, bias: bool = True, kdim: int | None = None, vdim: int | None = None,
    batch_first: bool = False, **weights: Array,
) -> Any:  # fmt: skip
    if not batch_first:
        query, key, value = (x.swapaxes(0, 1) for x in (query, key, value))

    def project(name: str, x: Array) -> Array:
        return x @ weights[f"{name}_weight"].T + weights.get(f"{name}_bias", 0)

    def heads(x: Array) -> Array:
        return x.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)

    q, k, v = (heads(project(name, x)) for name, x in (("q", query), ("k", key), ("v", value)))
    mask: Array | float = 0.0
    if attn_mask is not None:
        added = _additive(attn_mask, masked=True)
        mask = added.reshape(-1, num_heads, *added.shape[1:]) if added.ndim == 3 else added
    if key_padding_mask is not None:
        mask = mask + _additive(key_padding_mask, masked=True)[:, None, None, :]
    attention = _attend(q, k, mask, 1 / math.sqrt(q.shape[-1]))
    output = project("out", (attention @ v).swapaxes(1, 2).reshape(query.shape[0], -1, embed_dim))
    output = output if batch_first else output.swapaxes(0, 1)
    if not need_weights:
        return output, None
    return output, attention.mean(axis=1) if average_attn_weights else attention


def _mha_in_torch(attributes: Mapping[str, Any]) -> dict[str, str]:
    """PyTorch packs the three input projections into one matrix where their input sizes agree."""
    sizes = {attributes[name] for name in ("kdim", "vdim")} - {None, attributes.get("embed_dim")}
    if not sizes:
        made = {"in_proj_weight": "stack(q_weight, k_weight, v_weight): (p O) I"}
    else:
        made = {f"{p}_proj_weight": f"{p}_weight: O I" for p in "qkv"}
    return made | ({"in_proj_bias": "stack(q_bias, k_bias, v_bias): (p O)"} if attributes["bias"] else {})


_PARTS = ("q", "k", "v", "out")
_MHA_CALL = "query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None, average_attn_weights=True"
_MHA_TARGET = Spelling(
    "MultiheadAttention",
    "embed_dim, num_heads, dropout=0.0, bias=True, batch_first=False",
    call=_MHA_CALL,
    params={
        **{f"{p}_proj.kernel": f"{p}_weight: I O" for p in _PARTS},
        **{f"{p}_proj.bias": f"{p}_bias: O" for p in _PARTS},
    },
    support="MultiheadAttention",
    layer=True,
    read=False,
    positional=2,
    silent=("kdim", "vdim"),
)
_MHA_IN_FLAX = nnx_support(
    "MultiheadAttention",
    "embed_dim, num_heads, dropout=0.0, bias=True, kdim=None, vdim=None, batch_first=False",
    call=_MHA_CALL,
    params=_MHA_TARGET.params,
    positional=2,
)
_SMALL = {"embed_dim": 6, "num_heads": 2}
MULTIHEAD_ATTENTION = register(
    OpDef(
        "multihead_attention",
        f"{_MHA_CALL}, *, embed_dim, num_heads, dropout=0.0, bias=True, kdim=None, vdim=None, batch_first=False",
        "Projected attention in several heads: output and weights; boolean masks are true where attention is forbidden.",
        reference=_mha_reference,
        params={**{f"{p}_weight": "O I" for p in _PARTS}, **{f"{p}_bias": "O" for p in _PARTS}},
        optional={f"{p}_bias": "bias" for p in _PARTS},
        spellings={
            "torch": [
                Spelling(
                    "torch.nn.MultiheadAttention",
                    "embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, "
                    "kdim=None, vdim=None, batch_first=False, device=None, dtype=None",
                    call=f"{_MHA_CALL}, is_causal=False",
                    # is_causal only says what the mask given with it is.
                    ignore=("device", "dtype", "is_causal"),
                    fixed={"add_bias_kv": False, "add_zero_attn": False},
                    params={"out_proj.weight": "out_weight: O I", "out_proj.bias": "out_bias: O"},
                    dynamic_params=_mha_in_torch,
                    layer=True,
                    positional=2,
                )
            ],
            "tensorflow": [_MHA_TARGET],
            "keras": [_MHA_TARGET],
            "flax": [_MHA_IN_FLAX],
        },
        cases=[
            Case({"query": (4, 3, 6), "key": (5, 3, 6), "value": (5, 3, 6)}, _SMALL),
            Case(
                {
                    "query": (3, 4, 6), "key": (3, 5, 6), "value": (3, 5, 6),
                    "key_padding_mask": np.arange(5) >= np.array([[3], [5], [4]]),
                },
                {**_SMALL, "batch_first": True, "bias": False},
            ),
            Case(
                {"query": (4, 3, 6), "key": (5, 3, 6), "value": (5, 3, 6), "attn_mask": ~_PARTLY},
                {**_SMALL, "num_heads": 3, "dropout": 0.2},
            ),
            Case(
                {
                    "query": (3, 4, 6), "key": (3, 5, 6), "value": (3, 5, 6), "need_weights": True,
                    "attn_mask": (6, 4, 5), "average_attn_weights": False,
                },
                {**_SMALL, "batch_first": True},
            ),
            Case(
                {"query": (4, 3, 6), "key": (5, 3, 7), "value": (5, 3, 8), "need_weights": False},
                {**_SMALL, "kdim": 7, "vdim": 8},
            ),
        ],
    )
)  # fmt: skip


register_support(
    Support(
        "MultiHeadAttention",
        {
            "torch": '''
class MultiHeadAttention(torch.nn.Module):
    """Attention in several heads over batches of sequences; a mask is true where attention is allowed."""

    def __init__(
        self, query_size, value_size, key_size, num_heads, key_dim, value_dim=None, output_size=None, dropout=0.0,
        bias=True
    ):
        super().__init__()
        value_dim = value_dim or key_dim
        self.num_heads = num_heads
        self.query_dense = torch.nn.Linear(query_size, num_heads * key_dim, bias=bias)
        self.key_dense = torch.nn.Linear(key_size, num_heads * key_dim, bias=bias)
        self.value_dense = torch.nn.Linear(value_size, num_heads * value_dim, bias=bias)
        self.output_dense = torch.nn.Linear(num_heads * value_dim, output_size or query_size, bias=bias)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(
        self, query, value, key=None, attention_mask=None, return_attention_scores=False, use_causal_mask=False
    ):
        q = self.split_heads(self.query_dense(query))
        k = self.split_heads(self.key_dense(value if key is None else key))
        v = self.split_heads(self.value_dense(value))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if attention_mask is not None:
            allowed = attention_mask.bool()
            allowed = allowed.unsqueeze(1) if allowed.dim() == 3 else allowed  # The same for all heads.
            scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        if use_causal_mask:
            allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
            scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
        scores = torch.softmax(scores, dim=-1)
        outputs = self.output_dense((self.dropout(scores) @ v).transpose(1, 2).flatten(2))
        return (outputs, scores) if return_attention_scores else outputs

    def split_heads(self, x):
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
'''
        },
    )
)
_PROJECTIONS = {"query_dense": "q", "key_dense": "k", "value_dense": "v"}
_HEADS_IN_TORCH = Spelling(
    "MultiHeadAttention",
    "query_size, value_size, key_size, num_heads, key_dim, value_dim=None, output_size=None, dropout=0.0, bias=True",
    call="query, value, key=None, attention_mask=None, return_attention_scores=False, use_causal_mask=False",
    params={
        **{f"{name}.weight": f"{p}_weight: (N D) I" for name, p in _PROJECTIONS.items()},
        **{f"{name}.bias": f"{p}_bias: (N D)" for name, p in _PROJECTIONS.items()},
        "output_dense.weight": "out_weight: O (N D)",
        "output_dense.bias": "out_bias: O",
    },
    support="MultiHeadAttention",
    layer=True,
    read=False,
    positional=5,
)


def _own_attention(package: str) -> list[Spelling]:
    """Keras's layer; masks of queries and keys are left to the masks that Keras hands on by itself."""
    return [
        Spelling(
            f"{package}.layers.MultiHeadAttention",
            "num_heads, key_dim, value_dim=None, dropout=0.0, use_bias=True, output_shape=None, attention_axes=None, "
            "sliding_window=None, flash_attention=None, kernel_initializer='glorot_uniform', bias_initializer='zeros'",
            maps={"use_bias": "bias", "output_shape": "output_size"},
            ignore=("flash_attention", "kernel_initializer", "bias_initializer"),
            fixed={"attention_axes": None, "sliding_window": None},
            call="query, value, key=None, *, value_mask=None, attention_mask=None, return_attention_scores=False, "
            "use_causal_mask=False",
            params={
                **{f"{name}.kernel": f"{p}_weight: I N D" for name, p in _PROJECTIONS.items()},
                **{f"{name}.bias": f"{p}_bias: N D" for name, p in _PROJECTIONS.items()},
                "output_dense.kernel": "out_weight: N D O",
                "output_dense.bias": "out_bias: O",
            },
            layer=True,
            positional=2,
        )
    ]


_HEADS_IN_FLAX = nnx_layer(
    "MultiHeadAttention",
    "num_heads, in_features, qkv_features=None, out_features=None, num_kv_heads=None, in_kv_features=None, *, "
    "dropout_rate=0.0, use_bias=True, normalize_qk=False, decode=None",
    maps={
        "in_features": "query_size", "in_kv_features": "value_size", "qkv_features": "key_dim", "out_features": "output_size",
        "dropout_rate": "dropout", "use_bias": "bias", "inputs_q": "query", "inputs_k": "key", "inputs_v": "value",
        "mask": "attention_mask",
    },
    ignore=("decode",),
    fixed={"normalize_qk": False, "num_kv_heads": None},
    call="inputs_q, inputs_k=None, inputs_v=None, *, mask=None",
    params={
        **{f"{name}.kernel": f"{name[0]}_weight: I N D" for name in ("query", "key", "value")},
        **{f"{name}.bias": f"{name[0]}_bias: N D" for name in ("query", "key", "value")},
        "out.kernel": "out_weight: N D O",
        "out.bias": "out_bias: O",
    },
    write=False,
)  # fmt: skip
"""NNX's layer, once the reader has said the size of each head and what the keys and values are."""
_HEADS_OF_FLAX = replace(
    _HEADS_IN_FLAX, ignore=UNUSED, fixed={**_HEADS_IN_FLAX.fixed, "decode": False}, read=False, write=True, positional=2
)
"""The same as it is written; a legalisation has said the size of all heads together."""


def _heads_reference(
    query: Array, value: Array, key: Array | None = None, attention_mask: Array | None = None,
    value_mask: Array | None = None, return_attention_scores: bool = False, use_causal_mask: bool = False, *,
    num_heads: int, key_dim: int, **weights: Any,
) -> Any:  # fmt: skip
    def heads(name: str, x: Array) -> Array:
        projected = x @ weights[f"{name}_weight"].T + weights.get(f"{name}_bias", 0)
        parts: Array = projected.reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)
        return parts

    q, k, v = heads("q", query), heads("k", value if key is None else key), heads("v", value)
    allowed = np.ones((query.shape[0], query.shape[1], value.shape[1]), bool)
    for mask in (attention_mask, None if value_mask is None else value_mask[:, None, :]):
        allowed &= True if mask is None else mask
    if use_causal_mask:
        allowed &= np.tri(query.shape[1], value.shape[1], dtype=bool)
    scores = _attend(q, k, np.where(allowed, 0.0, -np.inf)[:, None], key_dim**-0.5)
    merged = (scores @ v).swapaxes(1, 2).reshape(*query.shape[:2], -1)
    outputs: Array = merged @ weights["out_weight"].T + weights.get("out_bias", 0)
    return (outputs, scores) if return_attention_scores else outputs


_HEADS = {"query_size": 6, "value_size": 5, "key_size": 5, "num_heads": 2, "key_dim": 3}
_HEADS_INPUTS = {"query": (3, 4, 6), "value": (3, 5, 5)}
register(
    OpDef(
        "attention_heads",
        "query, value, key=None, attention_mask=None, value_mask=None, return_attention_scores=False, "
        "use_causal_mask=False, *, query_size=..., value_size=..., key_size=..., num_heads, key_dim, value_dim=None, "
        "output_size=None, dropout=0.0, bias=True",
        "Projected attention in several heads of batches first, masks are true where attention is allowed: the output alone.",
        reference=_heads_reference,
        params={
            **{f"{p}_weight": "(N D) I" for p in "qkv"}, **{f"{p}_bias": "(N D)" for p in "qkv"},
            "out_weight": "O (N D)", "out_bias": "O",
        },
        optional={f"{p}_bias": "bias" for p in _PARTS},
        sizes={"N": "num_heads"},
        spellings={"torch": [_HEADS_IN_TORCH], **on_keras(_own_attention), "flax": [_HEADS_OF_FLAX, _HEADS_IN_FLAX]},
        tolerance=(3e-7, "Keras keeps the factor of the scores in float32"),
        cases=[
            # The keys' bias has no gradient, and what rounding leaves of one is that of float32 in Keras on JAX.
            Case(_HEADS_INPUTS, _HEADS, gradients=False),
            Case(
                {**_HEADS_INPUTS, "key": (3, 5, 7)},
                {**_HEADS, "key_size": 7, "value_dim": 4, "output_size": 8},
                skip={
                    "keras": "Keras on JAX has no size of their own for values",
                    "flax": "NNX has no sizes of their own for keys and values",
                },
            ),
            Case({**_HEADS_INPUTS, "attention_mask": _PARTLY}, {**_HEADS, "bias": False, "dropout": 0.2}),
            Case({"query": (3, 4, 6), "value": (3, 4, 5), "use_causal_mask": True}, _HEADS),
            Case(
                {**_HEADS_INPUTS, "return_attention_scores": True}, _HEADS,
                skip={"flax": "NNX's layer gives its output alone"},
            ),
        ],
    )
)  # fmt: skip
