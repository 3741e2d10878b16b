"""The numbers in which the occurrences of a function differ, as few arguments of it as say them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Final

from netferry.graphs.model import Argument, Parameter, Ref, Step, Width, refs

_MOST_TIMES: Final = 8
_LEADS: Final = ("", "mid_", "out_")
"""What tells options of the same name apart, in the order in which they come."""
COUNT: Final = "@count"
"""The name under which the rounds of a loop go among its options."""

Vector = tuple[Any, ...]


@dataclass(eq=False)
class _Difference:
    """An option of one step that is not the same everywhere."""

    place: int
    option: str
    values: Vector
    is_width: bool
    default: Any
    tensor: int | None = None
    """What the step is called with."""
    index: int | None = None
    """The place in a tuple, of which all else is the same everywhere."""


@dataclass(eq=False)
class Parameters:
    """The arguments of a function, the options of its steps in terms of them, and what each call gives."""

    arguments: list[Argument] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)


def parametrise(
    occurrences: Sequence[Sequence[Step]], channels: Sequence[Mapping[int, int]], widths: frozenset[str]
) -> Parameters:
    """The arguments that a function of these steps needs."""
    differences = _differences(occurrences, widths)
    found = Parameters(options=[dict(s.options) for s in occurrences[0]], calls=[{} for _ in occurrences])
    said = _derived(differences, occurrences, channels)
    groups: dict[tuple[str, Vector], list[_Difference]] = {}
    for difference in differences:
        if id(difference) not in said:
            groups.setdefault(("width" if difference.is_width else difference.option, difference.values), []).append(
                difference
            )
    names: dict[tuple[bool, Vector], str] = {}
    taken: set[str] = set()
    told = [next((m for m in members if m.index is None), members[0]) for members in groups.values()]
    counts = Counter(_option(m) for m in told)
    for (_, values), members in groups.items():
        member = next((m for m in members if m.index is None), members[0])
        name = _name(_option(member), counts[_option(member)], taken)
        taken.add(name)
        names[members[0].is_width, values] = name
        for member in members:
            _put(found.options[member.place], member, Parameter(name))
        _give(found, name, values, members)
    for difference in differences:
        if id(difference) in said:
            base, times, over = said[id(difference)]
            made = Width(base, times, over) if isinstance(base, Ref) else Parameter(names[True, base], times, over)
            _put(found.options[difference.place], difference, made)
    found.arguments.sort(key=lambda a: a.has_default)
    return found


def _put(options: dict[str, Any], difference: _Difference, value: Any) -> None:
    if difference.index is not None:
        shape = options[difference.option]
        value = (*shape[: difference.index], value, *shape[difference.index + 1 :])
    options[difference.option] = value


def _give(found: Parameters, name: str, values: Vector, members: Sequence[_Difference]) -> None:
    default = members[0].default
    has_default = default is not None and default in values and all(m.default == default for m in members)
    found.arguments.append(Argument(name, default, has_default))
    for call, value in zip(found.calls, values, strict=True):
        if not has_default or value != default:
            call[name] = value


def _differences(occurrences: Sequence[Sequence[Step]], widths: frozenset[str]) -> list[_Difference]:
    found = []
    for place, steps in enumerate(zip(*occurrences, strict=True)):
        names = dict.fromkeys(n for step in steps for n in step.options)
        tensor = None if steps[0].is_loop else next(steps[0].tensors(), None)
        for name in names:
            values = tuple(step.option(name) for step in steps)
            if _differ(values):
                default = steps[0].kind.defaults.get(name)
                is_width = name in widths or name.rpartition("_")[2] in widths
                found.append(_Difference(place, name, values, is_width and _whole(values), default, tensor))
        counts = tuple(step.count for step in steps)
        if _differ(counts):
            found.append(_Difference(place, COUNT, counts, False, None))
    known = {d.values for d in found if d.is_width}
    for difference in found:
        difference.is_width |= difference.values in known and difference.option != COUNT
    return [part for d in found for part in _parts(d, known)]


def _parts(difference: _Difference, widths: set[Vector]) -> list[_Difference]:
    """Shapes that differ in widths alone, as these: ``(1, 1, filters)``."""
    shapes = difference.values
    if not all(isinstance(v, tuple) and len(v) == len(shapes[0]) for v in shapes):
        return [difference]
    columns = list(zip(*shapes, strict=True))
    varied = [n for n, column in enumerate(columns) if _differ(column)]
    if not all(columns[n] in widths for n in varied):
        return [difference]
    return [replace(difference, values=columns[n], is_width=True, default=None, index=n) for n in varied]


def _differ(values: Vector) -> bool:
    """Whether values must be handed in: they are not the same, or arguments of the function around."""
    return any(v != values[0] or isinstance(v, Parameter) for v in values)


def _whole(values: Vector) -> bool:
    return all(isinstance(v, int | Parameter) for v in values)


def _derived(
    differences: Sequence[_Difference], occurrences: Sequence[Sequence[Step]], channels: Sequence[Mapping[int, int]]
) -> dict[int, tuple[Any, int, int]]:
    """The widths that are a fixed part of another width: what they are derived from, and how."""
    vectors = list(dict.fromkeys(d.values for d in differences if d.is_width))
    how: dict[Vector, tuple[Any, int, int]] = {}
    own: dict[int, tuple[Any, int, int]] = {}
    for tensor, known, is_inner in _tensors(occurrences, channels):
        for difference in (d for d in differences if d.is_width):
            ratio = _ratio(difference.values, known)
            if ratio is None or ratio == (1, 1):
                continue
            others = [v for v in vectors if v != difference.values]
            alone = sum(d.values == difference.values for d in differences) == 1
            if is_inner and alone and difference.tensor == tensor and not any(_ratio(known, v) for v in others):
                own[id(difference)] = (Ref(tensor), *ratio)
            elif not is_inner and ratio[1] == 1:
                how.setdefault(difference.values, (Ref(tensor), *ratio))
    left = [v for v in vectors if v not in how and not all(id(d) in own for d in differences if d.values == v)]
    while left:
        base = max(left, key=lambda b: _worth(b, left))
        left.remove(base)
        for vector in list(left):
            ratio = _ratio(vector, base)
            if ratio is not None:
                how[vector] = (base, *ratio)
                left.remove(vector)
    return {id(d): how[d.values] for d in differences if d.is_width and d.values in how} | own


def _tensors(
    occurrences: Sequence[Sequence[Step]], channels: Sequence[Mapping[int, int]]
) -> list[tuple[int, Vector, bool]]:
    """The tensors with their widths at each place, and whether they are made in the function itself.

    Those that come in are left out where what goes out is as wide as these: then the width is rather an argument.
    """
    made = {v for s in occurrences[0] for v in s.outputs}
    order = [[v for s in steps for v in refs([s.args, s.kwargs])] for steps in occurrences]
    ends = tuple(c.get(steps[-1].outputs[0]) for c, steps in zip(channels, occurrences, strict=True))
    found: dict[int, tuple[int, Vector, bool]] = {}
    for position, tensor in enumerate(order[0]):
        known = tuple(c.get(o[position]) for c, o in zip(channels, order, strict=True))
        if None not in known and len(set(known)) > 1 and (tensor in made or known != ends):
            found.setdefault(tensor, (tensor, known, tensor in made))
    return list(found.values())


def _worth(base: Vector, vectors: Sequence[Vector]) -> tuple[int, int, Fraction]:
    """How many widths follow from one, how many of them as multiples, and how small it is."""
    ratios = [r for v in vectors if (r := _ratio(v, base)) is not None]
    return len(ratios), sum(over == 1 for _, over in ratios), -sum(map(_size, base), Fraction(0))


def _size(value: Any) -> Fraction:
    return Fraction(value.times, value.over) if isinstance(value, Parameter) else Fraction(value)


def _ratio(vector: Vector, base: Vector) -> tuple[int, int] | None:
    """How often one is the other, or which part of it, where that is the same number everywhere."""
    parts = {_part(v, b) for v, b in zip(vector, base, strict=True)}
    found = parts.pop()
    if parts or found is None or (found.numerator > 1 and found.denominator > 1):
        return None
    small = found.numerator <= _MOST_TIMES and found.denominator <= 2 * _MOST_TIMES
    return (found.numerator, found.denominator) if small else None


def _part(value: Any, base: Any) -> Fraction | None:
    names = {v.name if isinstance(v, Parameter) else "" for v in (value, base)}
    if len(names) > 1 or _size(base) <= 0 or _size(value) <= 0:
        return None
    return _size(value) / _size(base)


def _option(member: _Difference) -> str:
    """What the numbers are: the option that they are of."""
    option = "repeats" if member.option == COUNT else member.option
    return next((option.removeprefix(lead) for lead in _LEADS[1:] if option.startswith(lead)), option)


def _name(option: str, count: int, taken: set[str]) -> str:
    """What an argument is called: the option, told apart where ``count`` options of that name are arguments."""
    leads = _LEADS if count > 2 else (_LEADS[0], _LEADS[-1])
    made = next((f"{lead}{option}" for lead in leads if f"{lead}{option}" not in taken), "")
    number = 2
    while not made or made in taken:
        made, number = f"{option}_{number}", number + 1
    return made
