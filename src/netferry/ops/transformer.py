"""Transformer blocks: encoder and decoder layers, stacks of them, the whole encoder-decoder network.

Sub-layers have PyTorch's names everywhere, so that the parameters of a stack are those of its parts under the same path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import erf
from typing import Any

import numpy as np

from netferry.ops.attention import MULTIHEAD_ATTENTION
from netferry.ops.core import Case, OpDef, Spelling
from netferry.ops.forms import template
from netferry.ops.jax_forms import nnx_support
from netferry.ops.registry import register

Array = np.ndarray[Any, Any]

_OPTIONS = (
    'dim_feedforward=2048, dropout=0.1, activation="relu", layer_norm_eps=1e-05, batch_first=False, norm_first=False, '
    "bias=True"
)
_CUSTOM_OPTIONS = _OPTIONS.replace('"relu", ', '"relu", custom_encoder=None, custom_decoder=None, ')
_SIZES = "d_model, nhead"
_NETWORK_SIZES = "d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6"
# Keras fills an argument ``a_mask`` of its own accord when there is an argument ``a``, so tensors have other names.
_ENCODER_CALL = "x, src_mask=None, src_key_padding_mask=None"
_DECODER_CALL = "x, encoded, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None"
_NETWORK_CALL = (
    "source, target, src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None, "
    "tgt_key_padding_mask=None, memory_key_padding_mask=None"
)
# That a mask is causal is a hint about the mask given with it; nested tensors and mask checks are about speed.
_IGNORED = (
    "device", "dtype", "is_causal", "src_is_causal", "tgt_is_causal", "memory_is_causal", "enable_nested_tensor", "mask_check",
)  # fmt: skip

# Of each kind of part: its canonical parameters, then how PyTorch, Keras and NNX name them.
_PARTS: dict[str, tuple[Mapping[str, str], ...]] = {
    "attention": (
        MULTIHEAD_ATTENTION.params,
        {
            "in_proj_weight": "stack(q_weight, k_weight, v_weight): (p O) I",
            "in_proj_bias": "stack(q_bias, k_bias, v_bias): (p O)",
            **MULTIHEAD_ATTENTION.spellings["torch"][0].params,
        },
        MULTIHEAD_ATTENTION.spellings["keras"][0].params,
        MULTIHEAD_ATTENTION.spellings["flax"][0].params,
    ),
    "linear": (
        {"weight": "O I", "bias": "O"},
        {"weight": "weight: O I", "bias": "bias: O"},
        {"kernel": "weight: I O", "bias": "bias: O"},
        {"kernel": "weight: I O", "bias": "bias: O"},
    ),
    "norm": (
        {"weight": "C", "bias": "C"},
        {"weight": "weight: C", "bias": "bias: C"},
        {"gamma": "weight: C", "beta": "bias: C"},
        {"scale": "weight: C", "bias": "bias: C"},
    ),
}


def _params(parts: Mapping[str, str]) -> tuple[dict[str, str], ...]:
    """The parameters of a layer made of parts (name -> kind): canonical, in PyTorch, in Keras, in NNX."""
    canonical: dict[str, str] = {}
    found: tuple[dict[str, str], ...] = ({}, {}, {})
    for part, kind in parts.items():
        own, *theirs = _PARTS[kind]
        canonical |= {f"{part}.{name}": layout for name, layout in own.items()}
        for made, specs in zip(found, theirs, strict=True):
            for path, spec in specs.items():
                expression, _, layout = spec.partition(":")
                inner = re.sub(rf"\b({'|'.join(own)})\b", rf"{part}.\1", expression)
                made[f"{part}.{path}"] = f"{inner}:{layout}"
    return (canonical, *found)


def _gelu(x: Array) -> Array:
    made: Array = x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))
    return made


class _Block:
    """The reference of one layer: its parts, with their parameters."""

    def __init__(self, weights: Mapping[str, Array], attributes: Mapping[str, Any]) -> None:
        self.weights = weights
        self.attributes = attributes

    def attend(self, name: str, x: Array, memory: Array, mask: Array | None, padding: Array | None) -> Array:
        """Multi-head attention of ``x`` to ``memory``."""
        reference = MULTIHEAD_ATTENTION.reference
        assert reference is not None
        given = {
            "embed_dim": self.attributes["d_model"],
            "num_heads": self.attributes["nhead"],
            "batch_first": self.attributes.get("batch_first", False),
        }
        weights = {k.partition(".")[2]: v for k, v in self.weights.items() if k.startswith(f"{name}.")}
        made: Array = reference(x, memory, memory, padding, False, mask, **given, **weights)[0]
        return made

    def norm(self, number: int, x: Array) -> Array:
        """Layer normalization."""
        centered = x - x.mean(axis=-1, keepdims=True)
        scaled = centered / np.sqrt(
            (centered**2).mean(axis=-1, keepdims=True) + self.attributes.get("layer_norm_eps", 1e-5)
        )
        made: Array = scaled * self.weights[f"norm{number}.weight"] + self.weights.get(f"norm{number}.bias", 0)
        return made

    def feed_forward(self, x: Array) -> Array:
        """Two linear maps with the activation between them."""
        for number in (1, 2):
            x = x @ self.weights[f"linear{number}.weight"].T + self.weights.get(f"linear{number}.bias", 0)
            if number == 1:
                x = _gelu(x) if self.attributes.get("activation") == "gelu" else np.maximum(x, 0)
        return x

    def run(self, x: Array, parts: Any) -> Array:
        """Apply the parts, each with a residual connection and a normalization before or after."""
        for number, part in enumerate(parts, 1):
            if self.attributes.get("norm_first"):
                x = x + part(self.norm(number, x))
            else:
                x = self.norm(number, x + part(x))
        return x


def _split(given: Mapping[str, Any]) -> _Block:
    weights = {k: v for k, v in given.items() if "." in k}
    return _Block(weights, {k: v for k, v in given.items() if "." not in k})


def _encoder_reference(
    x: Array, src_mask: Array | None = None, src_key_padding_mask: Array | None = None, **given: Any
) -> Array:
    block = _split(given)
    attend = lambda h: block.attend("self_attn", h, h, src_mask, src_key_padding_mask)  # noqa: E731
    return block.run(x, (attend, block.feed_forward))


def _decoder_reference(
    x: Array, encoded: Array, tgt_mask: Array | None = None, memory_mask: Array | None = None,
    tgt_key_padding_mask: Array | None = None, memory_key_padding_mask: Array | None = None, **given: Any,
) -> Array:  # fmt: skip
    block = _split(given)
    attend = lambda h: block.attend("self_attn", h, h, tgt_mask, tgt_key_padding_mask)  # noqa: E731
    cross = lambda h: block.attend("multihead_attn", h, encoded, memory_mask, memory_key_padding_mask)  # noqa: E731
    return block.run(x, (attend, cross, block.feed_forward))


_MASK = np.triu(np.ones((4, 4), dtype=bool), 1)
_SMALL = {"d_model": 6, "nhead": 2, "dim_feedforward": 8}


def _cases(operands: Mapping[str, tuple[int, ...]], masks: Mapping[str, Any], padding: Mapping[str, Any]) -> list[Case]:
    """Batches of 3; without and with masks, both orders of normalization."""
    batch_first = {name: (shape[1], shape[0], shape[2]) for name, shape in operands.items()}
    return [
        Case(dict(operands), _SMALL),
        Case({**operands, **masks}, {**_SMALL, "norm_first": True, "activation": "gelu", "layer_norm_eps": 0.01}),
        Case({**batch_first, **padding}, {**_SMALL, "batch_first": True, "bias": False, "nhead": 3}),
    ]


def _spellings(
    kind: str,
    signatures: tuple[str, str],
    call: str,
    torch_call: tuple[str, Mapping[str, str]],
    params: Sequence[Mapping[str, str]] = ({}, {}, {}),
    fixed: Mapping[str, Any] | None = None,
) -> dict[str, list[Spelling]]:
    """The support class and PyTorch's layer of the same name, whose call may name its operands otherwise.

    ``signatures`` are the support class's and PyTorch's, ``params`` also NNX's; ``torch_call`` is PyTorch's whole call signature
    with the canonical names of those that differ.
    """
    target = Spelling(
        kind, signatures[0], call=call, params=params[0], support=kind, layer=True, read=False, positional=2
    )
    torch = Spelling(
        f"torch.nn.{kind}",
        signatures[1],
        call=torch_call[0],
        maps=torch_call[1],
        ignore=_IGNORED,
        fixed=fixed or {},
        params=params[1],
        layer=True,
        positional=2,
    )
    flax = nnx_support(kind, signatures[0], call=call, params=params[2], positional=2)
    return {"torch": [torch], "tensorflow": [target], "keras": [target], "flax": [flax]}


_DECODER_NAMES = {"tgt": "x", "memory": "encoded"}


def _torch_call(call: str, names: Mapping[str, str], hints: str) -> tuple[str, Mapping[str, str]]:
    """PyTorch's call signature from ours: its own names, and the hints that only it takes."""
    for name, canonical in names.items():
        call = re.sub(rf"(?<!\w){canonical}(?!\w)", name, call)
    return f"{call}, {hints}", names


def _register_block(name: str, kind: str, doc: str, attentions: Mapping[str, str], norms: int, **declared: Any) -> None:
    """An encoder or decoder layer."""
    parts = {**attentions, "linear1": "linear", "linear2": "linear", **{f"norm{i + 1}": "norm" for i in range(norms)}}
    canonical, torch, keras, flax = _params(parts)
    signature = f"{_SIZES}, {_OPTIONS}"
    call, torch_call = declared.pop("call"), declared.pop("torch_call")
    register(
        OpDef(
            name,
            f"{call}, *, {signature}",
            doc,
            params=canonical,
            optional={n: "bias" for n in canonical if n.endswith("bias")},
            tolerance=(1e-7, "TensorFlow's gelu rounds the square root of two to 32 bits"),
            spellings=_spellings(
                kind, (signature, f"{signature}, device=None, dtype=None"), call, torch_call, (keras, torch, flax)
            ),
            **declared,
        )
    )


_register_block(
    "transformer_encoder_layer",
    "TransformerEncoderLayer",
    "Self-attention and a feed-forward network, each with a residual connection and layer normalization.",
    {"self_attn": "attention"},
    2,
    call=_ENCODER_CALL,
    torch_call=_torch_call(_ENCODER_CALL, {"src": "x"}, "is_causal=False"),
    reference=_encoder_reference,
    cases=_cases(
        {"x": (4, 3, 6)}, {"src_mask": _MASK}, {"src_key_padding_mask": np.arange(4) >= np.array([[3], [4], [2]])}
    ),
)
_register_block(
    "transformer_decoder_layer",
    "TransformerDecoderLayer",
    "An encoder layer with attention to the encoder's output between its two parts.",
    {"self_attn": "attention", "multihead_attn": "attention"},
    3,
    call=_DECODER_CALL,
    torch_call=_torch_call(_DECODER_CALL, _DECODER_NAMES, "tgt_is_causal=False, memory_is_causal=False"),
    reference=_decoder_reference,
    cases=_cases(
        {"x": (4, 3, 6), "encoded": (5, 3, 6)},
        {"tgt_mask": _MASK, "memory_mask": np.linspace(-1.0, 1.0, 20).reshape(4, 5)},
        {"memory_key_padding_mask": np.arange(5) >= np.array([[3], [5], [2]])},
    ),
)
_NETWORK_OPTIONS = f"{_NETWORK_SIZES}, {_CUSTOM_OPTIONS}, device=None, dtype=None"
for _name, _kind, _signature, _theirs, _call, _torch, _fixed in (
    (
        "transformer_encoder",
        "TransformerEncoder",
        "encoder_layer, num_layers, norm=None",
        "encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True",
        _ENCODER_CALL,
        _torch_call(_ENCODER_CALL, {"src": "x", "mask": "src_mask"}, "is_causal=None"),
        {},
    ),
    (
        "transformer_decoder",
        "TransformerDecoder",
        "decoder_layer, num_layers, norm=None",
        "decoder_layer, num_layers, norm=None",
        _DECODER_CALL,
        _torch_call(_DECODER_CALL, _DECODER_NAMES, "tgt_is_causal=None, memory_is_causal=False"),
        {},
    ),
    (
        "transformer",
        "Transformer",
        f"{_NETWORK_SIZES}, {_OPTIONS}",
        _NETWORK_OPTIONS,
        _NETWORK_CALL,
        _torch_call(
            _NETWORK_CALL,
            {"src": "source", "tgt": "target"},
            "src_is_causal=None, tgt_is_causal=None, memory_is_causal=False",
        ),
        {"custom_encoder": None, "custom_decoder": None},
    ),
):
    register(
        OpDef(
            _name,
            f"{_call}, *, {_signature}",
            f"{_kind}: layers of the kinds above, one after the other; its parameters are theirs.",
            spellings=_spellings(_kind, (_signature, _theirs), _call, _torch, fixed=_fixed),
        )
    )

_LOWER = {
    "tensorflow": "tf.linalg.band_part(tf.ones(({size}, {size}), tf.bool), -1, 0)",
    "keras": "keras.ops.tri({size}, dtype='bool')",
}
register(
    OpDef(
        "causal_mask",
        "*, size",
        "A square mask to be added to attention scores: minus infinity above the diagonal, zero elsewhere.",
        layout="create",
        reference=lambda size: np.where(np.tri(size, dtype=bool), 0.0, -np.inf),
        spellings={
            "torch": [
                Spelling(
                    "torch.nn.Transformer.generate_square_subsequent_mask",
                    "sz, device=None, dtype=None",
                    maps={"sz": "size"},
                    ignore=("device", "dtype"),
                )
            ],
            "tensorflow": [
                template(f"tf.cast(tf.where({_LOWER['tensorflow']}, 0.0, -float('inf')), tf.keras.config.floatx())")
            ],
            "keras": [template(f"keras.ops.where({_LOWER['keras']}, 0.0, -float('inf'))")],
        },
        cases=[Case({}, {"size": 4})],
    )
)
