"""The transpose of a rearrangement: what comes back to the source arrays from an array of the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netferry.weights.rearrange import Array, Recipe, Step


def adjoint(recipe: Recipe, array: Array, shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    """For each source array, the sum of what lands of ``array`` on it; ``shapes`` are those of the sources.

    For gradients this is the chain rule: every part of a sum receives the whole of it.
    """
    parts = [_forward(steps, shapes.get(name, ())) for name, steps in recipe.inputs]
    joined: Sequence[int] = parts[0][-1]
    if recipe.combine == "stack":
        joined = (len(parts), *joined)
    combined = _back(recipe.steps, _forward(recipe.steps, joined), array)
    found: dict[str, Array] = {}
    for index, ((name, steps), before) in enumerate(zip(recipe.inputs, parts, strict=True)):
        if name:
            part = _back(steps, before, combined[index] if recipe.combine == "stack" else combined)
            found[name] = found[name] + part if name in found else part
    return found


def _forward(steps: Sequence[Step], shape: Sequence[int]) -> list[tuple[int, ...]]:
    """The shape before the first step, and after each."""
    shapes = [tuple(shape)]
    for step in steps:
        now = shapes[-1]
        changes: dict[str, Any] = {
            "zeros": lambda s, n: s["shape"],
            "reshape": lambda s, n: s["shape"],
            "transpose": lambda s, n: [n[axis] for axis in s["axes"]],
            "take": lambda s, n: [*n[: s["axis"]], len(s["indices"]), *n[s["axis"] + 1 :]],
            "select": lambda s, n: [*n[: s["axis"]], *n[s["axis"] + 1 :]],
        }
        shapes.append(tuple(changes[step["op"]](step, now)))
    return shapes


def _back(steps: Sequence[Step], shapes: Sequence[tuple[int, ...]], array: Array) -> Array:
    for step, shape in zip(reversed(steps), reversed(shapes[:-1]), strict=True):
        match step["op"]:
            case "reshape":
                array = array.reshape(shape)
            case "transpose":
                array = array.transpose(np.argsort(step["axes"]))
            case "take" | "select":
                whole = np.zeros(shape, array.dtype)
                wanted = step["indices"] if step["op"] == "take" else step["index"]
                np.add.at(whole, (*[slice(None)] * step["axis"], wanted), array)
                array = whole
    return array
