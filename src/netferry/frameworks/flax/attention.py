"""Attention as NNX says it: sizes of all heads together, keys and values that may be left out."""

from __future__ import annotations

import ast
from typing import Any, Final

from netferry.conventions import MISSING
from netferry.ops import registry
from netferry.ops.binding import CannotBind
from netferry.pivot.copying import copied
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op, constant, is_literal, literal
from netferry.reader import Reader

PATH = "flax.nnx.MultiHeadAttention"
_GIVEN = ("num_heads", "in_features", "qkv_features", "out_features", "num_kv_heads", "in_kv_features")
_CALLED = ("inputs_q", "inputs_k", "inputs_v")


def sized(reader: Reader, node: ast.Call) -> ast.expr | object:
    """The layer with the size of each head, and with those of keys and values."""
    node.keywords = [*(ast.keyword(n, a) for n, a in zip(_GIVEN, node.args, strict=False)), *node.keywords]
    node.args = []
    given = {k.arg: k for k in node.keywords}
    heads, inputs = given["num_heads"].value, given["in_features"].value
    whole = given["qkv_features"].value if _is_given(given.get("qkv_features")) else inputs
    given["qkv_features"] = ast.keyword("qkv_features", _each(whole, heads))
    if not _is_given(given.get("in_kv_features")):
        given["in_kv_features"] = ast.keyword("in_kv_features", copied(inputs))
    node.keywords = list(given.values())
    keys = reader.visit(copied(given["in_kv_features"].value))
    for op, spelling in registry.find(PATH):
        try:
            made = reader.calls.op(node, op, spelling, reader.callees(node))
        except CannotBind as error:
            return reader.hole(node, f"{PATH}: {error}")
        made.attributes.append(ast.keyword("key_size", keys))  # type: ignore[attr-defined]
        reader.counts.observed += 1
        return made
    return MISSING


def _is_given(keyword: ast.keyword | None) -> bool:
    return keyword is not None and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None)


def _each(whole: ast.expr, heads: ast.expr) -> ast.expr:
    if is_literal(whole) and is_literal(heads):
        return constant(literal(whole) // literal(heads))
    return ast.BinOp(copied(whole), ast.FloorDiv(), copied(heads))


def complete(node: ast.Call, path: str) -> None:
    """Say what keys and values are: where they are left out, the queries are both, and keys are values."""
    if path != PATH and path.removeprefix("flax.linen.") not in LINEN:
        return
    if path.endswith(".SelfAttention") and len(node.args) > 1:  # It takes a mask after its only input.
        node.keywords.append(ast.keyword("mask", node.args[1]))
        node.args = node.args[:1]
    node.keywords = [*(ast.keyword(n, a) for n, a in zip(_CALLED, node.args, strict=False)), *node.keywords]
    node.args = []
    node.keywords = [k for k in node.keywords if k.arg not in ("sow_weights", "decode") and _is_given(k)]
    given = {k.arg: k.value for k in node.keywords}
    query, key = given["inputs_q"], given.get("inputs_k")
    value = given.get("inputs_v", key)
    if value is None:
        value = copied(query)
        if not isinstance(query, ast.Name | ast.Attribute):
            given["inputs_q"] = ast.NamedExpr(ast.Name("query", ast.Store()), query)
            value = ast.Name("query", ast.Load())
    given["inputs_v"] = value
    if key is not None and ast.unparse(key) == ast.unparse(value):
        del given["inputs_k"]
    order = ("inputs_q", "inputs_v", "inputs_k")
    node.keywords = [ast.keyword(n, given[n]) for n in order if n in given]
    node.keywords += [ast.keyword(n, v) for n, v in given.items() if n not in order]


LINEN: Final = ("MultiHeadDotProductAttention", "MultiHeadAttention", "SelfAttention")
"""Linen's layers of attention, which learn the sizes of their inputs from these."""


def sized_alone(reader: Reader, node: ast.Call) -> ast.expr | object:
    """Linen's layer with the size of each head, which without one for all follows from what it is called with."""
    given = {k.arg: k for k in node.keywords}
    path = f"flax.linen.{getattr((reader.callees(node) or [None])[0], '__name__', 'SelfAttention')}"
    whole = given["qkv_features"].value if _is_given(given.get("qkv_features")) else _width(reader, node)
    heads = node.args[0] if node.args else given["num_heads"].value
    if whole is None:
        return MISSING
    node.keywords = [k for k in node.keywords if k.arg != "qkv_features"]
    node.keywords.append(ast.keyword("qkv_features", _each(whole, heads)))
    for op, spelling in registry.find(path):
        try:
            made = reader.calls.op(node, op, spelling, reader.callees(node))
        except CannotBind as error:
            return reader.hole(node, f"{path}: {error}")
        reader.counts.observed += 1
        return made
    return MISSING


def _width(reader: Reader, node: ast.Call) -> ast.expr | None:
    """The size of the queries that the layers made here were called with, where it is one."""
    made = {id(v) for v in reader.values(node)}
    events = [e for e in reader.facts.events if e.instance in made]
    found = {e.args[0].shape[-1] for e in events if e.args and isinstance(e.args[0], Tensor)}
    return constant(found.pop()) if len(found) == 1 else None


_PAIRWISE: Final = {
    "jax.numpy.multiply": "and", "jax.numpy.logical_and": "and", "jax.numpy.equal": "equal",
    "jax.numpy.greater_equal": "greater_equal",
}  # fmt: skip
_BOTH: Final = ("query_input", "key_input", "pairwise_fn")


def pair_mask(reader: Reader, node: ast.Call) -> ast.expr | object:
    """``make_attention_mask(q, k, jnp.equal)``: the function by its name."""
    given = dict(zip(_BOTH, node.args, strict=False)) | {k.arg or "": k.value for k in node.keywords}
    if "key_input" not in given or given.keys() - {*_BOTH, "dtype"}:
        return MISSING
    function = given.get("pairwise_fn")
    seen = [reader.static(function), *reader.values(function)] if function is not None else []
    paths = {reader.conventions.path(v) for v in seen if v is not MISSING} or {"jax.numpy.multiply"}
    names = {_PAIRWISE.get(p or "") for p in paths}
    if len(names) != 1 or None in names:
        return MISSING
    operands = {"x": reader.visit(given["query_input"]), "other": reader.visit(given["key_input"])}
    return _made(reader, node, Op("pair_mask", operands, {"pairwise": constant(names.pop())}))


def product(reader: Reader, node: ast.Call) -> ast.expr | object:
    """Attention over (batch, length, heads, features); elsewhere heads come before lengths."""
    names = ("query", "key", "value", "bias", "mask")
    given = dict(zip(names, node.args, strict=False)) | {k.arg or "": k.value for k in node.keywords}
    given = {
        n: v for n, v in given.items() if n not in _UNUSED and not (isinstance(v, ast.Constant) and v.value is None)
    }
    rate = given.pop("dropout_rate", None)
    if given.keys() - {"query", "key", "value", "mask", "scale", "is_causal"} or not _ranks(reader, given["query"]) <= {
        4
    }:
        return MISSING
    operands: dict[str, Any] = {n: _turned(reader.visit(given[n])) for n in ("query", "key", "value")}
    if "mask" in given:
        operands["attn_mask"] = _as_bool(reader, given["mask"])
    attributes: dict[str, ast.expr] = {n: reader.visit(given[n]) for n in ("scale", "is_causal") if n in given}
    if rate is not None and not (is_literal(rate) and literal(rate) == 0.0):
        training = Op("is_training", {})
        attributes["dropout_p"] = ast.IfExp(training, reader.visit(rate), constant(0.0))
    return _turned(_made(reader, node, Op("scaled_dot_product_attention", operands, attributes)))


_UNUSED: Final = frozenset({
    "broadcast_dropout", "dropout_rng", "deterministic", "dtype", "precision", "module", "promote_dtype", "implementation",
    "force_fp32_for_softmax", "einsum_dot_general", "qk_attn_weights_einsum", "attn_weights_value_einsum",
})  # fmt: skip


def _ranks(reader: Reader, node: ast.expr) -> set[int]:
    return {len(v.shape) for v in reader.values(node) if isinstance(v, Tensor)}


def _turned(value: ast.expr) -> Op:
    return Op("swap_axes", {"x": value}, {"axis1": constant(1), "axis2": constant(2)})


def _as_bool(reader: Reader, node: ast.expr) -> ast.expr:
    """A mask as truth values."""
    seen = [v for v in reader.values(node) if isinstance(v, Tensor)]
    made = reader.visit(node)
    plain = bool(seen) and all(v.dtype == "bool" for v in seen)
    return made if plain else Op("cast", {"x": made}, {"dtype": constant("bool")})


def _made(reader: Reader, node: ast.Call, made: Op) -> Op:
    made.site = reader.site(node)
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return made
