"""Rearranging arrays between layouts written as strings: the engine of the weight map.

A layout names the axes of an array: ``"O I K1 K2"``. ``(a b)`` is one axis made of several, the last varying fastest;
``(g:ifgo H)`` is one whose part ``g`` lists named blocks in that order; ``~K`` runs backwards; ``1`` is an axis of that size. A framework's
parameter is a *spec* over canonical arrays: ``"weight: K1 K2 I O"``, ``"bias_ih + bias_hh: (g:ifgo H)"``,
``"stack(q, k, v): (p H) E"`` (the axis that the canonical layouts lack is the one that tells the parts apart).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Step = dict[str, Any]
"""One elementary change, as JSON: ``{"op": "transpose", "axes": [1, 0]}``."""


@dataclass(frozen=True)
class Factor:
    """A named part of an axis; ``order`` names its blocks, one letter each; one that is ``backwards`` starts at its end."""

    name: str
    order: str = ""
    backwards: bool = False


@dataclass(frozen=True)
class Layout:
    """The axes of an array, each made of factors (an axis of size one has none)."""

    axes: tuple[tuple[Factor, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Parse ``"(g:ifgo H) I"``; raises ValueError for a name given twice."""
        axes = [_factors(part) for part in re.findall(r"\([^)]*\)|\S+", text)]
        names = [f.name for axis in axes for f in axis]
        if len(set(names)) != len(names):
            raise ValueError(f"layout {text!r} names an axis twice")
        return cls(tuple(axes))

    @property
    def factors(self) -> tuple[Factor, ...]:
        """All factors in memory order."""
        return tuple(f for axis in self.axes for f in axis)

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The array's shape for the given factor sizes."""
        return tuple(math.prod(sizes[f.name] for f in axis) for axis in self.axes)

    def sizes(self, shape: Sequence[int], known: Mapping[str, int] | None = None) -> dict[str, int]:
        """The factor sizes of an array of ``shape``; raises ValueError where they do not fit or do not follow."""
        if len(shape) != len(self.axes):
            raise ValueError(f"an array of shape {tuple(shape)} has not the {len(self.axes)} axes of its layout")
        found = dict(known or {}) | {f.name: len(f.order) for f in self.factors if f.order}
        for size, axis in zip(shape, self.axes, strict=True):
            unknown = [f.name for f in axis if f.name not in found]
            rest = math.prod(found[f.name] for f in axis if f.name in found)
            if len(unknown) > 1:
                raise ValueError(f"the sizes of {' and '.join(unknown)} do not follow from {size}")
            if unknown:
                found[unknown[0]], remainder = divmod(size, rest)
                if remainder:
                    raise ValueError(f"{size} is not a multiple of {rest}")
            elif rest != size:
                raise ValueError(f"an axis has size {size}, its layout says {rest}")
        return found


def _factors(part: str) -> tuple[Factor, ...]:
    words = part.strip("()").split()
    found = ((word.removeprefix("~").partition(":"), word.startswith("~")) for word in words if word != "1")
    return tuple(Factor(name, order, backwards) for (name, _, order), backwards in found)


@dataclass(frozen=True)
class Spec:
    """How a framework's parameter is made from canonical arrays; ``combine`` is ``""``, ``"sum"`` or ``"stack"``."""

    names: tuple[str, ...]
    combine: str
    layout: Layout

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Parse ``"expression: layout"``."""
        expression, _, layout = text.partition(":")
        stacked = re.fullmatch(r"\s*stack\((.*)\)\s*", expression)
        names = tuple(n.strip() for n in (stacked.group(1).split(",") if stacked else expression.split("+")))
        combine = "stack" if stacked else "sum" if len(names) > 1 else ""
        return cls(names, combine, Layout.parse(layout))


@dataclass(frozen=True)
class Recipe:
    """An array made from others: each input is changed by its steps, all are combined, the result is changed again.

    An input named ``""`` starts from nothing (its steps begin with ``zeros``).
    """

    inputs: tuple[tuple[str, tuple[Step, ...]], ...]
    combine: str = ""
    steps: tuple[Step, ...] = field(default=())

    def __call__(self, arrays: Mapping[str, Array]) -> Array:
        """Make the array."""
        parts = [run(steps, arrays.get(name)) for name, steps in self.inputs]
        if self.combine == "stack":
            return run(self.steps, np.stack(parts))
        return run(self.steps, sum(parts[1:], parts[0]))

    def describe(self) -> dict[str, Any]:
        """The recipe as JSON."""
        made: dict[str, Any] = {"from": [{"source": n, "steps": list(s)} for n, s in self.inputs]}
        if self.combine:
            made["combine"] = self.combine
        return made | ({"steps": list(self.steps)} if self.steps else {})

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> Recipe:
        """The recipe that :meth:`describe` described."""
        inputs = tuple((i["source"], tuple(i["steps"])) for i in description["from"])
        return cls(inputs, description.get("combine", ""), tuple(description.get("steps", ())))

    def after(self, sources: Mapping[str, Recipe]) -> Recipe:
        """This recipe with each input made by a recipe of its own (which combines nothing)."""
        inputs = []
        for name, steps in self.inputs:
            source = sources[name]
            if len(source.inputs) != 1:
                raise ValueError(f"{name} is itself made from several arrays")
            ((origin, before),) = source.inputs
            inputs.append((origin, simplified((*before, *source.steps, *steps))))
        return Recipe(tuple(inputs), self.combine, self.steps)


def run(steps: Sequence[Step], array: Array | None) -> Array:
    """Apply steps in order."""
    for step in steps:
        array = _apply(step, array)
    if array is None:
        raise ValueError("there is no array to rearrange")
    return array


def _apply(step: Step, array: Array | None) -> Array:
    if step["op"] == "zeros":
        return np.zeros(step["shape"])
    if array is None:
        raise ValueError(f"no array for step {step}")
    changes: dict[str, Callable[[], Array]] = {
        "reshape": lambda: array.reshape(step["shape"]),
        "transpose": lambda: array.transpose(step["axes"]),
        "take": lambda: np.take(array, step["indices"], step["axis"]),
        "select": lambda: np.take(array, step["index"], step["axis"]),
    }
    if step["op"] in changes:
        return changes[step["op"]]()
    raise ValueError(f"unknown step {step['op']!r}")


def between(source: Layout, target: Layout, shape: Sequence[int], known: Mapping[str, int] | None = None) -> list[Step]:
    """The steps from an array of ``shape`` in layout ``source`` to layout ``target``.

    Raises:
        ValueError: the layouts name different axes or blocks, or sizes do not follow from the shape.
    """
    before, after = {f.name: f for f in source.factors}, {f.name: f for f in target.factors}
    if before.keys() != after.keys():
        raise ValueError(f"the layouts differ in {', '.join(sorted(before.keys() ^ after.keys()))}")
    sizes = source.sizes(shape, known)
    names = [f.name for f in source.factors]
    steps: list[Step] = [{"op": "reshape", "shape": [sizes[n] for n in names]}]
    for position, name in enumerate(names):
        old, new = before[name].order, after[name].order
        if old != new:
            if sorted(old) != sorted(new):
                raise ValueError(f"the blocks of {name!r} are {old!r} here and {new!r} there")
            steps.append({"op": "take", "axis": position, "indices": [old.index(block) for block in new]})
        if before[name].backwards != after[name].backwards:
            steps.append({"op": "take", "axis": position, "indices": [*range(sizes[name])][::-1]})
    steps.append({"op": "transpose", "axes": [names.index(f.name) for f in target.factors]})
    steps.append({"op": "reshape", "shape": list(target.shape(sizes))})
    return list(simplified(steps, shape))


def simplified(steps: Sequence[Step], shape: Sequence[int] | None = None) -> tuple[Step, ...]:
    """The same change in fewer steps; ``shape`` is that of the array they start from, where it is known."""
    kept: list[Step] = []
    now = None if shape is None else list(shape)
    for step in steps:
        if step["op"] == "transpose" and step["axes"] == sorted(step["axes"]):
            continue
        if step["op"] == "reshape":
            while kept and kept[-1]["op"] == "reshape":
                kept.pop()
                now = _shape(kept, shape)
            if now == step["shape"]:
                continue
        if step["op"] == "transpose" and kept and kept[-1]["op"] == "transpose":
            first = kept.pop()["axes"]
            merged = [first[axis] for axis in step["axes"]]
            now = _shape(kept, shape)
            if merged == sorted(merged):
                continue
            step = {"op": "transpose", "axes": merged}
        kept.append(step)
        now = _shape(kept, shape)
    return tuple(kept)


def shape_after(steps: Sequence[Step], shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of an array of ``shape`` after ``steps``."""
    return tuple(_shape(steps, shape) or shape)


def _shape(steps: Sequence[Step], shape: Sequence[int] | None) -> list[int] | None:
    """The shape after ``steps`` (on an array that holds no memory); None where it is not known."""
    if shape is None:
        return list(steps[-1]["shape"]) if steps and "shape" in steps[-1] else None
    return list(run(steps, np.broadcast_to(np.zeros(()), tuple(shape))).shape)


def to_framework(
    spec: Spec,
    canonical: Mapping[str, str],
    shapes: Mapping[str, Sequence[int]],
    shape: Sequence[int] | None = None,
    known: Mapping[str, int] | None = None,
) -> Recipe:
    """A framework's parameter from canonical arrays of the given layouts and shapes.

    ``shape``, the parameter's own, and ``known`` settle sizes that do not follow from the canonical arrays.
    """
    known = _own_sizes(spec.layout, shape) | dict(known or {})
    if spec.combine != "stack":
        inputs = [
            (name, tuple(between(Layout.parse(canonical[name]), spec.layout, shapes[name], known)))
            for name in spec.names
        ]
        return Recipe(tuple(inputs), spec.combine)
    first = spec.names[0]
    stacked = _stacked(spec, canonical)
    steps = between(stacked, spec.layout, (len(spec.names), *shapes[first]), known)
    return Recipe(tuple((name, ()) for name in spec.names), "stack", tuple(steps))


def from_framework(
    parameter: str,
    spec: Spec,
    canonical: Mapping[str, str],
    shape: Sequence[int],
    known: Mapping[str, int] | None = None,
) -> dict[str, Recipe]:
    """The canonical arrays behind a framework's parameter of ``shape``.

    A sum has no inverse; all of it goes to the first array and zeros to the others, which computes the same.
    """
    if spec.combine == "stack":
        stacked = _stacked(spec, canonical)
        steps = between(spec.layout, stacked, shape, dict(known or {}) | {stacked.axes[0][0].name: len(spec.names)})
        return {
            name: Recipe(((parameter, (*steps, {"op": "select", "axis": 0, "index": index})),))
            for index, name in enumerate(spec.names)
        }
    first, *others = spec.names
    layout = Layout.parse(canonical[first])
    made = {first: Recipe(((parameter, tuple(between(spec.layout, layout, shape, known))),))}
    zeros = {"op": "zeros", "shape": list(layout.shape(spec.layout.sizes(shape, known)))}
    return made | {name: Recipe((("", (zeros,)),)) for name in others}


def _stacked(spec: Spec, canonical: Mapping[str, str]) -> Layout:
    """The layout of the parts laid one upon another: the new axis first."""
    part = Layout.parse(canonical[spec.names[0]])
    new = [f for f in spec.layout.factors if f.name not in {p.name for p in part.factors}]
    if len(new) != 1:
        raise ValueError(f"stacking {', '.join(spec.names)} needs exactly one axis that they lack")
    return Layout(((new[0],), *part.axes))


def _own_sizes(layout: Layout, shape: Sequence[int] | None) -> dict[str, int]:
    """The factor sizes that follow from single-factor axes of the framework's own array."""
    if shape is None:
        return {}
    return {axis[0].name: size for axis, size in zip(layout.axes, shape, strict=True) if len(axis) == 1}
