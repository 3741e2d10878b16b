"""Spellings for JAX: those of layers, and those that follow from Keras's operations, which keep to NumPy's names as JAX does.

What JAX says otherwise an op declares itself; what is derived here is only written, never read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from netferry.ops.core import Conversion, OpDef, Spelling, Support
from netferry.ops.forms import parameters
from netferry.ops.jax_names import METHODS, in_jax
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


def nnx_layer(
    name: str, signature: str = "", *, maps: Mapping[str, Conversion | str] | None = None, **options: Any
) -> Spelling:
    """``nnx.name(signature, rngs=rngs)``, called with one array."""
    keyword_only = "rngs" if "*" in signature else "*, rngs"
    return Spelling(
        f"flax.nnx.{name}",
        parameters(signature, keyword_only),
        maps={"inputs": "x", **(maps or {})},
        call=options.pop("call", "inputs"),
        layer=True,
        threaded=("rngs",),
        **options,
    )


def jax_call(path: str, signature: str, **options: Any) -> Spelling:
    """A function of JAX or NNX, only written."""
    return Spelling(path, signature, read=False, **options)


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
    if any(name in _OTHERWISE for name in _NAME.findall(code)):
        return None
    made = _NAME.sub(lambda m: _ELSEWHERE.get(m.group(1), f"jax.numpy.{m.group(1)}"), code)
    made = _SHAPE.sub(r"\1.shape", made)
    return None if re.search(r"(?<![\w.])keras\.", made) else made


def complete(op: OpDef, supports: Mapping[str, Support]) -> OpDef:
    """The op with the spellings for Flax that follow from those for Keras, where it declares none."""
    if "flax" in op.spellings:
        return op
    made = [s for spelling in op.spellings.get("keras", ()) if (s := _derived(spelling, supports)) is not None]
    return replace(op, spellings={**op.spellings, "flax": made}) if made else op


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
    return None if path is None else in_jax(replace(spelling, path=path, read=False))


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


def complete_all(ops: dict[str, OpDef], supports: dict[str, Support]) -> None:
    """Add what follows to the whole table."""
    for name, support in supports.items():
        supports[name] = complete_support(support)
    _without_broken(supports)
    for name, op in ops.items():
        ops[name] = complete(op, supports)


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
