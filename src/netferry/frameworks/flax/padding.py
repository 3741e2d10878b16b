"""How JAX and NNX say padding: a word, a number, or a pair for every axis."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from netferry.conventions import MISSING
from netferry.pivot.nodes import Op, constant, is_literal, literal
from netferry.reader import Reader

_WORDS = {"SAME": "same", "VALID": 0, "CAUSAL": "causal"}
_FILLS = {"CIRCULAR": "circular", "REFLECT": "reflect"}
_TRANSPOSED = ("flax.nnx.ConvTranspose", "flax.linen.ConvTranspose")
_CONVOLUTIONS = {"flax.nnx.Conv": 2, "flax.linen.Conv": 1}
"""Convolutions, and where they take the size of their kernel by position."""
_AVERAGED = ("inputs", "window_shape", "strides", "padding", "count_include_pad")
"""The arguments of ``nnx.avg_pool``."""
_POOLS = ("flax.nnx.max_pool", "flax.nnx.avg_pool")


def padded(reader: Reader, node: ast.Call, path: str) -> ast.expr | object:
    """A convolution, its padding in canonical words; pairs that differ are padded in front of it."""
    if path in _TRANSPOSED:
        node.keywords = [
            k for k in node.keywords if not (k.arg in ("strides", "kernel_dilation") and _is_none(k.value))
        ]
    if path not in _CONVOLUTIONS:
        return MISSING
    given = next((k for k in node.keywords if k.arg == "padding"), None)
    node.keywords = [k for k in node.keywords if not (k.arg == "strides" and _is_none(k.value))]
    if given is None and not reader.calls.is_direct(node, reader.callees(node)):
        return MISSING  # What is handed in holds it.
    value = _value(reader, given.value) if given is not None else "SAME"
    rank = _rank(reader, node, "kernel_size", _CONVOLUTIONS[path])
    if value is MISSING or rank is None:
        return MISSING
    word = _word(value, rank)
    if isinstance(word, list):
        _set(node, constant(0))
        made = reader.calls.translate(node, path, [])
        return _behind(reader, node, word, rank, made)
    _set(node, constant(word))
    return MISSING


def pooled(reader: Reader, node: ast.Call, path: str) -> ast.expr | object:
    """Pooling, likewise."""
    if path not in _POOLS:
        return MISSING
    given = node.args[3] if len(node.args) > 3 else next((k.value for k in node.keywords if k.arg == "padding"), None)
    value = _value(reader, given) if given is not None else "VALID"
    rank = _rank(reader, node, "window_shape", 1)
    if value is MISSING or rank is None:
        return MISSING
    word = _word(value, rank)
    if isinstance(word, list):
        return MISSING
    if word == "same" and path.endswith("avg_pool"):
        word = _counted(reader, node, rank)
        if word is None:
            return reader.hole(node, "an average that counts as many zeros as the size of the input asks for")
    if len(node.args) < 3 and not any(k.arg == "strides" and not _is_none(k.value) for k in node.keywords):
        node.keywords = [*(k for k in node.keywords if k.arg != "strides"), ast.keyword("strides", constant(1))]
    del node.args[3:4]
    _set(node, constant(word))
    return MISSING


def _counted(reader: Reader, node: ast.Call, rank: int) -> Any:
    """``same`` averages count what they pad, if not told otherwise: then the padding is said in numbers, where it is even."""
    given = {k.arg: k.value for k in node.keywords if k.arg} | dict(zip(_AVERAGED, node.args, strict=False))
    if "count_include_pad" in given and _value(reader, given["count_include_pad"]) is False:
        return "same"
    steps = _value(reader, given["strides"]) if "strides" in given else None
    sizes = _value(reader, given["window_shape"])
    if sizes is MISSING or steps not in (None, 1, (1,) * rank, [1] * rank):
        return None
    halves = [size // 2 for size in sizes if size % 2]
    if len(halves) < rank:
        return None
    return halves[0] if len(set(halves)) == 1 else tuple(halves)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _value(reader: Reader, node: ast.expr) -> Any:
    """The value of an argument: a literal, or what it always was."""
    if is_literal(node):
        return literal(node)
    seen = reader.values(node)
    return seen[0] if seen and all(v == seen[0] for v in seen) else MISSING


def _rank(reader: Reader, node: ast.Call, name: str, position: int) -> int | None:
    """How many axes the windows have."""
    given = next((k.value for k in node.keywords if k.arg == name), None)
    if given is None and position < len(node.args):
        given = node.args[position]
    if isinstance(given, ast.Tuple | ast.List):
        return len(given.elts)
    value = _value(reader, given) if given is not None else MISSING
    if isinstance(value, int):
        return 1
    return len(value) if isinstance(value, list | tuple) else None


def _word(value: Any, rank: int) -> Any:
    """A word, a number or a number for each axis; a list of pairs where the sides of an axis differ."""
    if isinstance(value, str):
        return _WORDS.get(value.upper(), value)
    if isinstance(value, int):
        return value
    pairs = [tuple(p) if isinstance(p, Sequence) else (p, p) for p in value]
    if len(pairs) == 1 and rank > 1:
        pairs = pairs * rank
    if any(a != b for a, b in pairs):
        return pairs
    sizes = tuple(a for a, _ in pairs)
    return sizes[0] if len(set(sizes)) == 1 else sizes


def _set(node: ast.Call, value: ast.expr) -> None:
    node.keywords = [*(k for k in node.keywords if k.arg != "padding"), ast.keyword("padding", value)]


def _behind(reader: Reader, node: ast.Call, pairs: list[tuple[int, int]], rank: int, made: Any) -> ast.expr:
    """Zeros around the data, and what is applied to these."""
    sides = tuple(side for pair in reversed(pairs) for side in pair)
    pad = Op(f"pad{rank}d", {}, {"padding": constant(sides)}, layer=True, site=reader.site(node))
    return Op("sequential", {"layers": ast.List([pad, made], ast.Load())}, layer=True, site=reader.site(node))
