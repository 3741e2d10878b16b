"""Patterns of named axes (``"b (h d) -> b h d"``), and their expansion into reshape, transpose, reduce and tile steps.

Nothing here knows a framework: sizes are opaque values of a small algebra that the caller provides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

Size = TypeVar("Size")
Group = tuple[str, ...]

_BARE: Group = ("...", "...")
"""An ellipsis that is no part of a composite axis."""
_TOKEN = re.compile(r"\(|\)|\.\.\.|\w+")


class BadPattern(ValueError):
    """A pattern that cannot be expanded, with the reason."""


@dataclass(frozen=True)
class Pattern:
    """Both sides of a pattern; an axis is a group of elementary axes, ``()`` has size one.

    Numbers other than 1 become axes named ``#number#position``, whose size is the number.
    """

    left: tuple[Group, ...]
    right: tuple[Group, ...]

    @classmethod
    def parse(cls, text: str, rank: int | None = None) -> Pattern:
        """Parse ``text``; ``rank`` is that of the tensor, needed for an ellipsis."""
        sides = text.split("->")
        if len(sides) != 2:
            raise BadPattern(f"{text!r} has no single arrow")
        left, right = (_groups(side) for side in sides)
        hidden: tuple[str, ...] = ()
        if any("..." in group for group in (*left, *right)):
            if rank is None:
                raise BadPattern("an ellipsis in a pattern for a tensor whose rank is not known")
            hidden = tuple(f"axis{i}" for i in range(rank - len(left) + 1))
        return cls(_spread(left, hidden), _spread(right, hidden))

    def __str__(self) -> str:
        return " -> ".join(" ".join(map(_text, side)) for side in (self.left, self.right))

    def reordered(self, before: Sequence[int] | None, after: Sequence[int] | None) -> Pattern:
        """The pattern for a tensor whose axes are stored as ``before`` and a result stored as ``after``."""
        left = self.left if before is None else tuple(self.left[axis] for axis in before)
        right = self.right if after is None else tuple(self.right[axis] for axis in after)
        return replace(self, left=left, right=right)


def _text(group: Group) -> str:
    names = [name.split("#")[1] if name.startswith("#") else name for name in group]
    return names[0] if len(names) == 1 else "1" if not names else f"({' '.join(names)})"


def _groups(side: str) -> tuple[Group, ...]:
    found: list[Group] = []
    inside: list[str] | None = None
    for position, token in enumerate(_TOKEN.findall(side)):
        if token == "(":
            inside = []
        elif token == ")":
            found.append(tuple(inside or ()))
            inside = None
        else:
            if token == "..." and inside is None:
                found.append(_BARE)
                continue
            names = [] if token == "1" else [f"#{token}#{position}" if token.isdigit() else token]
            if inside is None:
                found.append(tuple(names))
            else:
                inside.extend(names)
    return tuple(found)


def _spread(side: tuple[Group, ...], hidden: tuple[str, ...]) -> tuple[Group, ...]:
    """Replace an ellipsis by the axes it stands for."""
    found: list[Group] = []
    for group in side:
        if group == _BARE:
            found.extend((name,) for name in hidden)
        else:
            found.append(tuple(n for name in group for n in (hidden if name == "..." else (name,))))
    return tuple(found)


@dataclass(frozen=True)
class Algebra(Generic[Size]):
    """How sizes are computed: literals, the sizes of the input's axes, products and exact quotients; and their cost."""

    literal: Callable[[int], Size]
    axis: Callable[[int], Size]
    product: Callable[[Sequence[Size]], Size]
    quotient: Callable[[Size, Size], Size]
    cost: Callable[[Size], int]


@dataclass(frozen=True)
class Step(Generic[Size]):
    """``reshape`` (sizes), ``transpose`` (axes), ``reduce`` (axes, keep), ``unsqueeze`` (one axis) or ``tile`` (sizes)."""

    kind: str
    axes: tuple[int, ...] = ()
    sizes: tuple[Size, ...] = ()
    keep: bool = False


@dataclass
class _Expansion(Generic[Size]):
    pattern: Pattern
    given: Mapping[str, Size]
    algebra: Algebra[Size]
    steps: list[Step[Size]] = field(default_factory=list)
    sizes: dict[str, Size] = field(default_factory=dict)

    def run(self) -> list[Step[Size]]:
        left = [name for group in self.pattern.left for name in group]
        right = [name for group in self.pattern.right for name in group]
        self._measure(right)
        reduced = [name for name in left if name not in right]
        if reduced and self._keeps_positions(reduced):
            axes = tuple(i for i, group in enumerate(self.pattern.left) if group and group[0] in reduced)
            return [Step("reduce", axes, keep=True)]
        if self._repeats_in_place(left):
            return [Step("tile", sizes=tuple(self._count(*pair) for pair in self._pairs()))]
        self._split(left)
        if reduced:
            self.steps.append(Step("reduce", tuple(left.index(name) for name in reduced)))
            left = [name for name in left if name not in reduced]
        kept = [name for name in right if name in left]
        if kept != left:
            self.steps.append(Step("transpose", tuple(left.index(name) for name in kept)))
        self._repeat(kept, right)
        self._merge(right)
        return self.steps

    def _measure(self, right: Sequence[str]) -> None:
        """The size of every elementary axis."""
        for position, group in enumerate(self.pattern.left):
            whole = self.algebra.axis(position)
            unknown = [name for name in group if self._given(name) is None]
            if len(unknown) > 1:
                raise BadPattern(f"the sizes of {', '.join(unknown)} cannot be told apart")
            known = [size for name in group if (size := self._given(name)) is not None]
            for name in group:
                given = self._given(name)
                rest = self.algebra.quotient(whole, self.algebra.product(known)) if known else whole
                self.sizes[name] = rest if given is None else given
        for name in right:
            if name not in self.sizes:
                given = self._given(name)
                if given is None:
                    raise BadPattern(f"the size of {name} is not given")
                self.sizes[name] = given

    def _given(self, name: str) -> Size | None:
        if name.startswith("#"):
            return self.algebra.literal(int(name.split("#")[1]))
        return self.given.get(name)

    def _keeps_positions(self, reduced: Sequence[str]) -> bool:
        """Whether the right side is the left one with ones in place of reduced axes: ``b c h w -> b c 1 1``."""
        wanted = tuple(() if group and group[0] in reduced else group for group in self.pattern.left)
        return all(len(group) < 2 for group in self.pattern.left) and wanted == self.pattern.right

    def _pairs(self) -> list[tuple[Group, Group]]:
        return list(zip(self.pattern.left, self.pattern.right, strict=False))

    def _repeats_in_place(self, left: Sequence[str]) -> bool:
        """Whether only axes of size one are repeated, where they stand: ``1 1 d -> b 1 d``."""
        if len(self.pattern.left) != len(self.pattern.right) or self.pattern.left == self.pattern.right:
            return False
        return all(
            len(after) < 2 and (before == after or (not before and after[0] not in left))
            for before, after in self._pairs()
        )

    def _count(self, before: Group, after: Group) -> Size:
        return self.algebra.literal(1) if before == after else self.sizes[after[0]]

    def _split(self, left: Sequence[str]) -> None:
        """Take composite axes apart and drop axes of size one."""
        if [(name,) for name in left] != list(self.pattern.left):
            self._reshape(self.pattern.left, [(name,) for name in left])

    def _repeat(self, kept: Sequence[str], right: Sequence[str]) -> None:
        """Insert new axes and repeat along them."""
        new = [position for position, name in enumerate(right) if name not in kept]
        if not new:
            return
        self.steps.extend(Step("unsqueeze", (position,)) for position in new)
        one = self.algebra.literal(1)
        counts = tuple(self.sizes[name] if name not in kept else one for name in right)
        self.steps.append(Step("tile", sizes=counts))

    def _merge(self, right: Sequence[str]) -> None:
        """Put composite axes together and insert axes of size one."""
        single = [(name,) for name in right]
        if all(len(group) < 2 for group in self.pattern.right):
            ones = [position for position, group in enumerate(self.pattern.right) if not group]
            self.steps.extend(Step("unsqueeze", (position,)) for position in ones)
        elif single != list(self.pattern.right):
            self._reshape(single, self.pattern.right)

    def _reshape(self, before: Sequence[Group], after: Sequence[Group]) -> None:
        """Sizes of ``after``; the costliest that is not given is left to be inferred."""
        sizes = [self.algebra.product([self.sizes[name] for name in group]) for group in after]
        costs = [self.algebra.cost(size) for size in sizes]
        if max(costs, default=0) > 0:
            sizes[costs.index(max(costs))] = self.algebra.literal(-1)
        self.steps.append(Step("reshape", sizes=tuple(sizes)))


def expand_rearrange(
    text: str, given: Mapping[str, Size], algebra: Algebra[Size], rank: int | None = None
) -> list[Step[Size]]:
    """The steps that do what a pattern says; axes only on the left are reduced, axes only on the right repeated.

    Raises:
        BadPattern: a size or the rank is not known.
    """
    return _Expansion(Pattern.parse(text, rank), given, algebra).run()


def einsum_equation(text: str) -> str:
    """The equation with one letter per axis name of ``"b i d, b j d -> b i j"``."""
    names = list(dict.fromkeys(re.findall(r"\w+", text)))
    letters: dict[str, str] = {}
    for name in names:
        free = [
            c for c in (name[0].lower(), *"abcdefghijklmnopqrstuvwxyz") if c not in letters.values() and c.isalpha()
        ]
        if not free:
            raise BadPattern(f"{text!r} has more than 26 axes")
        letters[name] = free[0]
    return re.sub(r"\w+", lambda match: letters[match.group()], text).replace(" ", "")
