"""Every readable spelling, called by position and by keyword, is bound back to the attributes it was made from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from netferry.ops import registry
from netferry.ops.binding import bind
from netferry.ops.core import INFERRED, REQUIRED, Case, OpDef, Spelling
from netferry.ops.lowering import CannotWrite, convert
from netferry.pivot.nodes import constant, is_literal, literal

FRAMEWORKS = ("torch", "tensorflow", "keras", "flax")


@dataclass(frozen=True)
class Call:
    """The arguments of a call of ``spelling`` that means the attributes of a case."""

    op: OpDef
    spelling: Spelling
    case: Case
    values: dict[str, ast.expr]

    def positional(self) -> tuple[list[ast.expr], list[ast.keyword]]:
        """By position as far as the signature allows, defaults filled in."""
        args: list[ast.expr] = []
        keywords: list[ast.keyword] = []
        parameters = self.spelling.parsed.parameters
        given = [i for i, p in enumerate(parameters) if p.name in self.values]
        for parameter in parameters[: max(given, default=-1) + 1]:
            value = self.values.get(parameter.name)
            if parameter.variadic:
                args += value.elts if isinstance(value, ast.Tuple | ast.List) else []
            elif parameter.keyword_only:
                keywords += [ast.keyword(parameter.name, value)] if value else []
            else:
                args.append(value or constant(None if parameter.default is INFERRED else parameter.default))
        return args, keywords

    def keyword(self) -> tuple[list[ast.expr], list[ast.keyword]]:
        """By keyword, all but the receiver of a method and what is variadic."""
        args: list[ast.expr] = []
        keywords: list[ast.keyword] = []
        for index, parameter in enumerate(self.spelling.parsed.parameters):
            value = self.values.get(parameter.name)
            if value is None:
                continue
            if parameter.variadic:
                args += value.elts if isinstance(value, ast.Tuple | ast.List) else []
            elif (index == 0 and self.spelling.kind in ("method", "attribute")) or self._precedes_variadic(index):
                args.append(value)
            else:
                keywords.append(ast.keyword(parameter.name, value))
        return args, keywords

    def _precedes_variadic(self, index: int) -> bool:
        return any(p.variadic and not p.keyword_only for p in self.spelling.parsed.parameters[index + 1 :])


def call_of(op: OpDef, spelling: Spelling, case: Case) -> Call | None:
    """The call that means ``case``; None when this spelling cannot say it."""
    operands = {p.name for p in op.operands}
    said = {c.attribute for n in spelling.parsed.names if (c := spelling.conversion(n))} | spelling.implies.keys()
    for name, value in case.attributes.items():
        default = op.parsed[name].default
        if name not in said and default is not INFERRED and value != default:
            return None
    if any(case.attributes.get(name, op.parsed[name].default) != value for name, value in spelling.implies.items()):
        return None
    for name, wanted in spelling.when.items():
        if callable(wanted) and not wanted(case.attributes.get(name, op.parsed[name].default)):
            return None
    values: dict[str, ast.expr] = {}
    for parameter in spelling.parsed.parameters:
        if parameter.name in spelling.fixed and spelling.fixed[parameter.name] != parameter.default:
            values[parameter.name] = constant(spelling.fixed[parameter.name])
            continue
        conversion = spelling.conversion(parameter.name)
        if conversion is None:
            continue
        name = conversion.attribute
        if name in operands:
            if name in case.operands:
                spec = case.operands[name]
                listed = isinstance(spec, list)
                values[parameter.name] = (
                    ast.List([ast.Name(f"{name}_{i}", ast.Load()) for i in range(len(spec))], ast.Load())
                    if listed
                    else ast.Name(name, ast.Load())
                )
            continue
        value = case.attributes.get(name, op.parsed[name].default)
        if value in (REQUIRED, INFERRED):
            continue
        try:
            written = convert(constant(value), conversion, reading=False)
        except CannotWrite:
            return None
        if parameter.variadic and not isinstance(written, ast.Tuple | ast.List):
            return None
        values[parameter.name] = written
    return Call(op, spelling, case, values)


def calls() -> Iterator[Any]:
    """A parameter set per readable spelling; each tries all cases of its op."""
    for framework in FRAMEWORKS:
        for number, (path, op, spelling) in enumerate(registry.paths(framework)):
            if op.cases:
                yield pytest.param(op, spelling, id=f"{path}-{op.name}-{number}")


def canonical(op: OpDef, attributes: dict[str, Any], spelling: Spelling) -> dict[str, Any]:
    """Attributes without those that equal their default, and without those the spelling leaves to the data."""
    said = {c.attribute for n in spelling.parsed.names if (c := spelling.conversion(n))} | spelling.implies.keys()
    return {
        name: _plain(value)
        for name, value in attributes.items()
        if name in said and (op.parsed[name].default in (REQUIRED, INFERRED) or value != op.parsed[name].default)
    }


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


@pytest.mark.parametrize(("op", "spelling"), calls())
def test_reading(op: OpDef, spelling: Spelling) -> None:
    """Both forms of the call bind to the attributes of the case they were made from."""
    found = 0
    for case in op.cases:
        call = call_of(op, spelling, case)
        if call is None:
            continue
        found += 1
        for args, keywords in (call.positional(), call.keyword()):
            bound = bind(op, spelling, args, keywords)
            attributes = {k: literal(v) if is_literal(v) else ast.unparse(v) for k, v in bound.attributes.items()}
            wanted = canonical(op, dict(case.attributes), spelling)
            assert canonical(op, attributes, spelling) == wanted
            if not spelling.layer:
                names = {p.name for p in op.operands}
                said = {c.attribute for n in spelling.parsed.names if (c := spelling.conversion(n))}
                assert bound.operands.keys() == set(case.operands) & said & names
    if not found:
        pytest.skip("no case can be said with this spelling")
