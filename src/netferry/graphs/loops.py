"""Steps that stand one after the other, the same but for numbers, as loops."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final

from netferry.graphs.model import Body, Parameter, Step, handed_on, refs, replaced, varies
from netferry.graphs.names import common

_ROWS: Final = 3
"""From how many rounds on a loop over different numbers is shorter than the calls."""


def even(body: Body) -> None:
    """Make a loop of every run of steps that do not differ at all."""
    _compress(
        body, 2, lambda run: replace(run[0], outputs=run[-1].outputs, count=len(run), label=_label(run)), same=True
    )


def _label(run: Sequence[Step]) -> str:
    return common([s.label for s in run if s.label])


def uneven(body: Body, taken: Collection[str] = ()) -> None:
    """Make a loop over tuples of numbers of every run of steps that differ in numbers."""
    _unroll(body)
    _compress(body, _ROWS, lambda run: _over_rows(run, taken), same=False)


def _unroll(body: Body) -> None:
    """Take short loops apart that stand beside further calls of the same function."""
    free = max([*(v for s in body.steps for v in (*s.tensors(), *s.outputs)), *body.inputs, 0]) + 1
    for place in reversed(range(len(body.steps))):
        step = body.steps[place]
        around = [body.steps[p] for p in (place - 1, place + 1) if 0 <= p < len(body.steps)]
        if step.block is None or not isinstance(step.count, int) or not any(s.head == step.head for s in around):
            continue
        rounds: list[Step] = []
        first = given = list(refs([step.args, step.kwargs]))[step.carried]
        for number in range(step.count):
            made = step.outputs[0] if number == step.count - 1 else free
            args = replaced(step.args, functools.partial(_swapped, first, given)) if number else step.args
            rounds.append(replace(step, args=args, outputs=(made,), count=None))
            given, free = made, free + 1
        body.steps[place : place + 1] = rounds


def _swapped(old: int, new: int, value: int) -> int:
    return new if value == old else value


def _compress(body: Body, least: int, make: Any, *, same: bool) -> None:
    uses = body.uses()
    place = 0
    while place < len(body.steps):
        run = _run(body.steps, place, uses, same)
        if len(run) >= least:
            carried, made = handed_on(*run[:2]), make(run)
            body.steps[place : place + len(run)] = [replace(made, carried=carried)] if made else run
        place += 1


def _run(steps: Sequence[Step], place: int, uses: dict[int, int], same: bool) -> list[Step]:
    run = [steps[place]]
    if run[0].is_loop:
        return run
    while place + len(run) < len(steps):
        previous, step = run[-1], steps[place + len(run)]
        carried = handed_on(previous, step)
        if carried is None or step.is_loop or uses.get(previous.outputs[0]) != 1:
            break
        if run[1:] and carried != handed_on(*run[:2]):
            break
        if not (_equal(previous, step) if same else _similar(previous, step)):
            break
        run.append(step)
    return run


def _equal(one: Step, two: Step) -> bool:
    names = {*one.options, *two.options}
    return all(one.option(n) == two.option(n) for n in names)


def _similar(one: Step, two: Step) -> bool:
    names = {*one.options, *two.options}
    return all(one.option(n) == two.option(n) or (_listed(one.option(n)) and _listed(two.option(n))) for n in names)


def _listed(value: Any) -> bool:
    """Whether a loop may run over values like this."""
    return varies(value) and not isinstance(value, Parameter | tuple)


def _over_rows(run: Sequence[Step], taken: Collection[str]) -> Step | None:
    names = list(dict.fromkeys(n for s in run for n in s.options))
    ordered = [n for n in [a.name for a in run[0].block.arguments] if n in names] if run[0].block else names
    columns = tuple(n for n in ordered if any(s.option(n) != run[0].option(n) for s in run))
    if set(columns) & set(taken):
        return None
    rows = tuple(tuple(s.option(n) for n in columns) for s in run)
    options = {n: run[0].option(n) for n in names if n not in columns}
    return replace(run[0], options=options, outputs=run[-1].outputs, columns=columns, rows=rows, label=_label(run))
