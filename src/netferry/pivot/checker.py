"""Finds what is malformed in a pivot program: unknown ops and arguments, missing ones, tensors of a wrong rank."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import Any

from netferry.diagnostics import Diagnostic, NetferryError
from netferry.ops import registry
from netferry.ops.core import REQUIRED, OpDef, Parameter
from netferry.pivot.facts import Site, Tensor
from netferry.pivot.nodes import LayerAttribute, LayerCall, Op
from netferry.pivot.program import Program
from netferry.walking import walk


def check(program: Program) -> list[Diagnostic]:
    """Everything that is wrong with a program, each with its place in the source."""
    trees = [*(d.node for d in program.definitions), program.construction]
    return [_diagnostic(node.site, message) for tree in trees for node in _nodes(tree) for message in _messages(node)]


def require(program: Program) -> None:
    """Raise NetferryError for the first thing that is wrong with a program."""
    found = check(program)
    if found:
        raise NetferryError(found[0])


def _diagnostic(site: Site | None, message: str) -> Diagnostic:
    place = (site.file, site.line, site.column) if site is not None else ("", 0, 0)
    return Diagnostic("NF035", "error", *place, message)


def _nodes(tree: ast.AST) -> Iterator[Any]:
    """The op nodes of a tree, those beside its fields included."""
    for node in walk(tree):
        if isinstance(node, Op | LayerCall | LayerAttribute):
            yield node
        if isinstance(node, Op) and node.indirect is not None:
            yield from _nodes(node.indirect)
        for other in [*getattr(node, "alternatives", ()), *getattr(node, "nf_alternatives", ())]:
            yield from _nodes(other)


def _messages(node: Any) -> Iterator[str]:
    names = node.ops if isinstance(node, LayerAttribute) else (node.name,)
    for name in names:
        try:
            op = registry.get(name)
        except KeyError:
            yield f"unknown op {name!r}"
            continue
        if isinstance(node, Op):
            yield from _op(node, op)
        elif isinstance(node, LayerCall):
            yield from _arguments(op, "operand", op.operands, node.operands, complete=True)
        if isinstance(node, LayerCall) or (isinstance(node, Op) and not node.layer):
            yield from _rank(node, op)


def _op(node: Op, op: OpDef) -> Iterator[str]:
    # What a variable holds may have arguments already, and a layer gets its tensors when it is called.
    direct = node.indirect is None and not getattr(node, "alternatives", ())
    yield from _arguments(op, "operand", op.operands, node.operands, complete=direct and not node.layer)
    yield from _arguments(op, "attribute", op.attributes, node.attributes, complete=direct)


def _arguments(
    op: OpDef, kind: str, declared: Iterable[Parameter], given: list[ast.keyword], *, complete: bool
) -> Iterator[str]:
    parameters = {p.name: p for p in declared}
    names = [k.arg for k in given]
    for name in names:
        if name not in parameters:
            yield f"{op.name} has no {kind} {name!r}"
    for name, parameter in parameters.items():
        if complete and name not in names and parameter.default is REQUIRED and not parameter.variadic:
            yield f"{op.name} lacks its {kind} {name!r}"


def _rank(node: Op | LayerCall, op: OpDef) -> Iterator[str]:
    """An op over ``n`` spatial axes takes ``n + 2`` axes, or ``n + 1`` without a batch."""
    spatial = re.search(r"(\d)d(_with)?$", op.name)
    if op.name.startswith("dropout"):  # Channels are dropped of whatever has them.
        return
    if op.layout != "channels" or spatial is None or node.site is None:
        return
    fewest = int(spatial[1]) + 1
    for tensor in dict.fromkeys(_first(node.site)):
        if len(tensor.shape) not in (fewest, fewest + 1):
            shape = "x".join(map(str, tensor.shape))
            yield f"{op.name} works on {fewest} or {fewest + 1} axes, not on {shape or 'a scalar'}"


def _first(site: Site) -> Iterator[Tensor]:
    """The first operand of each call seen at a place; where it is not known the result, which has the same rank."""
    for event in site.events:
        for value in (*event.args[:1], *(() if event.args else (event.result,))):
            yield from (t for t in (value if isinstance(value, tuple) else (value,)) if isinstance(t, Tensor))
