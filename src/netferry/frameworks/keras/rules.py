"""Calls of Keras and TensorFlow that are read by a rule of their own: variables, activations, shapes, casts."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from netferry.conventions import MISSING
from netferry.frameworks.keras import methods, products, raw, sizes
from netferry.frameworks.keras.activations import activation_layer, follow, rectifier
from netferry.frameworks.keras.vocabulary import callable_path, layer_of_cell
from netferry.ops import registry
from netferry.pivot.nodes import Op, Reference, constant, is_literal, literal
from netferry.reader import Reader

Rule = Callable[[Any, Reader, ast.Call], "ast.expr | object | None"]


def are_arrays(seen: Sequence[Any]) -> bool:
    return bool(seen) and all(isinstance(v, np.ndarray) for v in seen)


def _variable(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    given = dict(zip(("initial_value", "trainable"), node.args, strict=False))
    given |= {{"initializer": "initial_value"}.get(k.arg or "", k.arg or ""): k.value for k in node.keywords}
    value = given.get("initial_value")
    if value is None:
        return MISSING
    if not reader.class_name and not reader.function:
        return reader.hole(
            node, "a variable of the file belongs to no network", "keep it in an attribute of a tf.Module"
        )
    if callable(next(iter(reader.values(value)), None)) or "shape" in given:
        return MISSING
    start = reader.visit(value)
    if isinstance(value, ast.Constant | ast.List | ast.Tuple) or _is_data(reader.values(value)):
        start = Op("tensor", {}, {"data": start}, site=reader.site(value))
    return _owned(reader, node, start, given.get("trainable"))


def _is_data(seen: Sequence[Any]) -> bool:
    """Whether a value is Python's or NumPy's own, no tensor yet."""
    return bool(seen) and all(isinstance(v, bool | int | float | list | tuple | np.ndarray | np.generic) for v in seen)


def _weight(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``self.add_weight(shape=..., initializer=...)``."""
    old = bool(node.args) and isinstance(getattr(node.args[0], "value", None), str)
    order = "name shape dtype initializer regularizer trainable" if old else "shape initializer dtype trainable"
    given: dict[str, ast.expr] = dict(zip(order.split(), node.args, strict=False))
    given |= {k.arg or "": k.value for k in node.keywords}
    shape = reader.visit(given["shape"]) if "shape" in given else ast.Tuple([], ast.Load())
    value = methods.initial(reader, shape, given.get("initializer"))
    return _owned(reader, node, value, given.get("trainable"))


def _owned(reader: Reader, node: ast.Call, value: ast.expr, trainable: ast.expr | None) -> ast.expr:
    frozen = isinstance(trainable, ast.Constant) and trainable.value is False
    attributes = {} if trainable is None or frozen else {"trainable": reader.visit(trainable)}
    if isinstance(trainable, ast.Constant) and trainable.value is True:
        attributes = {}
    made = Op("buffer" if frozen else "parameter", {"x": value}, attributes, site=reader.site(node))
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    follow(reader, node, made)
    reader.counts.observed += 1
    return made


def _layout(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    return ast.copy_location(ast.Constant("channels_last"), node)


def _input(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    return Op("symbolic_input", {}, site=reader.site(node))


def _graph(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``Model(inputs, outputs)``."""
    given = dict(zip(("inputs", "outputs"), node.args, strict=False)) | {k.arg or "": k.value for k in node.keywords}
    if "inputs" not in given or "outputs" not in given:
        return MISSING
    return Op("functional_model", {n: reader.visit(given[n]) for n in ("inputs", "outputs")}, site=reader.site(node))


def _activation(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    given = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "activation"), None)
    made = None if given is None else activation_layer(reader, given)
    if made is None:
        return MISSING
    made.site = reader.site(node)
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    follow(reader, node, made)
    reader.counts.observed += 1
    return made


def _rectifier(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    made = rectifier(reader, node)
    if made is None:
        return MISSING
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return made


def _get_activation(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``activations.get(name)``: the function that it gave, or those that it gave by their names."""
    seen = {getattr(v, "__name__", ""): v for v in reader.values(node)}
    found = {n: r for n, v in seen.items() if (r := _function(reader, node, v)) is not None}
    given = node.args[0] if node.args else node.keywords[0].value
    if not found or len(found) != len(seen):
        pairs = list(zip(reader.values(node), reader.values(given), strict=False))
        return reader.visit(given) if pairs and all(a is b for a, b in pairs) else MISSING
    if len(found) == 1:
        return next(iter(found.values()))
    if not all(isinstance(v, str | None) for v in reader.values(given)):
        return MISSING
    names = {v: getattr(keras.activations.get(v), "__name__", "") for v in reader.values(given)}
    table = ast.Dict([ast.Constant(v) for v in names], [found[n] for n in names.values()])
    return ast.Subscript(table, reader.visit(given), ast.Load())


def _function(reader: Reader, node: ast.Call, function: Any) -> ast.expr | None:
    """A function as a value; the one that changes nothing is a layer elsewhere."""
    if function is keras.activations.linear:
        return Op("identity", {}, layer=True, site=reader.site(node))
    path = callable_path(function)
    return Reference(path, "", reader.site(node)) if path else None


def _backend(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``backend()``: what Keras runs on while the source is read."""
    return ast.copy_location(ast.Constant(keras.backend.backend()), node)


def _epsilon(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    return ast.copy_location(constant(keras.config.epsilon()), node)


def _cast(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``tf.cast(tf.shape(x)[-1], tf.float32)``: sizes and numbers are Python's own elsewhere, and become tensors here."""
    given = dict(zip(("x", "dtype"), node.args, strict=False)) | {k.arg or "": k.value for k in node.keywords}
    if "x" not in given or "dtype" not in given:
        return MISSING
    if not sizes.is_number(reader, given["x"]) and not are_arrays(reader.values(given["x"])):
        return MISSING
    reader.counts.observed += 1
    data = {"data": reader.visit(given["x"]), "dtype": reader.visit(given["dtype"])}
    return Op("tensor", {}, data, site=reader.site(node))


def _sizes_of(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``x.shape.as_list()``: a shape is a tuple elsewhere."""
    assert isinstance(node.func, ast.Attribute)
    return reader.visit(node.func.value)  # type: ignore[no-any-return]


def _local_response(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``tf.nn.lrn``: a sum over ``2 * depth_radius + 1`` channels, which is a mean of as many elsewhere."""
    given = dict(zip(("input", "depth_radius", "bias", "alpha", "beta"), node.args, strict=False))
    given |= {k.arg or "": k.value for k in node.keywords}
    radius = given.get("depth_radius", constant(5))
    if not is_literal(radius) or "input" not in given:
        return MISSING
    size, alpha = 2 * int(literal(radius)) + 1, given.get("alpha", constant(1.0))
    scaled = constant(literal(alpha) * size) if is_literal(alpha) else ast.BinOp(alpha, ast.Mult(), constant(size))
    attributes = {
        "size": constant(size), "alpha": reader.visit(scaled), "beta": reader.visit(given.get("beta", constant(0.5))),
        "k": reader.visit(given.get("bias", constant(1.0))),
    }  # fmt: skip
    made = Op("local_response_norm", {"x": reader.visit(given["input"])}, attributes, site=reader.site(node))
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return made


def _shape_of(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``tf.TensorShape((3, 4))`` is a tuple, and a size in it a number."""
    return reader.visit(node.args[0]) if len(node.args) == 1 and not node.keywords else MISSING


OLD_NAMES = {("keras.layers.LeakyReLU", "alpha"): "negative_slope"}
"""What arguments were called before."""
LISTS = frozenset({"trainable_variables", "trainable_weights", "non_trainable_variables", "variables", "weights"})
SHAPE_METHODS = {
    "get_shape": "tf.Tensor.get_shape", "as_list": "tensorflow.python.framework.tensor_shape.TensorShape.as_list",
}  # fmt: skip


def _slopes(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``PReLU(shared_axes=[1, 2])``: others have a slope for every place, too."""
    made = [v for v in reader.values(node) if isinstance(v, keras.layers.PReLU)]
    if any(n != 1 for v in made if v.built for n in v.alpha.shape[:-1]):
        return reader.hole(node, "PReLU has a slope for every place", "share it: PReLU(shared_axes=[1, 2])")
    return MISSING


_FUNCTIONS = tuple(
    p for n in (1, 2, 3) for name in (f"conv{n}d_with", f"max_pool{n}d", f"avg_pool{n}d")
    for framework in ("tensorflow", "keras") for s in registry.get(name).spellings[framework]
    if (p := s.path) and not s.layer and s.read and ".layers." not in p
)  # fmt: skip
"""Convolutions and pools that are given their kernels and windows at once."""


def _start(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``cell.get_initial_state(batch_size=2, dtype=tf.float32)``."""
    size = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "batch_size"), None)
    if size is None:
        return MISSING
    return ast.copy_location(ast.Call(reader.visit(node.func), [reader.visit(size)], []), node)


def _of_cell(conventions: Any, reader: Reader, node: ast.Call) -> ast.expr | object:
    """``RNN(LSTMCell(8), return_sequences=True)``: the layer of that cell."""
    given = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "cell"), None)
    callees = [*reader.callees(given), reader.static(given.func)] if isinstance(given, ast.Call) else []
    path = layer_of_cell(next(iter(callees), None))
    if path is None or not isinstance(given, ast.Call) or len(node.args) > 1:
        return MISSING
    others = [k for k in node.keywords if k.arg != "cell"]
    made = ast.copy_location(ast.Call(given.func, given.args, [*given.keywords, *others]), node)
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    made.keywords = [k for k in made.keywords if k.arg not in ("name", "unroll")]
    return reader.calls.translate(made, path, [])


RULES: dict[str, Rule] = {
    **dict.fromkeys((*_FUNCTIONS, "tf.image.extract_patches"), raw.function),
    "keras.layers.PReLU": _slopes,
    **dict.fromkeys(("keras.ops.dot", "keras.src.legacy.backend.dot"), products.dot),
    "keras.src.legacy.backend.batch_dot": products.batch_dot,
    "keras.layers.RNN": _of_cell,
    **{f"keras.{cell}.get_initial_state": _start for cell in ("LSTMCell", "GRUCell", "SimpleRNNCell")},
    SHAPE_METHODS["as_list"]: _sizes_of,
    "tf.nn.local_response_normalization": _local_response,
    "tf.framework.tensor_shape.TensorShape": _shape_of,
    "tensorflow.python.framework.tensor_shape.dimension_value": _shape_of,
    "keras.layers.ReLU": _rectifier,
    "keras.src.layers.core.input_layer.Input": _input,
    "keras.src.backend.config.image_data_format": _layout,
    "keras.Model": _graph,
    "keras.Functional": _graph,
    "keras.Layer.add_weight": _weight,
    "keras.layers.Activation": _activation,
    "tf.Variable": _variable,
    "tf.cast": _cast,
    "keras.ops.cast": _cast,
    "keras.src.legacy.backend.cast": _cast,
    "keras.src.backend.config.epsilon": _epsilon,
    "keras.src.backend.config.backend": _backend,
    "keras.activations.get": _get_activation,
    "keras.src.backend.Variable": _variable,
}
