"""Layers of Flax Linen, which is read and never written: those of NNX without the sizes of what they are called with."""

from __future__ import annotations

from typing import Any

from netferry.ops.conv import FLAX_PADDING
from netferry.ops.core import Conversion, Signature, Spelling, complement
from netferry.ops.forms import parameters
from netferry.ops.jax_forms import UNUSED, nnx_layer
from netferry.ops.registry import extend

_ATTENTION = {
    **{f"{name}.kernel": f"{name[0]}_weight: I N D" for name in ("query", "key", "value")},
    **{f"{name}.bias": f"{name[0]}_bias: N D" for name in ("query", "key", "value")},
    "out.kernel": "out_weight: N D O",
    "out.bias": "out_bias: O",
}


def _layer(op: str, name: str, signature: str, *, call: str = "inputs", **options: Any) -> None:
    known = Signature.parse(signature).names
    others = ", ".join(f"{argument}=..." for argument in UNUSED if argument not in known)
    star = "" if "*" in signature else "*"
    maps: dict[str, Conversion | str] = {"inputs": "x", **options.pop("maps", {})}
    ignore = (*options.pop("ignore", ()), *UNUSED, "parent")
    made = Spelling(
        f"flax.linen.{name}", parameters(signature, star, others, "parent=..."), maps=maps, ignore=ignore, call=call, layer=True,
        write=False, **options,
    )  # fmt: skip
    extend(op, "flax", made)


_BOTH = {"kernel": "weight: I O", "bias": "bias: O"}
_layer("linear", "Dense", "features, use_bias=True", maps={"features": "out_features"}, params=_BOTH)
for _n in (1, 2, 3):
    _axes = " ".join(f"K{i + 1}" for i in range(_n))
    _layer(
        f"conv{_n}d", "Conv",
        "features, kernel_size, strides=1, padding='SAME', input_dilation=1, kernel_dilation=1, feature_group_count=1, "
        "use_bias=True",
        maps={
            "features": "out_channels", "strides": "stride", "kernel_dilation": "dilation",
            "feature_group_count": "groups", "padding": FLAX_PADDING,
        },
        fixed={"input_dilation": 1}, kinds={"kernel_size": f"axes{_n}"},
        params={"kernel": f"weight: {_axes} I O", "bias": "bias: O"},
    )  # fmt: skip
_TRANSPOSED_PADDING = Conversion("padding", "dict(SAME='same', VALID=0).get({}, {})")
for _n in (1, 2, 3):
    _spatial = [f"K{i + 1}" for i in range(_n)]
    _turned = {False: f"{' '.join(f'~{a}' for a in _spatial)} I O", True: f"{' '.join(_spatial)} O I"}
    for _is_turned, _kernel in _turned.items():
        _options: dict[str, Any] = {
            "fixed": {"transpose_kernel": _is_turned}, "kinds": {"kernel_size": f"axes{_n}"},
            "params": {"kernel": f"weight: {_kernel}", "bias": "bias: O"}, "implies": {"output_padding": None},
        }  # fmt: skip
        _names: dict[str, Conversion | str] = {
            "strides": Conversion("stride", "({} or 1)"),
            "kernel_dilation": Conversion("dilation", "({} or 1)"),
            "padding": _TRANSPOSED_PADDING,
        }
        _rest = "padding='SAME', kernel_dilation=None, use_bias=True, mask=None"
        _others = "dtype=None, param_dtype=..., precision=None, kernel_init=..., bias_init=..."
        _layer(
            f"conv_transpose{_n}d", "ConvTranspose",
            f"features, kernel_size, strides=None, {_rest}, {_others}, transpose_kernel=False",
            maps={"features": "out_channels", **_names}, **_options, ignore=("mask",),
        )  # fmt: skip
        extend(
            f"conv_transpose{_n}d", "flax",
            nnx_layer(
                "ConvTranspose", f"in_features, out_features, kernel_size, strides=None, *, {_rest}, transpose_kernel=False",
                maps={"in_features": "in_channels", "out_features": "out_channels", **_names}, ignore=("mask",),
                write=False, **_options,
            ),
        )  # fmt: skip
_OWN = {"scale": "weight: C", "bias": "bias: C"}
_layer(
    "batch_norm", "BatchNorm",
    "use_running_average=None, axis=-1, momentum=0.99, epsilon=1e-05, dtype=None, param_dtype=..., use_bias=True, use_scale=True",
    maps={"momentum": complement("momentum"), "use_scale": "affine", "x": "x"}, fixed={"axis": -1},
    params={**_OWN, "mean": "running_mean: C", "var": "running_var: C"}, call="x",
)  # fmt: skip
_layer(
    "layer_norm", "LayerNorm", "epsilon=1e-06, dtype=None, param_dtype=..., use_bias=True, use_scale=True",
    maps={"use_scale": "affine", "x": "x"}, params=_OWN, call="x",
)  # fmt: skip
_layer(
    "group_norm", "GroupNorm",
    "num_groups=32, group_size=None, epsilon=1e-06, dtype=None, param_dtype=..., use_bias=True, use_scale=True",
    maps={"num_groups": "groups", "use_scale": "affine", "x": "x"}, fixed={"group_size": None}, params=_OWN, call="x",
)  # fmt: skip
_layer(
    "rms_norm", "RMSNorm", "epsilon=1e-06, dtype=None, param_dtype=..., use_scale=True",
    maps={"use_scale": "affine", "x": "x"}, params={"scale": "weight: C"}, call="x",
)  # fmt: skip
_layer("dropout", "Dropout", "rate, broadcast_dims=(), deterministic=None", fixed={"broadcast_dims": ()})
_layer(
    "embedding",
    "Embed",
    "num_embeddings, features",
    params={"embedding": "weight: N D"},
    maps={"features": "embedding_dim"},
)
for _name in ("MultiHeadDotProductAttention", "MultiHeadAttention", "SelfAttention"):
    _layer(
        "attention_heads", _name,
        "num_heads, dtype=None, param_dtype=..., qkv_features=None, out_features=None, broadcast_dropout=True, "
        "dropout_rate=0.0, deterministic=None, precision=None, kernel_init=..., out_kernel_init=..., bias_init=..., "
        "out_bias_init=..., use_bias=True, attention_fn=..., decode=False, normalize_qk=False",
        maps={
            "qkv_features": "key_dim", "out_features": "output_size", "dropout_rate": "dropout", "use_bias": "bias",
            "inputs_q": "query", "inputs_k": "key", "inputs_v": "value", "mask": "attention_mask",
        },
        ignore=("decode",), fixed={"normalize_qk": False}, call="inputs_q, inputs_k=None, inputs_v=None, *, mask=None",
        params=_ATTENTION,
    )  # fmt: skip
