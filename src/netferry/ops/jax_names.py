"""JAX's own signatures of functions whose arguments it names otherwise than Keras, and what it says with methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from netferry.ops.core import Conversion, Signature, Spelling

_NP: Final = "jax.numpy."
_REDUCE: Final = "self, axis=None, dtype=None, out=None, keepdims=False"
_SHORT: Final = "self, axis=None, out=None, keepdims=False"
_SPREAD: Final = "self, axis=None, dtype=None, out=None, ddof=0, keepdims=False"
METHODS: Final[Mapping[str, tuple[str, str, int]]] = {
    **dict.fromkeys(("sum", "mean", "prod"), (_REDUCE, "", 1)),
    **dict.fromkeys(("max", "min", "all", "any"), (_SHORT, "", 1)),
    **dict.fromkeys(("argmax", "argmin"), ("self, axis=None, out=None, keepdims=None", "", 1)),
    **dict.fromkeys(("var", "std"), (_SPREAD, "", 1)),
    **dict.fromkeys(("cumsum", "cumprod"), ("self, axis=None, dtype=None, out=None", "", 1)),
    "reshape": ("self, *args", "args=newshape", 1),
    "transpose": ("self, *args", "args=axes", 1),
    "swapaxes": ("self, axis1, axis2", "", 3),
    "squeeze": ("self, axis=None", "", 2),
    "repeat": ("self, repeats, axis=None", "", 2),
    "astype": ("self, dtype", "", 2),
}
"""Method of an array -> its signature, which of Keras's arguments its own are, how many it is given by position."""
_OVER: Final = "a, axis=None, dtype=None, out=None, keepdims=False"
FUNCTIONS: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("sum", "mean", "prod"), (_OVER, "a=x")),
    **dict.fromkeys(("max", "min", "all", "any"), ("a, axis=None, out=None, keepdims=False", "a=x")),
    **dict.fromkeys(("argmax", "argmin"), ("a, axis=None, out=None, keepdims=None", "a=x")),
    **dict.fromkeys(("var", "std"), ("a, axis=None, dtype=None, out=None, ddof=0, keepdims=False", "a=x")),
    **dict.fromkeys(("cumsum", "cumprod"), ("a, axis=None, dtype=None, out=None", "a=x")),
    "reshape": ("a, shape, order='C'", "a=x shape=newshape"),
    "transpose": ("a, axes=None", "a=x"),
    "swapaxes": ("a, axis1, axis2", "a=x"),
    "squeeze": ("a, axis=None", "a=x"),
    "repeat": ("a, repeats, axis=None", "a=x"),
    "astype": ("x, dtype", ""),
    **dict.fromkeys(("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"), ("x, y", "x=x1 y=x2")),
    "negative": ("x", ""),
    "matmul": ("a, b, *, precision=None", "a=x1 b=x2"),
}
"""Functions that are written as methods or operators -> their signatures, and which of Keras's arguments theirs are."""
_SIGNATURES: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("zeros_like", "ones_like"), ("a, dtype=None", "a=x")),
    **dict.fromkeys(("tril", "triu"), ("m, k=0", "m=x")),
    **dict.fromkeys(("dot", "inner", "outer", "kron"), ("a, b", "a=x1 b=x2")),
    **dict.fromkeys(("linalg.inv", "linalg.det", "nonzero"), ("a", "a=x")),
    "round": ("a, decimals=0", "a=x"),
    "argsort": ("a, axis=-1", "a=x"),
    "ndim": ("a", "a=x"),
    "shape": ("a", "a=x"),
    "copy": ("a", "a=x"),
    **dict.fromkeys(("real", "imag"), ("val", "val=x")),
    **dict.fromkeys(("multiply", "add", "subtract"), ("x, y", "x=x1 y=x2")),
    "array": ("object, dtype=None", "object=x"),
    "pad": ("array, pad_width, mode='constant', *, constant_values=None", "array=x"),
    **dict.fromkeys(("amax", "amin"), ("a, axis=None, out=None, keepdims=False", "a=x")),
    **dict.fromkeys(("diagonal", "trace"), ("a, offset=0, axis1=0, axis2=1", "a=x")),
    **dict.fromkeys(("maximum", "minimum", "logaddexp"), ("x, y", "x=x1 y=x2")),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), ("x, y", "x=x1 y=x2")),
    "bitwise_right_shift": ("x1, x2", "x1=x x2=y"),
    "full_like": ("a, fill_value, dtype=None", "a=x"),
    "asarray": ("a, dtype=None, order=None, *, copy=None", "a=x"),
    "clip": ("arr, min=None, max=None", "arr=x min=x_min max=x_max"),
    "nan_to_num": ("x, copy=True, nan=0.0, posinf=None, neginf=None", ""),
    "diag": ("v, k=0", "v=x"),
    "concatenate": ("arrays, axis=0, dtype=None", "arrays=xs"),
    "stack": ("arrays, axis=0, out=None, dtype=None", "arrays=x"),
    "unstack": ("x, *, axis=0", ""),
    "meshgrid": ("*xi, indexing='xy'", "xi=x"),
    "tensordot": ("a, b, axes=2", "a=x1 b=x2"),
    "cross": ("a, b, axisa=-1, axisb=-1, axisc=-1, axis=None", "a=x1 b=x2"),
    "count_nonzero": ("a, axis=None, keepdims=False", "a=x"),
    "tile": ("A, reps", "A=x reps=repeats"),
    "roll": ("a, shift, axis=None", "a=x"),
    "flip": ("m, axis=None", "m=x"),
    "where": ("condition, x, y", "x=x1 y=x2"),
    "take": ("a, indices, axis=None", "a=x"),
    "take_along_axis": ("arr, indices, axis=-1", "arr=x"),
    "moveaxis": ("a, source, destination", "a=x"),
    "expand_dims": ("a, axis", "a=x"),
    "broadcast_to": ("array, shape", "array=x"),
    "split": ("ary, indices_or_sections, axis=0", "ary=x"),
    "array_split": ("ary, indices_or_sections, axis=0", "ary=x"),
}
_ELSEWHERE: Final[Mapping[str, tuple[str, str]]] = {
    "jax.lax.stop_gradient": ("x", "x=variable"),
    "jax.lax.top_k": ("operand, k", "operand=x"),
    "flax.nnx.logsumexp": ("a, axis=None, b=None, keepdims=False", "a=x"),
    "flax.nnx.one_hot": ("x, num_classes, *, dtype=None, axis=-1", ""),
}
_SAME: Final = frozenset({"out", "order", "copy", "precision"})
"""Arguments that change no result."""
_OPERATORS: Final[Mapping[str, str]] = {
    "negative": "-{}", "matmul": "{} @ {}", "equal": "{} == {}", "not_equal": "{} != {}", "less": "{} < {}",
    "less_equal": "{} <= {}", "greater": "{} > {}", "greater_equal": "{} >= {}",
}  # fmt: skip
"""What arrays say with operators."""


def in_jax(spelling: Spelling) -> Spelling:
    """A spelling with Keras's argument names for a function of JAX, with those of JAX; or a method, or an operator."""
    name = spelling.path.removeprefix(_NP)
    known = spelling.path.startswith(_NP)
    if known and name in _OPERATORS:
        return _operator(spelling, _OPERATORS[name])
    if known and name in METHODS:
        signature, renamed, positional = METHODS[name]
        first = spelling.parsed.names[0]
        made = _named(spelling, signature, f"self={first} {renamed}")
        return replace(made, path=f"jax.Array.{name}", kind="method", positional=positional)
    own = _SIGNATURES.get(name) if known else _ELSEWHERE.get(spelling.path)
    return spelling if own is None else _named(spelling, *own)


def read_in_jax(spelling: Spelling) -> list[Spelling]:
    """Further forms in which JAX has what a spelling with Keras's names says, only read."""
    name = spelling.path.removeprefix(_NP)
    if name == spelling.path or not spelling.read:
        return []
    if name not in FUNCTIONS:
        return []
    return [replace(_named(spelling, *FUNCTIONS[name]), write=False)]


def _operator(spelling: Spelling, text: str) -> Spelling:
    conversions = [spelling.conversion(name) for name in spelling.parsed.names]
    operands = [f"{{{c.attribute}}}" for c in conversions if c is not None]
    return Spelling("", template=text.format(*operands), read=False, when=spelling.when)


def _named(spelling: Spelling, signature: str, renamed: str) -> Spelling:
    theirs = dict(pair.split("=") for pair in renamed.split())
    maps: dict[str, Conversion | str] = {}
    ignore: list[str] = []
    fixed: dict[str, Any] = {}
    for name, parameter in ((p.name, p) for p in Signature.parse(signature).parameters):
        known = theirs.get(name, name)
        if known in spelling.ignore or name in _SAME:
            ignore.append(name)
        elif known not in spelling.parsed:
            fixed[name] = parameter.default
        elif known in spelling.fixed:
            fixed[name] = spelling.fixed[known]
        else:
            maps[name] = spelling.maps.get(known, known)
    if "keepdims" in maps and Signature.parse(signature)["keepdims"].default is None:
        maps["keepdims"] = Conversion("keepdims", "bool({})", "{} or None")
    return replace(spelling, signature=signature, maps=maps, ignore=tuple(ignore), fixed=fixed)
