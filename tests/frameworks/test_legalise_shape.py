"""What the run told about ranks, sizes and types makes the written code plain."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from netferry.ops.lowering import lower_expression
from netferry.pivot.facts import Event, Site, Tensor
from netferry.pivot.nodes import Op, constant


def tensor(*shape: int, dtype: str = "float32") -> Tensor:
    """The fact of a tensor."""
    return Tensor(0, shape, dtype)


def written(framework: str, name: str, x: str, args: tuple[Any, ...], result: Any, **attributes: Any) -> str:
    """The code for an op that was observed once."""
    operands = {"x": ast.parse(x, mode="eval").body} if x else {}
    given = {k: v if isinstance(v, ast.expr) else constant(v) for k, v in attributes.items()}
    node = Op(name, operands, given, site=Site("", 0, 0, 0, [Event(0, 0, "", args, result=result)]))
    return ast.unparse(ast.fix_missing_locations(lower_expression(node, framework)))


X, HALF, QUARTER, THIRD = tensor(2, 6, 4), tensor(2, 6, 2), tensor(2, 6, 1), tensor(2, 3, 4)
FLOATX = "dtype=tf.keras.config.floatx()"


@pytest.mark.parametrize(
    ("framework", "name", "x", "args", "result", "attributes", "code"),
    [
        ("tensorflow", "swap_axes", "x", (X,), X, {"axis1": 0, "axis2": 1}, "tf.transpose(x, (1, 0, 2))"),
        ("tensorflow", "swap_axes", "x", (X,), X, {"axis1": 1, "axis2": 2}, "tf.linalg.matrix_transpose(x)"),
        ("keras", "swap_axes", "x", (X,), X, {"axis1": 1, "axis2": 2}, "keras.ops.swapaxes(x, 1, 2)"),
        ("tensorflow", "moveaxis", "x", (X,), X, {"source": 0, "destination": -1}, "tf.transpose(x, (1, 2, 0))"),
        ("keras", "squeeze", "x", (tensor(2, 1),), tensor(2), {"axis": 1}, "keras.ops.squeeze(x, axis=1)"),
        ("keras", "squeeze", "f(x)", (X,), X, {"axis": 1}, "f(x)"),
        (
            "keras",
            "chunk",
            "x",
            (X,),
            [HALF] * 2,
            {"chunks": 2, "axis": -1},
            "keras.ops.split(x, 2, axis=-1)",
        ),
        ("tensorflow", "chunk", "x", (X,), [X, QUARTER], {"chunks": 2, "axis": -1}, "chunk(x, 2, axis=-1)"),
        (
            "tensorflow",
            "split_size",
            "f(x)",
            (X,),
            [HALF] * 2,
            {"size": 2, "axis": 2},
            "tf.split(f(x), 2, axis=2)",
        ),
        (
            "tensorflow",
            "split_size",
            "x",
            (X,),
            [THIRD] * 2,
            {"size": 3, "axis": 1},
            "split_size(x, 3, axis=1)",
        ),
        ("keras", "split", "x", (X,), [], {"sections": (1, 2, 3), "axis": 1}, "keras.ops.split(x, [1, 3], axis=1)"),
        ("tensorflow", "tile", "x", (X,), X, {"repeats": (3, 1, 1, 2)}, "tf.tile(x[None], (3, 1, 1, 2))"),
        (
            "tensorflow",
            "flatten",
            "x",
            (X,),
            X,
            {"start_axis": 0, "end_axis": 1},
            "tf.reshape(x, (-1, tf.keras.ops.shape(x)[2]))",
        ),
        ("tensorflow", "arange", "", (5,), tensor(5, dtype="int64"), {"stop": 5}, "tf.range(5, dtype=tf.int64)"),
        (
            "tensorflow",
            "tensor",
            "",
            (0.5,),
            tensor(),
            {"data": 0.5},
            f"tf.constant(0.5, {FLOATX})",
        ),
        ("keras", "topk", "x", (X,), (X, X), {"k": 2, "axis": 2}, "keras.ops.top_k(x, 2)"),
    ],
)
def test_observed(
    framework: str, name: str, x: str, args: Any, result: Any, attributes: dict[str, Any], code: str
) -> None:
    assert written(framework, name, x, args, result, **attributes) == code


def test_an_expanded_axis_of_one_is_repeated() -> None:
    shape = ast.parse("(b, -1, -1)", mode="eval").body
    args = (tensor(1, 1, 8), 4, -1, -1)
    assert written("keras", "expand", "x", args, X, shape=shape) == "keras.ops.tile(x, (b, 1, 1))"


def test_a_kept_size_is_read() -> None:
    shape = ast.parse("(b, 3, -1)", mode="eval").body
    assert written("tensorflow", "expand", "x", (tensor(4), 2, 3, -1), X, shape=shape) == (
        "tf.broadcast_to(x, (b, 3, x.shape[-1]))"
    )
    assert written("tensorflow", "expand", "f(x)", (tensor(4), 2, 3, -1), X, shape=shape) == "expand(f(x), (b, 3, -1))"


def test_an_operand_that_is_written_twice_is_computed_once() -> None:
    node = Op("flatten", {"x": ast.parse("f(x)", mode="eval").body}, {"start_axis": constant(1)})
    code = ast.unparse(ast.fix_missing_locations(lower_expression(node, "tensorflow")))
    assert code == "tf.reshape((x_value := f(x)), (-1, math.prod(x_value.shape[1:])))"
