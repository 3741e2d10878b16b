"""What only JAX says of operations that others name otherwise: read, never written."""

from __future__ import annotations

from typing import Any

from netferry.ops.core import Spelling, values
from netferry.ops.registry import extend

_NUMPY = "jax.numpy."
_PADS = values("mode", {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"})
_LAX = "jax.lax."


def _function(op: str, path: str, signature: str, **options: Any) -> None:
    extend(op, "flax", Spelling(path, signature, write=False, **options))


def _method(op: str, name: str, signature: str = "self", **options: Any) -> None:
    maps = {"self": "x", **options.pop("maps", {})}
    extend(op, "flax", Spelling(f"jax.Array.{name}", signature, maps=maps, kind="method", write=False, **options))


def _property(op: str, name: str) -> None:
    extend(op, "flax", Spelling(f"jax.Array.{name}", "self", maps={"self": "x"}, kind="attribute", write=False))


for _name in [
    "abs",
    "exp",
    "log",
    "log1p",
    "expm1",
    "sin",
    "cos",
    "tan",
    "tanh",
    "sqrt",
    "sign",
    "floor",
    "ceil",
    "square",
    "erfc",
]:
    _function(_name, f"{_LAX}{_name}", "x")
for _name, _op in {"neg": "neg", "logistic": "sigmoid", "reciprocal": "reciprocal", "round": "round"}.items():
    _function(_op, f"{_LAX}{_name}", "x")
for _name, _op in {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "max": "maximum", "min": "minimum",
    "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge",
}.items():  # fmt: skip
    _function(_op, f"{_LAX}{_name}", "x, y", maps={"y": "other"})
_function("pow", f"{_LAX}pow", "x, y", maps={"y": "exponent"})
_function(
    "where", f"{_LAX}select", "pred, on_true, on_false", maps={"pred": "condition", "on_true": "x", "on_false": "y"}
)
_function("concat", f"{_LAX}concatenate", "operands, dimension", maps={"operands": "xs", "dimension": "axis"})
_function("concat", f"{_NUMPY}concat", "arrays, /, *, axis=0", maps={"arrays": "xs"})
_function(
    "narrow", f"{_LAX}dynamic_slice_in_dim", "operand, start_index, slice_size, axis=0",
    maps={"operand": "x", "start_index": "start", "slice_size": "length"},
)  # fmt: skip
_function("transpose", f"{_LAX}transpose", "operand, permutation", maps={"operand": "x", "permutation": "perm"})
_function("reshape", f"{_LAX}reshape", "operand, new_sizes", maps={"operand": "x", "new_sizes": "shape"})
_function("unsqueeze", f"{_LAX}expand_dims", "array, dimensions", maps={"array": "x", "dimensions": "axis"})
_function("transpose", f"{_NUMPY}permute_dims", "a, /, axes", maps={"a": "x", "axes": "perm"})
_function("pow", f"{_NUMPY}float_power", "x, y", maps={"y": "exponent"})
_function("remainder", f"{_NUMPY}remainder", "x1, x2", maps={"x1": "x", "x2": "other"})
_function("full", f"{_LAX}full", "shape, fill_value, dtype=None", maps={"fill_value": "value"})
_function("hypot", f"{_NUMPY}hypot", "x1, x2", maps={"x1": "x", "x2": "other"})
_function("flatten", f"{_NUMPY}ravel", "a, order='C'", maps={"a": "x"}, fixed={"order": "C"})
_function(
    "pad_axes",
    f"{_NUMPY}pad",
    "array, pad_width, mode='constant', *, constant_values=0",
    maps={"array": "x", "pad_width": "pads", "constant_values": "value", "mode": _PADS},
    template="jax.numpy.pad({x}, {pads}, mode={mode}, constant_values={value})",  # Its own signature hides the value.
)
_method("flatten", "flatten")
_method("flatten", "ravel")
_method("clip", "clip", "self, min=None, max=None")
_method("dot", "dot", "self, b", maps={"b": "other"})
_method("round", "round")
_method("item", "item")
_method("take", "take", "self, indices, axis=None")
_method("diagonal", "diagonal", "self, offset=0, axis1=0, axis2=1")
_method("argsort", "argsort", "self, axis=-1")
_method("identity", "copy")
_property("shape", "shape")
_property("rank", "ndim")
_property("dtype_of", "dtype")
_property("real", "real")
_property("imag", "imag")

# -- random numbers: their keys are handed from call to call, which nobody else does ---------------------------------
_SHAPED = "key, shape=(), dtype=..."
for _op, _name in {"randn": "normal", "rand": "uniform"}.items():
    _function(_op, f"jax.random.{_name}", _SHAPED, ignore=("key", "dtype"))
_function(
    "uniform", "jax.random.uniform", f"{_SHAPED}, minval=0.0, maxval=1.0", maps={"minval": "low", "maxval": "high"},
    ignore=("key", "dtype"),
)  # fmt: skip
_function(
    "randint", "jax.random.randint", "key, shape, minval, maxval, dtype=...", maps={"minval": "low", "maxval": "high"},
    ignore=("key", "dtype"),
)  # fmt: skip
_function("randperm", "jax.random.permutation", "key, x", maps={"x": "n"}, ignore=("key",))

# -- NumPy's names whose ops others write in several calls -------------------------------------------------------------
_SPREAD = "a, axis=None, dtype=None, out=None, ddof=0, keepdims=False"
for _name in ("var", "std"):
    _function(
        f"reduce_{_name}", f"{_NUMPY}{_name}", _SPREAD, maps={"a": "x", "axis": "axes", "ddof": "correction"},
        ignore=("dtype", "out"),
    )  # fmt: skip
_function(
    "vector_norm", f"{_NUMPY}linalg.norm", "x, ord=None, axis=None, keepdims=False",
    maps={"axis": "axes", "ord": values("ord", {None: 2})},  # a given order makes matrix norms of two axes
)  # fmt: skip
_function("vstack", f"{_NUMPY}vstack", "tup, dtype=None", maps={"tup": "xs"}, ignore=("dtype",))
_function("hstack", f"{_NUMPY}hstack", "tup, dtype=None", maps={"tup": "xs"}, ignore=("dtype",))
_function("real", f"{_NUMPY}real", "val", maps={"val": "x"})
_function("shape", f"{_NUMPY}shape", "a", maps={"a": "x"})
_function("hardtanh", "jax.nn.hard_tanh", "x")
_function("squeeze", f"{_LAX}squeeze", "array, dimensions", maps={"array": "x", "dimensions": "axis"})
_function("flip", f"{_LAX}rev", "operand, dimensions", maps={"operand": "x", "dimensions": "axes"})
_function("cumsum", f"{_LAX}cumsum", "operand, axis=0, reverse=False", maps={"operand": "x"}, fixed={"reverse": False})
_function("clip", f"{_LAX}clamp", "min, x, max")
_function("cast", f"{_LAX}convert_element_type", "operand, new_dtype", maps={"operand": "x", "new_dtype": "dtype"})
_function("matmul", f"{_LAX}batch_matmul", "lhs, rhs", maps={"lhs": "x", "rhs": "other"})
_function("matmul", f"{_LAX}dot", "lhs, rhs", maps={"lhs": "x", "rhs": "other"})
_function("pow", f"{_LAX}integer_pow", "x, y", maps={"y": "exponent"})
