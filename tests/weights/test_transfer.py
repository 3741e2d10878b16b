"""What does not arrive is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("keras")

import keras
import torch

from netferry.diagnostics import NetferryError
from netferry.frameworks.base import runtime
from netferry.weights.map import WeightMap
from netferry.weights.transfer import Transfer, transfer
from tests.verify.pairs import entry

DENSE = (1, 0)


def moved(source: torch.nn.Module, layer: Any, *entries: Any) -> Transfer:
    layer.build((None, 3))
    return transfer(runtime("torch"), source, runtime("keras"), layer, WeightMap(entries))


def test_all_arrive() -> None:
    source, layer = torch.nn.Linear(3, 2), keras.layers.Dense(2)
    report = moved(source, layer, entry("weight", "kernel", DENSE), entry("bias", "bias"))
    assert report.arrived == 2
    assert not report.problems
    np.testing.assert_array_equal(layer.kernel.numpy(), source.weight.detach().numpy().T)


def test_array_without_place_is_named() -> None:
    report = moved(torch.nn.Linear(3, 2), keras.layers.Dense(2), entry("weight", "kernel", DENSE))
    assert report.problems == ["bias arrives nowhere in the target", "bias of the target receives nothing"]


def test_wrong_shape_is_named() -> None:
    report = moved(torch.nn.Linear(3, 2), keras.layers.Dense(2), entry("weight", "kernel"), entry("bias", "bias"))
    assert "kernel has shape (3, 2), the array given (2, 3)" in report.problems


def test_unknown_target_is_named() -> None:
    report = moved(torch.nn.Linear(3, 2, bias=False), keras.layers.Dense(2, use_bias=False), entry("weight", "filters"))
    assert "the target has no array filters" in report.problems


def test_unknown_source_is_an_error() -> None:
    with pytest.raises(NetferryError, match="'filters', which is missing"):
        moved(torch.nn.Linear(3, 2), keras.layers.Dense(2), entry("filters", "kernel"))


def test_frozen_and_thawed() -> None:
    source, layer = torch.nn.Linear(3, 2), keras.layers.Dense(2)
    source.bias.requires_grad_(False)
    report = moved(source, layer, entry("weight", "kernel", DENSE), entry("bias", "bias"))
    assert report.thawed == ["bias"]
    assert not report.problems
    layer = keras.layers.Dense(2, trainable=False)
    report = moved(torch.nn.Linear(3, 2), layer, entry("weight", "kernel", DENSE), entry("bias", "bias"))
    assert report.frozen == ["weight", "bias"]


def test_split_array_is_no_lost_tie() -> None:
    from netferry.weights.rearrange import Recipe

    class Packed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both = torch.nn.Parameter(torch.randn(2, 3))

    class Split(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.one = self.add_weight(shape=(3,), name="one")
            self.two = self.add_weight(shape=(3,), name="two")

    def part(target: str, index: int) -> Any:
        made = entry("both", target)
        return type(made)(target, Recipe((("both", ({"op": "select", "axis": 0, "index": index},)),)))

    assert not moved(Packed(), Split(), part("one", 0), part("two", 1)).problems
    lost = moved(Packed(), Split(), part("one", 0), part("two", 0))
    assert lost.untied == ["both (one, two)"]
