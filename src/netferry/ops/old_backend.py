"""The functions of Keras's old ``backend`` module, only read: other names of operations that ops declare elsewhere."""

from __future__ import annotations

from netferry.ops import registry
from netferry.ops.core import Spelling

_PLAIN = {
    **{
        name: name for name in ("abs", "exp", "log", "sqrt", "square", "sin", "cos", "sign", "round", "sigmoid", "tanh")
    },
    "softplus": "softplus",
    "softsign": "softsign",
    "hard_sigmoid": "hardsigmoid",
}
_COMPARED = {"equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge"}
_REDUCED = {"sum": "reduce_sum", "mean": "reduce_mean", "max": "reduce_max", "min": "reduce_min", "prod": "reduce_prod"}
_TWO = ("maximum", "minimum")


def _spelling(name: str, signature: str, **options: object) -> Spelling:
    return Spelling(f"keras.src.legacy.backend.{name}", signature, write=False, **options)  # type: ignore[arg-type]


def _all() -> list[tuple[str, Spelling]]:
    found = [(op, _spelling(name, "x")) for name, op in _PLAIN.items()]
    found += [(name, _spelling(name, "x, y", maps={"y": "other"})) for name in _TWO]
    found += [(op, _spelling(name, "x, y", maps={"y": "other"})) for name, op in _COMPARED.items()]
    found += [
        (op, _spelling(name, "x, axis=None, keepdims=False", maps={"axis": "axes"})) for name, op in _REDUCED.items()
    ]
    return [
        *found,
        ("relu", _spelling("relu", "x, alpha=0.0, max_value=None, threshold=0.0",
                           fixed={"alpha": 0.0, "max_value": None, "threshold": 0.0})),
        ("pow", _spelling("pow", "x, a", maps={"a": "exponent"})),
        ("zeros_like", _spelling("zeros_like", "x, dtype=None, name=None", ignore=("name",))),
        ("ones_like", _spelling("ones_like", "x, dtype=None, name=None", ignore=("name",))),
        ("softmax", _spelling("softmax", "x, axis=-1")),
        ("clip", _spelling("clip", "x, min_value, max_value", maps={"min_value": "min", "max_value": "max"})),
        ("reshape", _spelling("reshape", "x, shape")),
        ("transpose", _spelling("permute_dimensions", "x, pattern", maps={"pattern": "perm"})),
        ("unsqueeze", _spelling("expand_dims", "x, axis=-1")),
        ("squeeze", _spelling("squeeze", "x, axis")),
        ("concat", _spelling("concatenate", "tensors, axis=-1", maps={"tensors": "xs"})),
        ("stack", _spelling("stack", "x, axis=0", maps={"x": "xs"})),
        ("shape", _spelling("shape", "x")),
        ("shape", _spelling("int_shape", "x")),
        ("cast", _spelling("cast", "x, dtype")),
        ("argmax", _spelling("argmax", "x, axis=-1")),
        ("cumsum", _spelling("cumsum", "x, axis=0")),
        ("reduce_std", _spelling("std", "x, axis=None, keepdims=False", maps={"axis": "axes"}, implies={"correction": 0})),
        ("reduce_var", _spelling("var", "x, axis=None, keepdims=False", maps={"axis": "axes"}, implies={"correction": 0})),
        ("normalize", _spelling("l2_normalize", "x, axis", implies={"epsilon": 1e-6})),
        ("take", _spelling("gather", "reference, indices", maps={"reference": "x"}, implies={"axis": 0})),
        ("transpose", _spelling("transpose", "x")),
        ("tile", _spelling("tile", "x, n", maps={"n": "repeats"})),
        ("arange", _spelling("arange", "start, stop=None, step=1, dtype='int32'", maps={"start": "stop"},
                             fixed={"stop": None, "step": 1, "dtype": "int32"})),
        ("arange", _spelling("arange", "start, stop, step=1, dtype='int32'", fixed={"dtype": "int32"})),
        ("zeros", _spelling("zeros", "shape, dtype=None, name=None", ignore=("name",))),
        ("ones", _spelling("ones", "shape, dtype=None, name=None", ignore=("name",))),
        ("elu", _spelling("elu", "x, alpha=1.0")),
        ("rank", _spelling("ndim", "x")),
        ("dtype_of", _spelling("dtype", "x")),
        ("stop_gradient", _spelling("stop_gradient", "variables", maps={"variables": "x"})),
        ("one_hot_float", _spelling("one_hot", "indices, num_classes", maps={"indices": "x"})),
        ("reduce_any", _spelling("any", "x, axis=None, keepdims=False", maps={"axis": "axes"})),
        ("reduce_all", _spelling("all", "x, axis=None, keepdims=False", maps={"axis": "axes"})),
        ("argmin", _spelling("argmin", "x, axis=-1")),
        ("repeat", _spelling("repeat_elements", "x, rep, axis", maps={"rep": "repeats"})),
        ("flatten", _spelling("batch_flatten", "x", implies={"start_axis": 1})),
        ("flatten", _spelling("flatten", "x")),
        ("where", _spelling("switch", "condition, then_expression, else_expression",
                            maps={"then_expression": "x", "else_expression": "y"})),
        ("add", _spelling("bias_add", "x, bias, data_format=None", maps={"bias": "other"}, fixed={"data_format": None})),
        ("normal", _spelling("random_normal", "shape, mean=0.0, stddev=1.0, dtype=None, seed=None",
                             maps={"stddev": "std"}, ignore=("dtype", "seed"))),
    ]  # fmt: skip


registry.extend(
    "swap_axes",
    "tensorflow",
    Spelling("tf.linalg.matrix_transpose", "a, name='matrix_transpose', conjugate=False", maps={"a": "x"}, ignore=("name",),
             fixed={"conjugate": False}, implies={"axis1": -2, "axis2": -1}, write=False),
)  # fmt: skip
for _name, _found in _all():
    registry.extend(_name, "keras", _found)
