"""What ops become in Flax: its own words, methods of arrays, functions in the place of layers."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from netferry.ops.lowering import lower_expression
from netferry.pivot.nodes import Op, constant


def written(name: str, *, layer: bool = False, operands: str = "x", **attributes: Any) -> str:
    """An op with literal attributes, as Flax code with full names."""
    given = {} if layer else {operand: ast.Name(operand, ast.Load()) for operand in operands.split()}
    node = Op(name, given, {k: constant(v) for k, v in attributes.items()}, layer=layer)
    return ast.unparse(ast.fix_missing_locations(lower_expression(node, "flax")))


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"kernel_size": 3, "padding": 1}, "flax.nnx.Conv(4, 6, (3, 3), rngs=rngs)"),
        ({"kernel_size": 1}, "flax.nnx.Conv(4, 6, (1, 1), rngs=rngs)"),
        ({"kernel_size": 3}, "flax.nnx.Conv(4, 6, (3, 3), padding='VALID', rngs=rngs)"),
        (
            {"kernel_size": 3, "padding": 1, "stride": 2, "padding_mode": "circular"},
            "flax.nnx.Conv(4, 6, (3, 3), strides=2, padding='CIRCULAR', rngs=rngs)",
        ),
        (
            {"kernel_size": 3, "padding": 2, "padding_mode": "replicate"},
            "flax.nnx.Sequential(functools.partial(jax.numpy.pad, pad_width=((0, 0), (2, 2), (2, 2), (0, 0)), "
            "mode='edge'), flax.nnx.Conv(4, 6, (3, 3), padding='VALID', rngs=rngs))",
        ),
    ],
)
def test_padding_of_convolutions(options: dict[str, Any], wanted: str) -> None:
    """The words that NNX has, its default left out; a layer in front for any other."""
    assert written("conv2d", layer=True, in_channels=4, out_channels=6, **options) == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"kernel_size": 4, "stride": 2, "padding": 1}, ""),
        ({"kernel_size": 2, "stride": 2}, ", padding='VALID'"),
        (
            {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
            ", padding=((1, 2), (1, 2))",
        ),
    ],
)
def test_padding_of_transposed_convolutions(options: dict[str, Any], wanted: str) -> None:
    """What PyTorch cuts off the result is, for NNX, what the stretched input lacks of the full padding."""
    made = written("conv_transpose2d", layer=True, in_channels=4, out_channels=6, **options)
    size = options["kernel_size"]
    start = f"flax.nnx.ConvTranspose(4, 6, ({size}, {size}), strides=2"
    assert made == f"{start}{wanted}, transpose_kernel=True, rngs=rngs)"


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (written("reduce_mean", axes=[1, 2]), "x.mean(axis=(1, 2))"),
        (written("reduce_std", axes=1), "x.std(axis=1, ddof=1)"),
        (written("argmax", axis=1), "x.argmax(axis=1)"),
        (written("reshape", shape=(2, -1)), "x.reshape(2, -1)"),
        (written("transpose", perm=(0, 2, 1)), "x.transpose(0, 2, 1)"),
        (written("flatten", start_axis=1), "x.reshape(x.shape[0], -1)"),
        (written("lt", operands="x other"), "x < other"),
        (written("matmul", operands="x other"), "x @ other"),
        (written("flatten", layer=True, start_axis=1), "lambda x: x.reshape(x.shape[0], -1)"),
        (written("relu", layer=True), "flax.nnx.relu"),
        (written("leaky_relu", layer=True, negative_slope=0.2), "functools.partial(flax.nnx.leaky_relu, negative_slope=0.2)"),
        (written("leaky_relu"), "flax.nnx.leaky_relu(x)"),
    ],
)  # fmt: skip
def test_idiom(made: str, wanted: str) -> None:
    """Methods and operators of arrays; functions as they are, or with their options given."""
    assert made == wanted


def test_axes_of_layer_norm() -> None:
    """A tuple of one size is that size; several need a definition."""
    assert written("layer_norm", layer=True, normalized_shape=(8,)) == "flax.nnx.LayerNorm(8, epsilon=1e-05, rngs=rngs)"
    assert written("layer_norm", layer=True, normalized_shape=(4, 8)) == "AxesNorm((4, 8))"


def test_update_in_place() -> None:
    """``x[:, 0] = value`` is a copy with a new column."""
    index = ast.parse("np.s_[:, 0]", mode="eval").body
    node = Op("index_update", {"x": ast.Name("x", ast.Load()), "index": index, "value": constant(1.0)})
    made = ast.unparse(ast.fix_missing_locations(lower_expression(node, "flax")))
    assert made == "x.at[:, 0].set(1.0)"
