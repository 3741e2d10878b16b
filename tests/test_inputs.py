"""Input specifications: text and JSON forms, and the arrays made from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netferry.diagnostics import NetferryError
from netferry.inputs import InputSpec, from_json, materialise, parse, random_array, spec, specs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2x3x32x32", InputSpec(shape=(2, 3, 32, 32))),
        ("5", InputSpec(shape=(5,))),
        ("2x7:int64:1000", InputSpec(shape=(2, 7), dtype="int64", high=1000)),
        ("mask=2x7:bool", InputSpec(name="mask", shape=(2, 7), dtype="bool")),
        ("x=2x3:double", InputSpec(name="x", shape=(2, 3), dtype="float64")),
    ],
)
def test_text_form(text: str, expected: InputSpec) -> None:
    assert parse(text).to_json() == expected.to_json()


@pytest.mark.parametrize(
    "text", ["", "x", "2x", "2xb", "2x3:float99", "2x3:float32:9", "2x3:int64:0", "=2x3", "2x3:int64:-1", "a b=2"]
)
def test_malformed_text_is_wrong_usage(text: str) -> None:
    with pytest.raises(NetferryError) as caught:
        parse(text)
    assert (caught.value.diagnostic.code, caught.value.status) == ("NF064", 64)


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": [2, 3], "dtype": "float32"},
        {"name": "ids", "shape": [2], "dtype": "int64", "high": 9, "low": 3},
        {"expr": "torch.tensor([2, 6])"},
        {"value": None},
        {"name": "steps", "value": 3},
        {"value": [1, 2], "dtype": "int32"},
        {"tuple": [{"shape": [2, 3], "dtype": "float32"}, {"list": [{"value": None}]}]},
        {"dict": {"a": {"shape": [2], "dtype": "float64"}}},
    ],
)
def test_json_form_round_trips(entry: dict[str, Any]) -> None:
    assert from_json(entry).to_json() == entry


def test_a_dict_without_meaning_is_refused() -> None:
    with pytest.raises(NetferryError, match="it needs one of"):
        from_json({"size": [2]})
    with pytest.raises(NetferryError, match="malformed"):
        spec(object())


def test_python_values_are_taken_as_they_are() -> None:
    array = np.zeros((2, 3))
    first, second, third = specs([array, "2x3", (array, 4)])
    assert materialise(first, np.random.default_rng(0), str) is array
    assert second.shape == (2, 3)
    assert str(third) == "tuple(2x3 float64 (given), 4)"


def test_arrays_follow_the_seed_and_the_bounds() -> None:
    wanted = InputSpec(shape=(50, 4), dtype="int64", high=7, low=3)
    array = random_array(wanted, np.random.default_rng(1))
    assert (array == random_array(wanted, np.random.default_rng(1))).all()
    assert set(np.unique(array)) == {3, 4, 5, 6}


@given(st.sampled_from(["float16", "float32", "float64", "int8", "int64", "bool", "complex64"]))
def test_arrays_have_the_wanted_type(dtype: str) -> None:
    array = random_array(InputSpec(shape=(3, 2), dtype=dtype), np.random.default_rng(0))
    assert (str(array.dtype), array.shape) == (dtype, (3, 2))


def test_containers_and_expressions_are_made() -> None:
    wanted = from_json({"tuple": [{"expr": "6 * 7"}, {"dict": {"a": {"value": 1}}}]})
    assert materialise(wanted, np.random.default_rng(0), lambda text: eval(text, {})) == (42, {"a": 1})
