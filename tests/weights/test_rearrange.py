"""The rearrangement engine: exact, invertible where it can be, and describable as JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netferry.weights.rearrange import Layout, Recipe, Spec, between, from_framework, run, simplified, to_framework

rng = np.random.default_rng(0)


def recipe(spec, canonical, arrays, shape=None):
    return to_framework(Spec.parse(spec), canonical, {n: a.shape for n, a in arrays.items()}, shape)


def test_transpose():
    weight = rng.normal(size=(2, 3, 4, 5))
    made = recipe("weight: K1 K2 I O", {"weight": "O I K1 K2"}, {"weight": weight})
    np.testing.assert_array_equal(made({"weight": weight}), weight.transpose(2, 3, 1, 0))
    assert made.describe() == {"from": [{"source": "weight", "steps": [{"op": "transpose", "axes": [2, 3, 1, 0]}]}]}


def test_identity_has_no_steps():
    bias = rng.normal(size=3)
    assert recipe("bias: O", {"bias": "O"}, {"bias": bias}).inputs == (("bias", ()),)


def test_gates_are_reordered():
    weight = rng.normal(size=(8, 3))
    made = recipe("weight: I (g:ifoc H)", {"weight": "(g:ifco H) I"}, {"weight": weight})
    i, f, c, o = np.split(weight, 4)
    np.testing.assert_array_equal(made({"weight": weight}), np.concatenate([i, f, o, c]).T)


def test_sum():
    a, b = rng.normal(size=(2, 6))
    made = recipe("a + b: (g:zr H)", {"a": "(g:rz H)", "b": "(g:rz H)"}, {"a": a, "b": b})
    both = a + b
    np.testing.assert_array_equal(made({"a": a, "b": b}), np.concatenate([both[3:], both[:3]]))


def test_stack():
    a, b = rng.normal(size=(2, 6))
    made = recipe("stack(a, b): B (g:zrn H)", {"a": "(g:rzn H)", "b": "(g:rzn H)"}, {"a": a, "b": b})
    order = [2, 3, 0, 1, 4, 5]
    np.testing.assert_array_equal(made({"a": a, "b": b}), np.stack([a[order], b[order]]))


def test_stack_inside_an_axis_concatenates():
    parts = dict(zip("qkv", rng.normal(size=(3, 6, 4)), strict=True))
    canonical = dict.fromkeys("qkv", "(H D) E")
    with pytest.raises(ValueError, match="do not follow"):
        recipe("stack(q, k, v): (p H D) E", canonical, parts)
    made = recipe("stack(q, k, v): (p O) E", dict.fromkeys("qkv", "O E"), parts)
    np.testing.assert_array_equal(made(parts), np.concatenate(list(parts.values())))


def test_own_shape_settles_composites():
    weight = rng.normal(size=(6, 4))
    made = recipe("q: E H D", {"q": "(H D) E"}, {"q": weight}, (4, 2, 3))
    np.testing.assert_array_equal(made({"q": weight}), weight.T.reshape(4, 2, 3))


def test_unit_axes():
    weight = rng.normal(size=3)
    made = recipe("weight: 1 1 C", {"weight": "C"}, {"weight": weight})
    assert made({"weight": weight}).shape == (1, 1, 3)


@pytest.mark.parametrize(
    "spec, canonical, shapes",
    [
        ("w: K1 K2 I O", {"w": "O I K1 K2"}, {"w": (2, 3, 4, 5)}),
        ("w: I (g:ifoc H)", {"w": "(g:cofi H) I"}, {"w": (8, 3)}),
        ("stack(a, b): B (g:zrn H)", dict.fromkeys("ab", "(g:rzn H)"), dict.fromkeys("ab", (6,))),
        ("stack(a, b, c): (p O) E", dict.fromkeys("abc", "O E"), dict.fromkeys("abc", (4, 5))),
    ],
)
def test_round_trip(spec, canonical, shapes):
    arrays = {n: rng.normal(size=s) for n, s in shapes.items()}
    there = to_framework(Spec.parse(spec), canonical, shapes)(arrays)
    back = from_framework("p", Spec.parse(spec), canonical, there.shape)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name]({"p": there}), array)


def test_inverse_of_a_sum_puts_all_into_the_first():
    bias = rng.normal(size=6)
    back = from_framework("bias", Spec.parse("a + b: O"), {"a": "O", "b": "O"}, (6,))
    np.testing.assert_array_equal(back["a"]({"bias": bias}), bias)
    np.testing.assert_array_equal(back["b"]({"bias": bias}), np.zeros(6))


def test_composed_recipes_skip_the_canonical_form():
    canonical = {"q": "O E", "k": "O E"}
    packed = rng.normal(size=(8, 3))
    parts = from_framework("packed", Spec.parse("stack(q, k): (p O) E"), canonical, packed.shape)
    made = to_framework(Spec.parse("k: E O"), canonical, {"k": (4, 3)}).after(parts)
    np.testing.assert_array_equal(made({"packed": packed}), packed[4:].T)
    again = Recipe.of(json.loads(json.dumps(made.describe())))
    np.testing.assert_array_equal(again({"packed": packed}), packed[4:].T)


@pytest.mark.parametrize(
    "source, target, shape",
    [
        ("A B", "A C", (2, 3)),
        ("(g:ab H)", "(g:ac H)", (4,)),
        ("(g:abc H)", "H g:abc", (4,)),
        ("A B", "B A", (2,)),
        ("(A B)", "A B", (6,)),
    ],
)
def test_what_cannot_be_is_refused(source, target, shape):
    with pytest.raises(ValueError):
        between(Layout.parse(source), Layout.parse(target), shape)


def test_an_axis_is_named_once():
    with pytest.raises(ValueError, match="twice"):
        Layout.parse("A (B A)")


@given(st.permutations(range(4)), st.permutations(range(4)))
def test_simplified_steps_do_the_same(first, second):
    steps = [
        {"op": "reshape", "shape": [2, 3, 4, 5]},
        {"op": "transpose", "axes": list(first)},
        {"op": "transpose", "axes": list(second)},
        {"op": "reshape", "shape": [10, 12]},
        {"op": "reshape", "shape": [120]},
    ]
    array = np.arange(120).reshape(6, 20)
    short = simplified(steps, array.shape)
    np.testing.assert_array_equal(run(short, array), run(steps, array))
    assert len(short) <= 3


def test_an_axis_may_run_backwards():
    array = np.arange(24).reshape(2, 3, 4)
    steps = between(Layout.parse("~K1 I O"), Layout.parse("I O K1"), array.shape)
    np.testing.assert_array_equal(run(steps, array), array[::-1].transpose(1, 2, 0))
