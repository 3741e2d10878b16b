"""The transpose of a rearrangement agrees with its definition: <A x, y> = <x, Aᵀ y>."""

from __future__ import annotations

import numpy as np
import pytest

from netferry.weights.adjoint import adjoint
from netferry.weights.rearrange import Recipe, Step

TRANSPOSE: Step = {"op": "transpose", "axes": [1, 2, 0]}
RESHAPE: Step = {"op": "reshape", "shape": [6, 4]}
TAKE: Step = {"op": "take", "axis": 0, "indices": [2, 0, 0]}
SELECT: Step = {"op": "select", "axis": 1, "index": 2}
ZEROS: Step = {"op": "zeros", "shape": [2, 3, 4]}

RECIPES = {
    "moved": Recipe((("a", (TRANSPOSE,)),)),
    "reshaped": Recipe((("a", (TRANSPOSE, RESHAPE)),)),
    "blocks repeated": Recipe((("a", (TRANSPOSE, TAKE)),)),
    "part": Recipe((("a", (SELECT,)),)),
    "sum": Recipe((("a", ()), ("b", ())), "sum"),
    "sum with nothing": Recipe((("a", ()), ("", (ZEROS,))), "sum"),
    "same array twice": Recipe((("a", ()), ("a", ())), "sum"),
    "stack": Recipe((("a", ()), ("b", ())), "stack", ({"op": "transpose", "axes": [1, 0, 3, 2]},)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_adjoint(name: str) -> None:
    recipe = RECIPES[name]
    random = np.random.default_rng(0)
    arrays = {source: random.standard_normal((2, 3, 4)) for source, _ in recipe.inputs if source}
    made = recipe(arrays)
    other = random.standard_normal(made.shape)
    back = adjoint(recipe, other, {source: array.shape for source, array in arrays.items()})
    assert back.keys() == arrays.keys()
    inner = sum(float((arrays[source] * back[source]).sum()) for source in arrays)
    assert inner == pytest.approx(float((made * other).sum()), rel=1e-12)
