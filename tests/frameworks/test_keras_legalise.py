"""Which padding Keras has a word for, and what becomes of the rest."""

from __future__ import annotations

import ast

import pytest

from netferry.ops.lowering import CannotWrite, lower_expression
from netferry.pivot.facts import Event, Site
from netferry.pivot.nodes import Op


def _op(name: str, *, layer: bool = True, seen: dict[str, object] | None = None, **texts: str) -> Op:
    """An op whose attributes are expressions; ``seen`` are values that the run passed to the layer."""
    operands = (
        {} if layer else {k: ast.Name(k, ast.Load()) for k in ("x", *(["weight"] if name.endswith("_with") else []))}
    )
    attributes = {k: ast.parse(text, mode="eval").body for k, text in texts.items()}
    event = Event(0, 0, "torch.nn.Conv2d", kwargs=seen or {})
    return Op(name, operands, attributes, layer=layer, site=Site("f.py", 1, 0, 0, [event] if seen else []))


def _written(op: Op) -> str:
    return ast.unparse(ast.fix_missing_locations(lower_expression(op, "keras"))).replace("keras.layers.", "")


_CONV = {"in_channels": "8", "out_channels": "16"}
_PADDED = "keras.Sequential([ZeroPadding2D({}), Conv2D(16, {})])"


@pytest.mark.parametrize(
    ("kernel", "more", "written"),
    [
        ("3", {}, "Conv2D(16, 3)"),
        ("3", {"padding": "0"}, "Conv2D(16, 3)"),
        ("3", {"padding": "(0, 0)"}, "Conv2D(16, 3)"),
        ("3", {"padding": "'valid'"}, "Conv2D(16, 3)"),
        ("4", {"padding": "'same'"}, "Conv2D(16, 4, padding='same')"),
        ("3", {"padding": "1"}, "Conv2D(16, 3, padding='same')"),
        ("(1, 7)", {"padding": "(0, 3)"}, "Conv2D(16, (1, 7), padding='same')"),
        ("3", {"padding": "2", "dilation": "2"}, "Conv2D(16, 3, padding='same', dilation_rate=2)"),
        ("3", {"padding": "rate", "dilation": "rate"}, "Conv2D(16, 3, padding='same', dilation_rate=rate)"),
        ("3", {"padding": "1", "stride": "2"}, _PADDED.format("", "3, strides=2").replace("2D()", "2D()")),
        ("3", {"padding": "1", "stride": "s"}, _PADDED.format("", "3, strides=s")),
        ("4", {"padding": "1"}, _PADDED.format("", "4")),
        ("3", {"padding": "p"}, _PADDED.format("p", "3")),
        ("3", {"padding": "(2, 1)"}, _PADDED.format("(2, 1)", "3")),
        ("k", {"padding": "k // 2"}, _PADDED.format("k // 2", "k")),
    ],
)
def test_convolution(kernel: str, more: dict[str, str], written: str) -> None:
    assert _written(_op("conv2d", kernel_size=kernel, **_CONV, **more)) == written


@pytest.mark.parametrize("padding", ["k // 2", "(k - 1) // 2"])
@pytest.mark.parametrize(("size", "same"), [(3, True), ((5, 3), True), (4, False)])
def test_half_a_kernel_is_same_only_if_it_was_odd(padding: str, size: object, same: bool) -> None:
    op = _op("conv2d", seen={"kernel_size": size}, kernel_size="k", padding=padding, **_CONV)
    assert ("padding='same'" in _written(op)) is same


@pytest.mark.parametrize(
    ("channels", "outputs", "groups", "name"),
    [("8", "8", "8", "Depthwise"), ("c", "c", "c", "Depthwise"), ("1", "1", "1", "Conv2D"), ("c", "d", "c", "Conv2D(")],
)
def test_a_group_per_channel_is_depthwise(channels: str, outputs: str, groups: str, name: str) -> None:
    op = _op("conv2d", in_channels=channels, out_channels=outputs, groups=groups, kernel_size="3", padding="1")
    written = _written(op)
    assert written.startswith(name)
    assert written.endswith("padding='same', groups=c)" if name == "Conv2D(" else "padding='same')")


def test_other_padding_modes_are_layers_of_their_own() -> None:
    op = _op("conv2d", kernel_size="3", padding="1", padding_mode="'reflect'", **_CONV)
    assert _written(op) == "keras.Sequential([ReflectionPadding(1), Conv2D(16, 3)])"
    with pytest.raises(CannotWrite):
        _written(_op("conv2d", kernel_size="3", padding="1", padding_mode="mode", **_CONV))


@pytest.mark.parametrize(
    ("attributes", "written"),
    [
        ({"kernel_size": "2", "stride": "2"}, "Conv2DTranspose(16, 2, strides=2)"),
        ({"kernel_size": "4", "stride": "2", "padding": "1"}, "Conv2DTranspose(16, 4, strides=2, padding='same')"),
        (
            {"kernel_size": "3", "stride": "2", "padding": "1", "output_padding": "1"},
            "keras.Sequential([Conv2DTranspose(16, 3, strides=2, output_padding=1), Cropping2D(1)])",
        ),
        ({"kernel_size": "2", "stride": "3"}, "Conv2DTranspose(16, 2, strides=3, output_padding=0)"),
    ],
)
def test_transposed_convolution(attributes: dict[str, str], written: str) -> None:
    assert _written(_op("conv_transpose2d", **_CONV, **attributes)) == written


@pytest.mark.parametrize(
    ("name", "attributes", "written"),
    [
        ("max_pool2d", {"kernel_size": "2"}, "MaxPooling2D(2)"),
        (
            "max_pool2d",
            {"kernel_size": "3", "stride": "1", "padding": "1"},
            "MaxPooling2D(3, strides=1, padding='same')",
        ),
        (
            "max_pool2d",
            {"kernel_size": "3", "stride": "2", "padding": "1"},
            "keras.Sequential([ConstantPadding(1, float('-inf')), MaxPooling2D(3, strides=2)])",
        ),
        ("max_pool2d", {"kernel_size": "3", "ceil_mode": "True"}, "MaxPooling(3, ceil_mode=True)"),
        (
            "avg_pool2d",
            {"kernel_size": "3", "stride": "1", "padding": "1"},
            "keras.Sequential([ZeroPadding2D(), AveragePooling2D(3, strides=1)])",
        ),
        (
            "avg_pool2d",
            {"kernel_size": "3", "stride": "1", "padding": "1", "count_include_pad": "False"},
            "AveragePooling2D(3, strides=1, padding='same')",
        ),
        (
            "avg_pool2d",
            {"kernel_size": "3", "padding": "p", "count_include_pad": "False"},
            "AveragePooling(3, padding=p, count_include_pad=False)",
        ),
    ],
)
def test_pooling(name: str, attributes: dict[str, str], written: str) -> None:
    assert _written(_op(name, **attributes)).replace("MaxPooling2D()", "MaxPooling2D(2)") == written


def test_flat_padding_becomes_pairs_in_the_data_s_own_order() -> None:
    op = _op("pad", layer=False, pads="[a, b, 0, c]", order="(0, 2, 3, 1)")
    assert _written(op) == "keras.ops.pad(x, ((0, 0), (0, c), (a, b), (0, 0)))"
    op = _op("pad", layer=False, pads="[-1, 2]", order="(0, 2, 3, 1)")
    assert _written(op) == "pad_from_last(x, [-1, 2], order=(0, 2, 3, 1))"


def test_a_switch_that_is_an_expression_turns_off_scale_and_shift() -> None:
    op = _op("group_norm", groups="2", num_channels="8", affine="flag")
    assert _written(op) == "GroupNormalization(2, epsilon=1e-05, center=flag, scale=flag)"
    op = _op("group_norm", groups="2", num_channels="8", affine="False")
    assert _written(op) == "GroupNormalization(2, epsilon=1e-05, center=False, scale=False)"
