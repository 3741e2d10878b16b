"""Axis orders: in which sequence the target stores the axes that the source numbers.

An order is a tuple ``p``: position ``k`` of the target's tensor holds the source's axis ``p[k]``. ``(0, 2, 3, 1)`` is
channels-last for what the source has channels-first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Order = tuple[int, ...]


def identity(rank: int) -> Order:
    """The source's own order."""
    return tuple(range(rank))


def moves_units(shape: Sequence[Any], order: Order) -> bool:
    """Whether axes in that order are as they were but for some of size one: the sizes read the same then."""
    return all(shape[a] == 1 or a == i for i, a in enumerate(order)) and [shape[a] for a in order] == list(shape)


def alike(shape: Sequence[Any], one: Order, other: Order) -> bool:
    """Whether two orders differ in the places of axes of size one alone."""
    return len(one) == len(other) and [a for a in one if shape[a] != 1] == [a for a in other if shape[a] != 1]


def native(rank: int) -> Order:
    """Channels last, batch first."""
    return (0, *range(2, rank), 1) if rank > 2 else identity(rank)


def first(rank: int) -> Order:
    """Channels first of what the source has channels-last, batch first."""
    return (0, rank - 1, *range(1, rank - 1)) if rank > 2 else identity(rank)


def between(source_last: bool, target_last: bool) -> Callable[[int], Order]:
    """The target's own order of images and the like, where each side is channels-last or channels-first."""
    if source_last == target_last:
        return identity
    return native if target_last else first


def is_identity(order: Order) -> bool:
    """Whether target and source agree."""
    return order == identity(len(order))


def conversion(have: Order, want: Order) -> Order:
    """The transpose that turns a tensor stored as ``have`` into one stored as ``want``."""
    return tuple(have.index(axis) for axis in want)


def without(order: Order, removed: Sequence[int]) -> Order:
    """The order after the source axes ``removed`` are gone, the rest renumbered."""
    gone = sorted(set(removed))
    return tuple(axis - sum(g < axis for g in gone) for axis in order if axis not in gone)


def with_new(order: Order, axis: int, position: int) -> Order:
    """The order after a source axis is inserted, stored at target ``position``."""
    moved = [a + (a >= axis) for a in order]
    return (*moved[:position], axis, *moved[position:])


def trailing(order: Order, rank: int) -> Order | None:
    """The order that a tensor of lower rank needs to broadcast against ``order``; None when it needs new axes."""
    offset = len(order) - rank
    own = [axis for axis in order if axis >= offset]
    if list(order[offset:]) != own:
        return None
    return tuple(axis - offset for axis in own)


def aligned(order: Order, rank: int) -> tuple[Order, tuple[bool, ...]]:
    """How a tensor of lower rank meets ``order``: its own axes' order, and which axes from there on are its own, not new."""
    offset = len(order) - rank
    start = min(i for i, axis in enumerate(order) if axis >= offset)
    return tuple(a - offset for a in order[start:] if a >= offset), tuple(a >= offset for a in order[start:])


@dataclass(frozen=True)
class Factors:
    """A reshape seen as factors: which common factors each axis of either side consists of."""

    before: tuple[tuple[int, ...], ...]
    after: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]


def factor(before: Sequence[int], after: Sequence[int]) -> Factors | None:
    """Split both shapes into their common factors (1s belong to none); None when the boundaries do not divide."""
    marks = _suffixes(before) | _suffixes(after)
    ordered = sorted(marks, reverse=True)
    sizes = []
    for larger, smaller in pairwise(ordered):
        if smaller == 0 or larger % smaller:
            return None
        sizes.append(larger // smaller)
    return Factors(_cover(before, ordered), _cover(after, ordered), tuple(sizes))


def _suffixes(shape: Sequence[int]) -> set[int]:
    found, product = {1}, 1
    for size in reversed(shape):
        product *= size
        found.add(product)
    return found


def _cover(shape: Sequence[int], marks: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    product = 1
    for size in shape:
        product *= size
    found = []
    for size in shape:
        start = marks.index(product)
        product //= size
        end = marks.index(product)
        found.append(tuple(range(start, end)))
    return tuple(found)


def reaches(factors: Factors, have: Order, want: Order) -> bool:
    """Whether a plain reshape of a tensor stored as ``have`` gives the result stored as ``want``."""
    stored = [f for axis in have for f in factors.before[axis]]
    wanted = [f for axis in want for f in factors.after[axis]]
    return stored == wanted


def carried(factors: Factors, have: Order) -> Order | None:
    """The order in which a plain reshape leaves the result; None when it would mix axes up."""
    stored = [f for axis in have for f in factors.before[axis]]
    at = {f: i for i, f in enumerate(stored)}
    places: list[tuple[float, int]] = []
    last = -1.0
    for axis, members in enumerate(factors.after):
        if not members:
            last += 1e-3
            places.append((last, axis))
            continue
        positions = [at[f] for f in members]
        if positions != list(range(positions[0], positions[0] + len(positions))):
            return None
        last = float(positions[-1])
        places.append((float(positions[0]), axis))
        last = float(positions[-1]) + 1e-3
    return tuple(axis for _, axis in sorted(places))
