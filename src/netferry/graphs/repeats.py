"""Finds what occurs more than once in a graph, the same but for numbers, and makes functions of it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from netferry.graphs import loops
from netferry.graphs.model import Block, Body, Code, Dialect, Make, Ref, Step, Width, varies
from netferry.graphs.names import Names, common, kind_of_block
from netferry.graphs.parameters import COUNT, Parameters, parametrise

_LONGEST: Final = 80
_MOST_INPUTS: Final = 3
_MOST_ARGUMENTS: Final = 6
_LEAST_GAIN: Final = 2.0
_MIXED: Final = 0.5
"""What a function is worth in which loops over other functions stand beside many single layers."""
_TRIED: Final = 40
"""How many of the most promising candidates are looked at closely."""


@dataclass(eq=False)
class _Candidate:
    """Places at which the same steps stand: the body and where in it they start."""

    places: list[tuple[Body, int]]
    length: int
    gain: float = 0.0
    parameters: Parameters | None = None

    def steps(self, number: int = 0) -> list[Step]:
        body, start = self.places[number]
        return body.steps[start : start + self.length]


def group(bodies: Sequence[Body], dialect: Dialect, names: Names) -> list[Block]:
    """Replace what repeats in ``bodies`` by calls of functions and by loops; gives the functions, callees first."""
    blocks: list[Block] = []
    everywhere = list(bodies)
    for body in everywhere:
        loops.even(body)
    while (found := _best(everywhere, bodies, dialect)) is not None:
        block = _extract(found, names)
        blocks.append(block)
        everywhere.append(block.body)
        for body in everywhere:
            loops.even(body)
    arguments = {id(block.body): {a.name for a in block.arguments} for block in blocks}
    for body in everywhere:
        loops.uneven(body, arguments.get(id(body), set()))
    return _ordered(blocks)


def _ordered(blocks: list[Block]) -> list[Block]:
    """Callees before their callers."""
    ordered: list[Block] = []

    def add(block: Block) -> None:
        for step in block.body.steps:
            if step.block is not None:
                add(step.block)
        if block not in ordered:
            ordered.append(block)

    for block in blocks:
        add(block)
    return ordered


def _best(bodies: Sequence[Body], mains: Collection[Body], dialect: Dialect) -> _Candidate | None:
    """The repetition that saves most lines."""
    found: dict[tuple[int, int], list[tuple[Body, int]]] = {}
    for body in bodies:
        for key, start, end in _fragments(body):
            found.setdefault((key, end - start), []).append((body, start))
    candidates = []
    for (_, length), places in found.items():
        apart = _apart(_alike(places, length), length)
        if len(apart) > 1:
            made = _Candidate(apart, length)
            made.gain = _gain(made, mains)
            if made.gain >= _LEAST_GAIN:
                candidates.append(made)
    candidates.sort(key=lambda c: -c.gain)
    best: _Candidate | None = None
    for candidate in candidates[:_TRIED]:
        if best is not None and candidate.gain <= best.gain:
            break
        candidate.parameters = parametrise(
            [candidate.steps(n) for n in range(len(candidate.places))], [b.channels for b, _ in candidate.places], dialect.widths
        )  # fmt: skip
        count = len(candidate.parameters.arguments)
        candidate.gain -= 0.25 * max(count - 2, 0) * len(candidate.places)
        fits = count <= _MOST_ARGUMENTS and candidate.gain >= _LEAST_GAIN
        if fits and (best is None or candidate.gain > best.gain):
            best = candidate
    return best


def _alike(places: list[tuple[Body, int]], length: int) -> list[tuple[Body, int]]:
    """The places without those whose layers' names do not belong together, where those of most do."""
    stems = [common([s.label for s in body.steps[start : start + length] if s.label]) for body, start in places]
    return (
        [p for p, stem in zip(places, stems, strict=True) if stem] if sum(map(bool, stems)) * 2 > len(stems) else places
    )


def _apart(places: Sequence[tuple[Body, int]], length: int) -> list[tuple[Body, int]]:
    """The places that do not overlap, from the first on."""
    kept: list[tuple[Body, int]] = []
    for body, start in places:
        if not kept or kept[-1][0] is not body or start >= kept[-1][1] + length:
            kept.append((body, start))
    return kept


def _fragments(body: Body) -> Iterator[tuple[int, int, int]]:
    """Every run of steps that could be a function: few tensors in, one out; each with a key of what it computes."""
    last = body.last_uses()
    total = len(body.steps)
    for start in range(total):
        inner: dict[int, tuple[int, int]] = {}
        outer: dict[int, int] = {}
        alive: set[int] = set()
        key = 0
        for end in range(start + 1, min(start + _LONGEST, total) + 1):
            step = body.steps[end - 1]
            if step.owner or step.rows:
                break
            key = hash((key, _signature(step, inner, outer)))
            if len(outer) > _MOST_INPUTS:
                break
            inner |= {value: (end - start, n) for n, value in enumerate(step.outputs)}
            alive |= {v for v in step.outputs if last.get(v, -1) >= end}
            alive -= {v for v in step.tensors() if last[v] == end - 1}
            whole = start == 0 and end == total
            is_pair = end - start > 1 or (step.is_loop and step.block is None)
            if is_pair and not whole and len(alive) == 1 and alive <= set(step.outputs):
                yield hash((key, step.outputs.index(next(iter(alive))))), start, end


def _signature(step: Step, inner: Mapping[int, tuple[int, int]], outer: dict[int, int]) -> Hashable:
    """What a step computes, tensors told by where they come from and numbers left out."""

    def place(value: int) -> Hashable:
        return inner[value] if value in inner else outer.setdefault(value, len(outer))

    fixed = tuple(
        (name, "pairs" if varies(value) else _frozen(value, place))
        for name, value in sorted(step.options.items())
        if _is_paired(value) or (not varies(value) and value != step.kind.defaults.get(name))
    )
    called = (_frozen(step.args, place), _frozen(step.kwargs, place))
    return step.head, step.layered, fixed, called, len(step.outputs), step.count is not None


def _is_paired(value: Any) -> bool:
    """Whether a value has several numbers for each axis, where others have one."""
    return isinstance(value, tuple) and any(isinstance(item, tuple) for item in value)


def _frozen(value: Any, place: Any) -> Hashable:
    match value:
        case Ref():
            return "tensor", place(value.value)
        case Width():
            return "width", place(value.tensor.value), value.times, value.over
        case Make():
            return value.head, _frozen(value.options, place)
        case Code():
            return "code", value.text
        case list() | tuple():
            return type(value).__name__, *(_frozen(item, place) for item in value)
        case dict():
            return tuple((key, _frozen(item, place)) for key, item in value.items())
        case slice():
            return "slice", repr(value)
    return type(value).__name__, value


def _gain(candidate: _Candidate, mains: Collection[Body]) -> float:
    """How many lines a function saves, less what is awkward about it."""
    steps = candidate.steps()
    lines = sum(s.lines for s in steps)
    count = len(candidate.places)
    calls, number = 0, 0
    while number < count:
        run = _run(candidate, number)
        calls += min(run, 2)
        number += run
    inputs = len(_outside(steps))
    begins = 0.25 * count * (steps[0].kind.role in ("activation", "dropout", "add"))
    torn = 0.25 * count if all(b in mains for b, _ in candidate.places) else count + 2
    saved = lines * count - calls - (lines + 2) - (inputs - 1) * torn - begins + _named(candidate)
    saved += count > 2 and calls <= 2  # The whole becomes one loop.
    return saved * (_MIXED if _is_mixed(steps) else 1.0)


def _is_mixed(steps: Sequence[Step]) -> bool:
    """Whether loops over functions stand beside many single layers, which then are a function of their own."""
    leaves = sum(s.block is None for s in steps)
    return leaves > 3 and any(s.block is not None and s.is_loop for s in steps)


def _run(candidate: _Candidate, number: int) -> int:
    """How many places from this one on directly follow each other."""
    run = 1
    while number + run < len(candidate.places):
        (body, start), (other, later) = candidate.places[number + run - 1 : number + run + 1]
        if body is not other or later != start + candidate.length:
            break
        run += 1
    return run


def _named(candidate: _Candidate) -> float:
    """A bonus where the layers' names say that they belong together and their neighbours do not; else the reverse."""
    bonus = 0.2 * candidate.length * len(candidate.places)
    stems = []
    for body, start in candidate.places:
        labels = [s.label for s in body.steps[start : start + candidate.length] if s.label]
        stems.append(common(labels) if len(labels) > 1 else None)
        around = [body.steps[p].label for p in (start - 1, start + candidate.length) if 0 <= p < len(body.steps)]
        if stems[-1] and any(label.startswith(stems[-1]) for label in around):
            bonus = 0.0
    if any(stem == "" for stem in stems):
        return -bonus if bonus else -1.0
    return bonus if all(stems) else 0.0


def _with(step: Step, options: dict[str, Any]) -> Step:
    """The step as it is in a function: its options in terms of arguments."""
    count = options.pop(COUNT, step.count)
    return replace(step, options=options, count=count)


def _outside(steps: Sequence[Step]) -> list[int]:
    """The tensors that steps take from outside, in order of their first use."""
    made = {value for step in steps for value in step.outputs}
    return list(dict.fromkeys(v for step in steps for v in step.tensors() if v not in made))


def _extract(candidate: _Candidate, names: Names) -> Block:
    """Make a function of a candidate and call it at all its places."""
    parameters = candidate.parameters
    assert parameters is not None
    steps = [_with(s, o) for s, o in zip(candidate.steps(), parameters.options, strict=True)]
    given, last = _outside(steps), steps[-1]
    body, start = candidate.places[0]
    kept = [v for v in last.outputs if body.last_uses().get(v, -1) >= start + candidate.length]
    position = last.outputs.index(kept[0])
    inner = Body(given, steps, Ref(kept[0]), body.channels)
    labels = [[s.label for s in candidate.steps(n) if s.label] for n in range(len(candidate.places))]
    block = Block(
        names.of_block(inner, [common(found) if len(found) > 1 else "" for found in labels]),
        inner,
        parameters.arguments,
    )
    kind = kind_of_block(block)
    for number in reversed(range(len(candidate.places))):
        body, start = candidate.places[number]
        old = candidate.steps(number)
        call = Step(
            block.name, parameters.calls[number], tuple(Ref(v) for v in _outside(old)), (old[-1].outputs[position],), kind,
            block=block, label=common(labels[number]),
        )  # fmt: skip
        body.steps[start : start + candidate.length] = [call]
    return block
