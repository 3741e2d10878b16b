"""Orders and factors say what NumPy's transposes and reshapes do."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netferry.passes.layout.orders import (
    Order,
    between,
    carried,
    conversion,
    factor,
    identity,
    is_identity,
    native,
    reaches,
    trailing,
    with_new,
    without,
)


def orders(rank: int) -> st.SearchStrategy[Order]:
    return st.permutations(range(rank)).map(tuple)


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    """An array whose values tell their places apart."""
    return np.arange(math.prod(shape)).reshape(shape)


@st.composite
def stored(draw: st.DrawFn) -> tuple[np.ndarray, Order]:
    """A source array and an order to store it in."""
    shape = draw(shapes)
    return numbered(shape), draw(orders(len(shape)))


@st.composite
def regrouped(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes of the same number of elements, made by grouping the same factors in two ways."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))

    def grouped() -> tuple[int, ...]:
        cuts = sorted(draw(st.lists(st.integers(0, len(sizes)), max_size=4)))
        edges = [0, *cuts, len(sizes)]
        return tuple(math.prod(sizes[a:b]) for a, b in pairwise(edges))

    return grouped(), grouped()


@given(stored(), st.data())
def test_a_conversion_is_the_transpose_between_two_orders(
    example: tuple[np.ndarray, Order], data: st.DataObject
) -> None:
    array, have = example
    want = data.draw(orders(array.ndim))
    assert np.array_equal(array.transpose(have).transpose(conversion(have, want)), array.transpose(want))
    assert is_identity(conversion(have, have))


@given(stored(), st.data())
def test_without_is_what_a_reduction_leaves(example: tuple[np.ndarray, Order], data: st.DataObject) -> None:
    array, order = example
    gone = data.draw(st.sets(st.integers(0, array.ndim - 1)))
    target = array.transpose(order).sum(axis=tuple(order.index(a) for a in gone))
    assert np.array_equal(target, array.sum(axis=tuple(gone)).transpose(without(order, tuple(gone))))


@given(stored(), st.data())
def test_with_new_is_what_a_new_axis_leaves(example: tuple[np.ndarray, Order], data: st.DataObject) -> None:
    array, order = example
    axis, position = data.draw(st.integers(0, array.ndim)), data.draw(st.integers(0, array.ndim))
    made = with_new(order, axis, position)
    assert np.array_equal(np.expand_dims(array.transpose(order), position), np.expand_dims(array, axis).transpose(made))


@given(stored(), st.data())
def test_trailing_makes_lower_ranks_broadcast_alike(example: tuple[np.ndarray, Order], data: st.DataObject) -> None:
    array, order = example
    rank = data.draw(st.integers(1, array.ndim))
    lower = numbered(array.shape[array.ndim - rank :])
    needed = trailing(order, rank)
    if needed is not None:
        target = array.transpose(order) * 100 + lower.transpose(needed)
        assert np.array_equal(target, (array * 100 + lower).transpose(order))


def test_trailing_needs_new_axes_where_axes_move_apart() -> None:
    assert trailing((0, 2, 3, 1), 2) is None
    assert trailing((0, 2, 3, 1), 4) == (0, 2, 3, 1)
    assert trailing((0, 2, 3, 1), 3) == (1, 2, 0)
    assert trailing((0, 1, 2), 2) == (0, 1)


@given(regrouped())
def test_factors_multiply_to_both_shapes(example: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    before, after = example
    factors = factor(before, after)
    assert factors is not None
    for shape, groups in ((before, factors.before), (after, factors.after)):
        assert [math.prod(factors.sizes[f] for f in group) for group in groups] == list(shape)
        assert [f for group in groups for f in group] == list(range(len(factors.sizes)))


@pytest.mark.parametrize(("before", "after"), [((2, 3), (3, 2)), ((4, 6), (3, 8)), ((5, 4, 3), (5, 3, 4))])
def test_boundaries_that_do_not_divide_have_no_factors(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    assert factor(before, after) is None


@given(regrouped(), st.data())
def test_a_plain_reshape_reaches_only_what_it_gives(
    example: tuple[tuple[int, ...], tuple[int, ...]], data: st.DataObject
) -> None:
    before, after = example
    have, want = data.draw(orders(len(before))), data.draw(orders(len(after)))
    factors = factor(before, after)
    assert factors is not None
    source = numbered(before)
    wanted = source.reshape(after).transpose(want)
    plain = source.transpose(have).reshape(wanted.shape)
    assert not reaches(factors, have, want) or np.array_equal(plain, wanted)


@given(regrouped(), st.data())
def test_a_reshape_carries_the_order_it_can(
    example: tuple[tuple[int, ...], tuple[int, ...]], data: st.DataObject
) -> None:
    before, after = example
    have = data.draw(orders(len(before)))
    factors = factor(before, after)
    assert factors is not None
    order = carried(factors, have)
    if order is not None:
        source = numbered(before)
        wanted = source.reshape(after).transpose(order)
        assert sorted(order) == list(range(len(after)))
        assert np.array_equal(source.transpose(have).reshape(wanted.shape), wanted)


@given(regrouped())
def test_the_sources_own_order_is_always_carried(example: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    before, after = example
    factors = factor(before, after)
    assert factors is not None
    assert reaches(factors, identity(len(before)), identity(len(after)))
    assert carried(factors, identity(len(before))) is not None


def test_splitting_channels_stays_possible_channels_last() -> None:
    factors = factor((2, 6, 7, 5), (2, 2, 3, 7, 5))
    assert factors is not None
    assert carried(factors, native(4)) == (0, 3, 4, 1, 2)


def test_a_flatten_mixes_channels_last_axes_up() -> None:
    factors = factor((2, 6, 7, 5), (2, 210))
    assert factors is not None
    assert carried(factors, native(4)) is None
    assert not reaches(factors, native(4), (0, 1))


def test_native_is_channels_last() -> None:
    assert [native(n) for n in (1, 2, 3, 4)] == [(0,), (0, 1), (0, 2, 1), (0, 2, 3, 1)]


def test_each_side_has_its_own_order() -> None:
    assert between(False, True)(4) == (0, 2, 3, 1)
    assert between(True, False)(4) == (0, 3, 1, 2)
    assert between(True, True)(4) == identity(4)
    assert between(True, False)(2) == identity(2)
