"""Assigns every observed tensor an axis order and derives what each site must do about it.

A backward sweep finds out which order later consumers would like (convolutions want channels last, and elementwise ops hand the wish on);
a forward sweep then fixes orders where a value comes to be and notes, per site, the transposes and changed
attributes that follow. All uses of one site must agree, for the code there is written once; where they do not, the
site is pinned to the source's order and the sweeps run again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netferry.passes.layout.bound import Use, tensors, uses
from netferry.passes.layout.orders import Order, alike, conversion, identity, is_identity, moves_units, native
from netferry.pivot.facts import Tensor

_ROUNDS = 25


Habit = tuple[tuple[str, int], int]
"""A site and a rank of its results."""


@dataclass
class Edit:
    """What the layout makes of one site.

    Attributes:
        convert: operand name (or ``name[i]`` for members of a list) -> transpose to apply to it.
        attributes: canonical attribute -> new literal value.
        reorder: canonical attribute -> order in which its elements are to be written.
        result: transpose to apply to the result.
        rename: the op to write instead.
        drop: the op has become the identity on its first operand.
        order: the order of the first operand, for reads of shapes and indices.
        align: operand name -> which axes are its own, and which new, so that it meets the others.
        fold: whether a flatten keeps the target's order (the next layer's weights are rearranged).
    """

    convert: dict[str, Order] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    reorder: dict[str, Order] = field(default_factory=dict)
    result: Order | None = None
    rename: str = ""
    drop: bool = False
    order: Order | None = None
    axes: dict[str, tuple[Order, int]] = field(default_factory=dict)
    align: dict[str, tuple[bool, ...]] = field(default_factory=dict)
    fold: bool = False

    @property
    def trivial(self) -> bool:
        """Whether the site stays as it is."""
        plain = self.order is None or is_identity(self.order)
        return (
            not (
                self.convert or self.attributes or self.reorder or self.result or self.rename or self.drop or self.align
            )
            and plain
        )

    @property
    def own(self) -> Edit:
        """What concerns the arguments of a layer that is called, not the call."""
        return Edit(attributes=self.attributes, reorder=self.reorder, rename=self.rename)

    def key(self) -> str:
        """Equal for edits that can share one site."""
        return repr(
            (self.convert, self.attributes, self.reorder, self.result, self.rename, self.drop, self.order, self.align)
        )


@dataclass(frozen=True)
class Fold:
    """A flattened axis whose elements are in the target's sequence: ``sizes`` of the source axes, stored as ``order``."""

    axis: int
    sizes: tuple[int, ...]
    order: Order


@dataclass
class Layout:
    """The result: orders of values, edits of sites, folds into layers."""

    orders: dict[int, Order] = field(default_factory=dict)
    folds: dict[int, Fold] = field(default_factory=dict)
    edits: dict[tuple[str, int], Edit] = field(default_factory=dict)
    weight_folds: dict[int, Fold] = field(default_factory=dict)
    displays: dict[int, Order] = field(default_factory=dict)
    """Lists of axes that are written elsewhere than at the op they arrive at -> their new values."""
    ranks: dict[int, set[int]] = field(default_factory=dict)
    """Construction of a layer -> the ranks of what it was called with."""

    def order(self, value: Tensor) -> Order:
        """The order of a tensor; the source's own unless something else was found."""
        return self.orders.get(value.identity, identity(len(value.shape)))


Rule = Callable[["Solver", Use], Edit]


class Solver:
    """One run of the sweeps; rules call back into it."""

    def __init__(
        self, found: Sequence[Use], inputs: Sequence[Tensor], outputs: Sequence[Tensor], pinned: set[tuple[str, int]],
        wishes: Mapping[int, Order], habits: Mapping[Habit, Order], *, keep_interface: bool,
        leading: Collection[int] = (), leaders: Collection[tuple[str, int]] = (),
        native: Callable[[int], Order] = native, plain: bool = False,
    ) -> None:  # fmt: skip
        self.native = native
        self.plain = plain
        """Whether everything between the layers stays in the source's order: no site can disagree with itself then."""
        self.leaders = leaders
        self.found = found
        self.inputs = inputs
        self.outputs = {t.identity for t in outputs}
        self.pinned = pinned
        self.layout = Layout()
        self.desires: dict[int, Order] = dict(wishes)
        self.habits = habits
        self.wishes: dict[int, Order] = {}
        self.foldable: dict[int, bool] = {}
        self.keep_interface = keep_interface
        self.leading = leading
        self.conflicts: set[tuple[str, int]] = set()
        self.sharing: dict[tuple[str, int], set[tuple[str, int]]] = {}
        """The sites that have a say in what a place becomes: in a layer's arguments, those that call it."""
        self.free: set[int] = set()
        self.carried: dict[Habit, set[Order]] = {}

    def run(self) -> None:
        """Both sweeps."""
        from netferry.passes.layout import rules
        from netferry.passes.layout.steps import opaque

        for use in () if self.plain else reversed(self.found):
            self._follow_habit(use)
            if use.where not in self.pinned:
                rules.desire(self, use)
            self._foldable(use)
        for tensor in self.inputs:
            self.free.add(tensor.identity)
            wish = None if self.keep_interface else self.desires.get(tensor.identity)
            self.layout.orders[tensor.identity] = wish or identity(len(tensor.shape))
        for use in self.found:
            self._apply(use, rules.RULES.get(use.rule, opaque), opaque)

    def _follow_habit(self, use: Use) -> None:
        """Where nobody cares about a result, or only about where its axes of size one lie, it is laid as the others of its site."""
        if use.event is not None and use.event.origins:
            return  # What such a site does is said elsewhere, differently for each of its uses.
        for result in use.results:
            habit = self.habits.get((use.where, len(result.shape)))
            if habit is None or use.where in self.pinned:
                continue
            wish = self.desires.get(result.identity)
            if wish is None or alike(result.shape, wish, habit):
                self.want(result, habit)

    def habits_of_sites(self) -> dict[Habit, Order]:
        """What the readers of each site's results wish, where they agree.

        Where they wish nothing and a site's uses do not agree: the order that a reshape leaves its results in, as far as
        no axis of size one leaves it open.
        """
        seen: dict[Habit, set[Order]] = {}
        vague: dict[Habit, set[Order]] = {}
        for use in self.found:
            for result in use.results:
                wish = self.desire(result)
                if wish is not None and not moves_units(result.shape, wish):
                    wishes = vague if 1 in result.shape[1:] else seen
                    wishes.setdefault((use.where, len(result.shape)), set()).add(wish)
        unsure = {k: v for k, v in self.carried.items() if k not in seen and k[0] in self.conflicts}
        return {key: min(orders) for key, orders in (vague | unsure | seen).items() if len(orders) == 1}

    def _apply(self, use: Use, rule: Rule, opaque: Rule) -> None:
        edit = (opaque if use.where in self.pinned else rule)(self, use)
        where = use.where
        if self.plain:
            self._restore(use, edit)
        elif where in self.leaders and where not in self.pinned:
            self._lead(use, edit)
        first = next(iter(use.operands.values()), None)
        if use.instance is not None and use.made is not None and isinstance(first, Tensor):
            self.layout.ranks.setdefault(use.made, set()).add(len(first.shape))
        if where[1] < 0 or (use.site is None and use.made is None):
            return
        if use.site is not None and use.instance is not None:
            if use.made is not None:
                self._note(("layer", use.made), edit.own, where)
            elif not edit.own.trivial:
                self.conflicts.add(where)  # Nobody can say it where the layer is made.
        self._note(where, edit, where)

    def _note(self, place: tuple[str, int], edit: Edit, where: tuple[str, int]) -> None:
        """An edit of a place, on which all sites that share it must agree."""
        sharing = self.sharing.setdefault(place, set())
        sharing.add(where)
        before = self.layout.edits.setdefault(place, edit)
        if before.key() != edit.key():
            self.conflicts |= sharing

    def _lead(self, use: Use, edit: Edit) -> None:
        """Give the result in the order that convolutions want, for those that get it now from here, now from elsewhere."""
        if len(use.results) != 1 or edit.result is not None:
            return
        result = use.results[0]
        have, wanted = self.order(result), self.native(len(result.shape))
        if have != wanted:
            edit.result = conversion(have, wanted)
            self.set(result, wanted)

    def _restore(self, use: Use, edit: Edit) -> None:
        """Give the result in the source's order."""
        for result in use.results:
            have = self.order(result)
            if not is_identity(have) and len(use.results) == 1 and edit.result is None:
                edit.result = conversion(have, identity(len(have)))
                self.set(result, identity(len(have)))

    def sources(self, where: tuple[str, int]) -> set[tuple[str, int]]:
        """The sites from which layers made or called at one place get what is not in the order that they want."""
        at = [use for use in self.found if use.where == where]
        if any(use.rule != "channels" for use in at):
            return set()
        given = [t for use in at for t in list(tensors(next(iter(use.operands.values()), None)))[:1]]
        strange = {t.identity for t in given if self.order(t) != self.native(len(t.shape))}
        return {use.where for use in self.found for t in use.results if t.identity in strange and use.where[1] >= 0}

    # -- helpers for rules ---------------------------------------------------------------------------------------

    def order(self, value: Tensor) -> Order:
        """The current order of a value."""
        return self.layout.order(value)

    def set(self, value: Tensor, order: Order) -> None:
        """Fix the order of a value."""
        self.layout.orders[value.identity] = order

    def desire(self, value: Any) -> Order | None:
        """The order that consumers of ``value`` would like."""
        if not isinstance(value, Tensor) or (self.keep_interface and value.identity in self.outputs):
            return None
        wish = self.desires.get(value.identity)
        return wish if wish is not None and len(wish) == len(value.shape) else None

    def want(self, value: Any, order: Order | None) -> None:
        """Note a wish; the first consumer's wish (the last noted in the backward sweep) wins."""
        if isinstance(value, Tensor) and order is not None and len(order) == len(value.shape):
            self.desires[value.identity] = order

    def require(self, edit: Edit, name: str, value: Any, order: Order) -> None:
        """Convert an operand where its order is not the one needed."""
        if not isinstance(value, Tensor):
            return
        have = self.order(value)
        if have != order and len(have) == len(order):
            if value.identity in self.free and value.identity not in self.desires:
                self.wishes[value.identity] = order
            change = conversion(have, order)
            if not moves_units([value.shape[a] for a in have], change):
                edit.convert[name] = change

    def _foldable(self, use: Use) -> None:
        """Whether each operand may arrive with a flattened axis in the target's sequence."""
        keeps = use.rule in ("elementwise", "dropout") and use.op not in ("parameter", "buffer")
        for name, operand in use.operands.items():
            for value in tensors(operand):
                allowed = False
                if use.op == "linear" and use.instance is not None and name == "x":
                    allowed = True
                elif keeps and len(use.results) == 1 and use.results[0].shape == value.shape:
                    others = [v for o in use.operands.values() for v in tensors(o) if v.identity != value.identity]
                    allowed = not others and self.foldable.get(use.results[0].identity, False)
                self.foldable[value.identity] = self.foldable.get(value.identity, True) and allowed

    def rewrite(self, use: Use, display: int, value: Order) -> None:
        """Change a list of axes where it is written; all that it arrives at must agree."""
        if self.layout.displays.setdefault(display, value) != value:
            self.conflicts.add(use.where)

    def may_fold(self, value: Tensor) -> bool:
        """Whether every reader of ``value`` can have its weights rearranged instead."""
        return value.identity not in self.outputs and self.foldable.get(value.identity, False)


def solve(
    recording: Any, *, keep_interface: bool = False, leading: Collection[int] = (),
    native: Callable[[int], Order] = native,
) -> Layout:  # fmt: skip
    """The layout of a recorded run; ``native`` gives the order that the target's convolutions want.

    ``keep_interface`` leaves the network's own inputs and outputs as they are; ``leading`` are the reads of shapes of
    which only the first size is used.
    """
    found = list(uses(recording))
    inputs = [*recording.inputs, *recording.inner]
    outputs = list(tensors(recording.outputs))
    pinned: set[tuple[str, int]] = set()
    wishes: dict[int, Order] = {}
    habits: dict[Habit, Order] = {}
    leaders: set[tuple[str, int]] = set()
    options: Any = {"keep_interface": keep_interface, "leading": leading, "leaders": leaders, "native": native}
    solver: Solver
    for _ in range(_ROUNDS):
        solver = Solver(found, inputs, outputs, pinned, wishes, habits, **options)
        solver.run()
        new: dict[Any, Order] = {k: v for k, v in solver.wishes.items() if k not in wishes}
        fresh = solver.conflicts - pinned
        if not fresh and not new:
            break
        wishes.update(new)
        if fresh:
            more = {k: v for k, v in solver.habits_of_sites().items() if k not in habits}
            habits.update(more)
            new.update(more)
        if fresh and not new and (sources := {s for w in fresh for s in solver.sources(w)} - leaders):
            leaders |= sources
            continue
        if fresh and not new:  # What a new wish makes of the sites decides whether they agree.
            pinned.add(min(fresh, key=lambda w: w[1]) if len(fresh) > 8 else next(iter(fresh)))
            pinned |= fresh
    if solver.conflicts:  # Code that is written once cannot do what each of its uses needs.
        solver = Solver(found, inputs, outputs, set(), {}, {}, plain=True, **options)
        solver.run()
    return solver.layout


NATIVE = native
