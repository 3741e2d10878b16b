"""Patterns of named axes: their expansion computes what einops computes, in every target."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest

from netferry.ops import registry
from netferry.ops.core import Case
from netferry.ops.lowering import CannotWrite, lower_expression
from netferry.ops.patterns import Pattern, einsum_equation
from netferry.pivot.facts import Event, Site, Tensor
from netferry.pivot.nodes import Op, constant
from tests.ops.backends import BACKEND, backend

einops = pytest.importorskip("einops")
NAMES = {"rearrange": einops.rearrange, "rearrange_reduce": einops.reduce, "rearrange_repeat": einops.repeat}
FRAMEWORKS = ("torch", "tensorflow", "keras") if BACKEND == "tensorflow" else ("keras",)


def cases() -> list[Any]:
    """Every declared case of every op with a pattern."""
    return [
        pytest.param(name, case, id=f"{name}-{case.attributes['pattern']}")
        for name in NAMES
        for case in registry.get(name).cases
    ]


def expected(name: str, case: Case, x: Any) -> Any:
    """What einops says."""
    given = dict(case.attributes)
    reduction = [given["reduction"]] if "reduction" in given else []
    return NAMES[name](x, given["pattern"], *reduction, **given.get("sizes", {}))


@pytest.mark.parametrize(("name", "case"), cases())
def test_reference(name: str, case: Case) -> None:
    x = np.random.default_rng(0).normal(size=case.operands["x"])
    reference = registry.get(name).reference
    assert reference is not None
    np.testing.assert_allclose(reference(x, **case.attributes), expected(name, case, x), rtol=1e-14)


@pytest.mark.parametrize("source", ["x", "f(x)"])
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("name", "case"), cases())
def test_expansion(name: str, case: Case, framework: str, source: str) -> None:
    x = np.random.default_rng(0).normal(size=case.operands["x"])
    site = Site("", 0, 0, 0, [Event(0, 0, "", (Tensor(0, x.shape, "float64"),))])
    attributes = {k: constant(v) for k, v in case.attributes.items()}
    node = Op(name, {"x": ast.parse(source, mode="eval").body}, attributes, site=site)
    code = ast.unparse(ast.fix_missing_locations(lower_expression(node, framework)))
    runtime = backend(framework)
    found = eval(code, {**runtime.names, "x": runtime.tensor(x), "f": lambda value: value})
    np.testing.assert_allclose(runtime.array(found), expected(name, case, x), rtol=1e-12, atol=1e-14)
    assert code.count("f(x)") <= 1


def test_an_unknown_size_is_refused() -> None:
    node = Op("rearrange", {"x": ast.Name("x", ast.Load())}, {"pattern": constant("b (h w) -> b h w")})
    with pytest.raises(CannotWrite, match="h, w"):
        lower_expression(node, "keras")


def test_an_ellipsis_needs_a_rank() -> None:
    node = Op("rearrange", {"x": ast.Name("x", ast.Load())}, {"pattern": constant("b ... -> ... b")})
    with pytest.raises(CannotWrite, match="ellipsis"):
        lower_expression(node, "keras")


def test_a_pattern_follows_other_axis_orders() -> None:
    pattern = Pattern.parse("b c (h p) w -> b h w (p c)")
    assert str(pattern.reordered((0, 2, 3, 1), None)) == "b (h p) w c -> b h w (p c)"
    assert str(pattern.reordered(None, (0, 3, 1, 2))) == "b c (h p) w -> b (p c) h w"


def test_einsum_names_become_letters() -> None:
    assert einsum_equation("b i dim, b j dim -> b i j") == "bid,bjd->bij"
    assert einsum_equation("batch bin, bin -> batch") == "ba,a->b"
