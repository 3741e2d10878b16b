"""Spellings for JAX: those of layers, and those that follow from Keras's operations, which keep to NumPy's names as JAX does.

What JAX says otherwise an op declares itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from netferry.ops.core import Conversion, OpDef, Spelling, Support
from netferry.ops.forms import parameters
from netferry.ops.jax_names import METHODS, in_jax, read_in_jax
from netferry.walking import Transformer

_IN_NN = (
    "relu relu6 sigmoid softplus softmax log_softmax silu gelu elu selu celu leaky_relu hard_sigmoid hard_tanh "
    "log_sigmoid soft_sign one_hot glu logsumexp"
)
_IN_LINALG = "cholesky det eigh inv qr svd solve norm lstsq"
_ELSEWHERE: Final[Mapping[str, str]] = {
    **{name: f"flax.nnx.{name}" for name in _IN_NN.split()},
    **{name: f"jax.numpy.linalg.{name}" for name in _IN_LINALG.split()},
    "hard_silu": "flax.nnx.hard_swish",
    "softsign": "flax.nnx.soft_sign",
    "mish": "jax.nn.mish",
    "erf": "jax.lax.erf",
    "erfinv": "jax.lax.erf_inv",
    "rsqrt": "jax.lax.rsqrt",
    "top_k": "jax.lax.top_k",
    "stop_gradient": "jax.lax.stop_gradient",
    "convert_to_tensor": "jax.numpy.asarray",
    "cast": "jax.numpy.astype",
    "segment_sum": "jax.ops.segment_sum",
}
"""Where JAX has an operation that is not one of ``jax.numpy``."""
_OTHERWISE: Final = frozenset(
    [
        "conv",
        "conv_transpose",
        "depthwise_conv",
        "separable_conv",
        "max_pool",
        "average_pool",
        "adaptive_average_pool",
        "adaptive_max_pool",
        "scatter",
        "scatter_update",
        "slice_update",
        "slice",
        "normalize",
        "moments",
        "ctc_loss",
        "fft",
        "rfft",
        "irfft",
        "stft",
        "istft",
        "fft2",
        "ifft2",
        "extract_sequences",
        "dot_product_attention",
        "in_top_k",
        "scan",
        "while_loop",
        "fori_loop",
        "cond",
        "vectorized_map",
        "tanh_shrink",
        "hard_shrink",
        "soft_shrink",
        "threshold",
        "view_as_complex",
        "view_as_real",
        "segment_max",
        "convert_to_numpy",
        "sparse_plus",
        "unfold",
    ]
)
"""Operations of Keras that JAX lacks, or whose arguments differ."""
_NAME = re.compile(r"(?<![\w.])keras\.(?:ops|activations)\.(\w+)")
_SHAPE = re.compile(r"jax\.numpy\.shape\(([A-Za-z_][\w.]*)\)")


UNUSED: Final = (
    "dtype", "param_dtype", "precision", "kernel_init", "bias_init", "scale_init", "embedding_init", "dot_general",
    "promote_dtype", "kernel_metadata", "bias_metadata", "scale_metadata", "embedding_metadata", "preferred_element_type",
    "use_fast_variance", "axis_name", "axis_index_groups", "conv_general_dilated", "rng_collection", "deterministic",
    "use_running_average", "keep_rngs", "broadcast_dropout", "out_kernel_init", "out_bias_init", "qkv_dot_general",
    "out_dot_general", "recurrent_kernel_init", "carry_init", "force_fp32_for_softmax", "dot_general_cls",
    "qkv_dot_general_cls", "out_dot_general_cls", "conv_general_dilated_cls", "attention_fn", "name",
    "out_kernel_metadata", "out_bias_metadata", "query_ln_scale_metadata", "key_ln_scale_metadata",
    "query_metadata", "key_metadata", "value_metadata", "out_metadata", "mean_metadata", "var_metadata",
)  # fmt: skip
"""Arguments of stock layers that do not change what they compute."""


def nnx_layer(
    name: str, signature: str = "", *, maps: Mapping[str, Conversion | str] | None = None, **options: Any
) -> Spelling:
    """``nnx.name(signature, rngs=rngs)``, called with one array."""
    keyword_only = "rngs" if "*" in signature else "*, rngs"
    others = ", ".join(f"{argument}=..." for argument in UNUSED)
    return Spelling(
        f"flax.nnx.{name}",
        parameters(signature, keyword_only, others),
        maps={"inputs": "x", **(maps or {})},
        ignore=(*options.pop("ignore", ()), *UNUSED),
        call=options.pop("call", "inputs"),
        layer=True,
        threaded=("rngs",),
        **options,
    )


def jax_call(path: str, signature: str, **options: Any) -> Spelling:
    """A function of JAX or NNX."""
    return Spelling(path, signature, **options)


def nnx_support(name: str, signature: str = "", *, call: str = "x", **options: Any) -> Spelling:
    """A module class that the generated file defines, made with ``rngs``."""
    return Spelling(
        name,
        parameters(signature, "rngs" if "*" in signature else "*, rngs"),
        call=call,
        support=name,
        layer=True,
        read=False,
        threaded=("rngs",),
        **options,
    )


def jax_text(code: str) -> str | None:
    """Code written with ``keras.ops.…`` names, with JAX's instead; None where JAX says something otherwise."""
    if "keras.ops.image." in code or any(name in _OTHERWISE for name in _NAME.findall(code)):
        return None
    made = _NAME.sub(lambda m: _ELSEWHERE.get(m.group(1), f"jax.numpy.{m.group(1)}"), code)
    made = _SHAPE.sub(r"\1.shape", made)
    return None if re.search(r"(?<![\w.])keras\.", made) else made


def complete(op: OpDef, supports: Mapping[str, Support]) -> OpDef:
    """The op with the spellings for Flax that follow from those for Keras, where it declares none."""
    declared = list(op.spellings.get("flax", ()))
    if any(s.write for s in declared):
        return op
    made = [s for spelling in op.spellings.get("keras", ()) if (s := _derived(spelling, supports)) is not None]
    made += [s for spelling in op.spellings.get("keras", ()) for s in _only_read(spelling)]
    return replace(op, spellings={**op.spellings, "flax": [*made, *declared]}) if made else op


def _only_read(spelling: Spelling) -> list[Spelling]:
    """The forms of a function that JAX code has, beside the one that is written."""
    if spelling.layer or spelling.support or spelling.template:
        return []
    path = jax_text(spelling.path)
    if path is None:
        return []
    found = read_in_jax(replace(spelling, path=path))
    if spelling.write or not spelling.read or not spelling.path.startswith("keras.ops."):
        return found
    return found or [replace(in_jax(replace(spelling, path=path)), write=False)]


def _derived(spelling: Spelling, supports: Mapping[str, Support]) -> Spelling | None:
    if spelling.layer or not spelling.write:
        return None
    if spelling.support and "flax" not in supports[spelling.support].code:
        return None
    if spelling.template:
        text = jax_text(spelling.template)
        return None if text is None else replace(spelling, template=_idiomatic(text), read=False)
    if spelling.support:
        return replace(spelling, read=False)
    path = jax_text(spelling.path)
    return None if path is None else in_jax(replace(spelling, path=path))


def _idiomatic(template: str) -> str:
    """``jnp.astype(x, d)`` as ``x.astype(d)``, ``jnp.shape(x)`` as ``x.shape``."""
    holes = re.sub(r"\{(\w+)\}", r"__\1__", template)
    tree = _Methods().visit(ast.parse(holes, mode="eval"))
    return re.sub(r"__(\w+?)__", r"{\1}", ast.unparse(ast.fix_missing_locations(tree)))


class _Methods(Transformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match ast.unparse(node.func), node.args:
            case "jax.numpy.astype", [x, kind]:
                return ast.Call(ast.Attribute(x, "astype", ast.Load()), [kind], [])
            case "jax.numpy.shape", [x]:
                return ast.Attribute(x, "shape", ast.Load())
            case name, [ast.Name() | ast.Attribute() | ast.Subscript() as x, *rest]:
                method = name.removeprefix("jax.numpy.")
                if method == name or method not in METHODS:
                    return node
                if method == "reshape" and isinstance(rest[0], ast.Tuple):
                    rest = rest[0].elts
                return ast.Call(ast.Attribute(x, method, ast.Load()), rest, node.keywords)
        return node


def complete_support(support: Support) -> Support:
    """The definition with a text for Flax, where it follows from that for Keras."""
    code = support.code.get("keras")
    if code is None or "flax" in support.code:
        return support
    made = jax_text(code)
    return support if made is None else replace(support, code={**support.code, "flax": made})


def complete_all(ops: dict[str, OpDef], supports: dict[str, Support]) -> list[tuple[str, Spelling]]:
    """Add what follows to the whole table; gives the spellings added, with the names of their ops."""
    for name, support in supports.items():
        supports[name] = complete_support(support)
    _without_broken(supports)
    added: list[tuple[str, Spelling]] = []
    for name, op in ops.items():
        declared = set(map(id, op.spellings.get("flax", ())))
        ops[name] = complete(op, supports)
        added += [(name, s) for s in ops[name].spellings.get("flax", ()) if id(s) not in declared]
    return added


def _without_broken(supports: dict[str, Support]) -> None:
    """A definition whose required ones have no text for Flax has none either."""
    while True:
        broken = [
            name
            for name, s in supports.items()
            if "flax" in s.code and any("flax" not in supports[r].code for r in s.needs("flax"))
        ]
        if not broken:
            return
        for name in broken:
            code = {k: v for k, v in supports[name].code.items() if k != "flax"}
            supports[name] = replace(supports[name], code=code)
