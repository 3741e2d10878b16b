"""Methods of Linen's modules: variables that they make, modes that they are asked for."""

from __future__ import annotations

import ast

from netferry.conventions import MISSING
from netferry.frameworks.flax import flags, initialising
from netferry.pivot.nodes import Op
from netferry.reader import Reader


def parameter(reader: Reader, node: ast.Call) -> ast.expr | object:
    """``self.param(name, initialiser, *arguments)``."""
    return _owned(reader, node, node.args, trained=True)


def variable(reader: Reader, node: ast.Call) -> ast.expr | object:
    """``self.variable(collection, name, initialiser, *arguments)``."""
    return _owned(reader, node, node.args[1:], trained=False)


def _owned(reader: Reader, node: ast.Call, given: list[ast.expr], *, trained: bool) -> ast.expr | object:
    if len(given) < 2:
        return MISSING
    name, start, *rest = given
    function = next(iter(reader.values(start)), None) or reader.static(start)
    value: ast.expr | None = None
    if initialising.is_initialiser(function) and rest:
        value = initialising.start(reader, function, _shape(reader, rest[0]), reader.values(node), node)
    elif isinstance(start, ast.Lambda):
        value = reader.visit(start.body)
    elif isinstance(start, ast.Name | ast.Attribute) and callable(function):
        value = reader.visit(ast.copy_location(ast.Call(start, rest, []), node))
    if value is None:
        return MISSING
    reader.facts.labels[getattr(node, "nf_id", -1)] = name
    made = Op("parameter" if trained else "buffer", {"x": value}, site=reader.site(node))
    made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
    reader.counts.observed += 1
    return made


def _shape(reader: Reader, node: ast.expr) -> ast.expr:
    """The shape of a variable; a number alone is the size of its only axis."""
    seen = reader.values(node)
    shape: ast.expr = reader.visit(node)
    is_number = bool(seen) and all(isinstance(v, int) for v in seen)
    return ast.Tuple([shape], ast.Load()) if is_number else shape


def merged(reader: Reader, node: ast.Call) -> ast.expr | object:
    """``merge_param("deterministic", self.deterministic, deterministic)``: the mode."""
    match node.args:
        case [ast.Constant(value=str(name)), *_] if name in flags.FLAGS:
            return flags.asked(name)
    return MISSING


def false(reader: Reader, node: ast.Call) -> ast.expr | object:
    """Networks exist before they are called elsewhere."""
    return ast.copy_location(ast.Constant(False), node)
