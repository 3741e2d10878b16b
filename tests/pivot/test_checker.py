"""The checker names what is malformed, and where."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from netferry.diagnostics import NetferryError
from netferry.pivot.checker import check, require
from netferry.pivot.facts import Event, Site, Tensor
from netferry.pivot.nodes import LayerCall, Op, constant
from netferry.pivot.program import Definition, Program
from tests.pivot.networks import SOURCES, program

X = ast.Name("x", ast.Load())


def holding(node: ast.expr) -> Program:
    return Program("torch", "f", [Definition((), ast.Expr(node), "net")])


def site(*shape: int) -> Site:
    return Site("net.py", 4, 9, 1, [Event(0, 1, "", (Tensor(1, shape, "float32"),))])


@pytest.mark.parametrize("name", SOURCES)
def test_what_was_read_is_well_formed(name: str, tmp_path: Path) -> None:
    assert check(program(name, tmp_path)) == []


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (Op("nonsense", {"x": X}), "unknown op 'nonsense'"),
        (Op("relu"), "relu lacks its operand 'x'"),
        (Op("relu", {"x": X, "y": X}), "relu has no operand 'y'"),
        (Op("relu", {"x": X}, {"slope": constant(1)}), "relu has no attribute 'slope'"),
        (Op("conv2d", {}, {"out_channels": constant(1)}, layer=True), "conv2d lacks its attribute 'kernel_size'"),
        (LayerCall("lstm", X, {}), "lstm lacks its operand 'x'"),
        (LayerCall("conv2d", X, {"x": X}, site(2, 8)), "conv2d works on 3 or 4 axes, not on 2x8"),
    ],
)
def test_a_malformed_node_is_named(node: Op | LayerCall, message: str) -> None:
    node.site = node.site or site()
    (found,) = check(holding(ast.List([node], ast.Load())))
    assert found.message == message
    assert found.place == "net.py:4:9"
    with pytest.raises(NetferryError, match="NF035"):
        require(holding(node))


def test_what_a_variable_holds_may_have_its_arguments() -> None:
    assert check(holding(Op("conv2d", layer=True, indirect=X))) == []
    assert check(holding(Op("nonsense", indirect=Op("relu")))) != []


def test_the_expected_rank_passes() -> None:
    assert check(holding(LayerCall("conv2d", X, {"x": X}, site(2, 3, 8, 8)))) == []
