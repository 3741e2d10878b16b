"""Attributes that hold a module in one case and nothing, or a function, in another: NNX settles what they are when they are set."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from netferry.pivot.copying import copied
from netferry.walking import walk


def settle(tree: ast.stmt) -> None:
    """Set such attributes once: what is overwritten under a condition is set only where that does not hold."""
    for node in walk(tree):
        if isinstance(node, ast.FunctionDef):
            _within(node, node)


def _within(function: ast.FunctionDef, node: ast.stmt) -> None:
    for name in ("body", "orelse"):
        suite = getattr(node, name, None)
        if isinstance(suite, list) and suite and isinstance(suite[0], ast.stmt):
            changed = _suite(function, suite)
            if changed is not suite:
                setattr(node, name, changed)
            for statement in changed:
                if isinstance(statement, ast.If | ast.For | ast.While | ast.With):
                    _within(function, statement)


def _suite(function: ast.FunctionDef, suite: list[ast.stmt]) -> list[ast.stmt]:
    for index, statement in enumerate(suite):
        name = _static(statement)
        if name is None or not _is_made_later(name, suite[index + 1 :]):
            continue
        condition = _condition(name, suite[index + 1 :])
        if condition is not None:
            made = ast.If(condition.test, condition.body, [statement])
            made.nf_replaces = getattr(condition, "nf_replaces", condition)  # type: ignore[attr-defined]
            ast.copy_location(made, condition)
            kept = [made if s is condition else s for s in suite if s is not statement]
            return _suite(function, kept)
        assert isinstance(statement, ast.Assign)
        if isinstance(statement.value, ast.Constant):
            statement.value = ast.Call(_nnx_data(), [copied(statement.value)], [])
    return suite


def _nnx_data() -> ast.expr:
    return ast.parse("flax.nnx.data", mode="eval").body


def _static(statement: ast.stmt) -> str | None:
    """The attribute that is set to None or to a function."""
    match statement:
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value):
            plain = isinstance(value, ast.Constant) and value.value is None
            return name if plain or isinstance(value, ast.Lambda) else None
    return None


def _is_made_later(name: str, rest: Sequence[ast.stmt]) -> bool:
    """Whether a call gives the attribute another value further on."""
    return any(isinstance(value, ast.Call) for statement in rest for value in _values(name, statement))


def _values(name: str, tree: ast.AST) -> Iterator[ast.expr]:
    for node in walk(tree):
        match node:
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=found)], value=value):
                if found == name:
                    yield value


def _condition(name: str, rest: Sequence[ast.stmt]) -> ast.If | None:
    """The one ``if`` without an ``else`` under which the attribute is set again, if nothing reads it before."""
    for statement in rest:
        match statement:
            case ast.If(orelse=[]) if _mentions(name, ast.Module(statement.body, [])):
                direct = any(list(_values(name, s)) for s in statement.body if isinstance(s, ast.Assign))
                return statement if direct and not _mentions(name, statement.test) else None
        if _mentions(name, statement):
            return None
    return None


def _mentions(name: str, tree: ast.AST) -> bool:
    return any(isinstance(n, ast.Attribute) and n.attr == name for n in walk(tree))
