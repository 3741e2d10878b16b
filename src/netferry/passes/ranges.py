"""Marks pooling whose input cannot be negative: there padding with zeros is padding with the lowest value."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netferry.passes.layout.bound import Use, uses
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import LayerCall, Op
from netferry.pivot.program import Program

_NOT_NEGATIVE = frozenset({"relu", "relu6", "sigmoid", "softmax", "hard_sigmoid", "softplus"})
_POOLS = frozenset({f"max_pool{n}d" for n in (1, 2, 3)})


@dataclass(frozen=True)
class _Place:
    """Where a node stands: the node, its top-level definition and its function."""

    node: ast.AST
    definition: int
    function: int


def mark(program: Program) -> None:
    """Set ``nf_nonnegative`` on every pooling op that was only seen to pool what one written beside it rectified.

    Both must be made in the same class and used in the same function, and the rectifier by its own name: a class that
    takes its activation as an argument may get another one.
    """
    if program.facts is None:
        return
    places = _places(program)
    found: dict[int, bool] = {}
    for pool, rectifier in _pairs(program.facts):
        made = _made(pool, program.facts)
        found[made] = found.get(made, True) and _together(pool, rectifier, places, program.facts)
    for number, safe in found.items():
        if safe:
            places[number].node.nf_nonnegative = True  # type: ignore[attr-defined]


def _pairs(facts: Any) -> Iterator[tuple[Use, Use | None]]:
    """Every observed pooling, and what made the tensor that it pooled."""
    maker: dict[int, Use] = {}
    for use in uses(facts):
        if use.op in _POOLS:
            given = use.operands.get("x")
            yield use, maker.get(given.identity) if isinstance(given, Tensor) else None
        for tensor in use.results:
            maker[tensor.identity] = use


def _made(use: Use, facts: Any) -> int:
    """The node that names the op: the construction of a layer, or the call of a function."""
    found = use.site if use.instance is None else facts.constructed.get(use.instance)
    return -1 if found is None else int(found)


def _together(pool: Use, rectifier: Use | None, places: Mapping[int, _Place], facts: Any) -> bool:
    if rectifier is None or rectifier.op not in _NOT_NEGATIVE:
        return False
    made = [places.get(_made(use, facts)) for use in (pool, rectifier)]
    used = [places.get(_made(use, facts) if use.site is None else use.site) for use in (pool, rectifier)]
    if None in made or None in used or getattr(made[1] and made[1].node, "indirect", None) is not None:
        return False
    same_class = len({place.definition for place in made if place}) == 1
    return same_class and len({place.function for place in used if place}) == 1


def _places(program: Program) -> dict[int, _Place]:
    found: dict[int, _Place] = {}

    def walk(node: ast.AST, definition: int, function: int) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = id(node)
        if isinstance(node, Op | LayerCall) and hasattr(node, "nf_id"):
            found[node.nf_id] = _Place(node, definition, function)
        for child in ast.iter_child_nodes(node):
            walk(child, definition, function)

    for index, definition in enumerate(program.definitions):
        walk(definition.node, index, 0)
    return found
