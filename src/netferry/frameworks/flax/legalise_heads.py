"""Attention in several heads as NNX's own layer: the size of all heads together, one mask, keys before values."""

from __future__ import annotations

import ast
from collections.abc import Callable

from netferry.ops.lowering import CannotWrite, dotted, is_simple
from netferry.pivot.copying import copied
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import LayerCall, Op, constant, is_literal, literal

NAME = "attention_heads"
_OTHERS = ("value_mask", "return_attention_scores")


def legalise(node: Op, framework: str) -> ast.expr:
    """The size of all heads together."""
    heads, each = node.attribute("num_heads"), node.attribute("key_dim")
    sizes = {ast.unparse(s) for n in ("key_size", "value_size") if (s := node.attribute(n)) is not None}
    if heads is None or each is None or len(sizes) > 1:
        raise CannotWrite("keys and values of different sizes have no equivalent")
    both = is_literal(heads) and is_literal(each)
    whole = constant(literal(heads) * literal(each)) if both else ast.BinOp(heads, ast.Mult(), each)
    same = ast.unparse(node.attribute("value_size") or heads) == ast.unparse(node.attribute("query_size") or each)
    return node.replace(attributes={"key_dim": whole, **({"value_size": None} if same else {})})


def called(node: LayerCall) -> ast.expr:
    """The call: what is left out stands for what is before it."""
    for name in _OTHERS:
        given = node.operand(name)
        if given is not None and not (is_literal(given) and not literal(given)):
            raise CannotWrite(f"attention with {name} has no equivalent")
    query, value, key = (node.operand(name) for name in ("query", "value", "key"))
    assert query is not None and value is not None
    args = [query, key or value, *([value] if key is not None else [])]
    while len(args) > 1 and ast.unparse(args[-1]) == ast.unparse(args[-2]):
        args.pop()
    masks = [m for m in (_mask(node), _causal(node, query)) if m is not None]
    mask = masks[0] if len(masks) == 1 else ast.Call(dotted("flax.nnx.combine_masks"), masks, [])
    return ast.Call(node.callee, args, [ast.keyword("mask", mask)] if masks else [])


def _mask(node: LayerCall) -> ast.expr | None:
    """A mask of pairs of places in every sample is the same for all heads."""
    given = node.operand("attention_mask")
    if given is None or (is_literal(given) and literal(given) is None):
        return None
    seen = [e.kwargs.get("attention_mask") for e in (node.site.events if node.site else ())]
    ranks = {len(m.shape) for m in seen if isinstance(m, Tensor)}
    if ranks in ({2}, {4}):
        return given
    if ranks != {3}:
        raise CannotWrite("attention with a mask of other axes than of its queries and values has no equivalent")
    whole = ast.Slice(None, None)
    return ast.Subscript(given, ast.Tuple([whole, constant(None)], ast.Load()), ast.Load())


def _causal(node: LayerCall, query: ast.expr) -> ast.expr | None:
    """What lets every place look at those before it."""
    asked = node.operand("use_causal_mask")
    if asked is None or (is_literal(asked) and not literal(asked)):
        return None
    if not is_literal(asked) or not is_simple(query):
        raise CannotWrite("attention that looks back where it is told to has no equivalent")
    first = ast.Subscript(copied(query), ast.Tuple([ast.Constant(...), constant(0)], ast.Load()), ast.Load())
    return ast.Call(dotted("flax.nnx.make_causal_mask"), [first], [])


LEGALISATIONS: dict[str, Callable[[Op, str], ast.expr]] = {NAME: legalise}
