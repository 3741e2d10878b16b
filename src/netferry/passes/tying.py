"""Layers that share a parameter, for targets in which they share a layer instead, not its variable."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any, Final

from netferry.ops import registry
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Hole, LayerAttribute, Op, is_literal
from netferry.pivot.program import Program
from netferry.walking import walk

_REASON: Final = "two layers share one parameter, and have others besides"
_HINT: Final = "give both the same layer, or write a layer that takes the other one"
_LINEAR: Final = ("linear",)
_EMBEDDING: Final = ("embedding",)


def tie(program: Program) -> None:
    """Replace every ``tie`` op by an assignment of the layer, or of one that shares the matrix of another."""
    made = dict(_layers(program))
    for definition in program.definitions:
        if any(_tied(node) for node in walk(definition.node)):
            _within(program, definition.node, made)


def _within(program: Program, node: ast.stmt, made: dict[int, Op]) -> None:
    """Change the suites of a compound statement."""
    for field in ("body", "orelse", "finalbody"):
        statements = getattr(node, field, None)
        if isinstance(statements, list):
            setattr(node, field, _suite(program, statements, made))


def _layers(program: Program) -> Iterator[tuple[int, Op]]:
    for definition in program.definitions:
        for node in walk(definition.node):
            if isinstance(node, Op) and node.layer and hasattr(node, "nf_id"):
                yield node.nf_id, node


def _tied(node: ast.AST) -> Op | None:
    return (
        node.value if isinstance(node, ast.Expr) and isinstance(node.value, Op) and node.value.name == "tie" else None
    )


def _suite(program: Program, statements: Sequence[ast.stmt], made: dict[int, Op]) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for statement in statements:
        op = _tied(statement)
        if op is None:
            _within(program, statement, made)
            found.append(_otherwise(found, statement))
            continue
        replaced = _statement(program, op, made)
        replaced.nf_replaces = getattr(statement, "nf_replaces", statement)  # type: ignore[attr-defined]
        _taken_out(found, replaced)
        ast.copy_location(replaced, statement)
        if found and ast.dump(found[-1]) == ast.dump(replaced):
            continue  # Two layers that share all they have, said parameter by parameter.
        found.append(replaced)
    return found


def _statement(program: Program, op: Op, made: dict[int, Op]) -> ast.stmt:
    first, second = op.operand("x"), op.operand("to")
    if not isinstance(first, LayerAttribute) or not isinstance(second, LayerAttribute):
        return _hole(program, op)
    pairs: frozenset[tuple[int, int]] = getattr(op, "nf_tied", frozenset())
    if getattr(op, "nf_whole", False) or _have_no_more(first, second, op, made, program):
        return _assigned(first.owner, second.owner)
    if first.name != "weight" or second.name != "weight":
        return _hole(program, op)
    if second.ops == _LINEAR and first.ops == _EMBEDDING:
        first, second, pairs = second, first, frozenset((b, a) for a, b in pairs)
    if first.ops != _LINEAR or second.ops not in (_LINEAR, _EMBEDDING):
        return _hole(program, op)
    program.tied |= {a for a, _ in pairs}
    return _assigned(
        first.owner, Op("tied_linear", {"layer": second.owner}, _bias(first, pairs, made, program), layer=True)
    )


def _assigned(owner: ast.expr, value: ast.expr) -> ast.stmt:
    target: Any = copied(owner)
    target.ctx = ast.Store()
    return ast.Assign([target], value)


def _have_no_more(first: LayerAttribute, second: LayerAttribute, op: Op, made: dict[int, Op], program: Program) -> bool:
    """Whether two layers of one kind have no parameter but the one they share."""
    if first.ops != second.ops or len(first.ops) != 1:
        return False
    names = set(registry.get(first.ops[0]).params)
    if names == {first.name}:
        return True
    constructed = [c for c in _constructors(op, made, program) if c is not None]
    plain = bool(constructed) and all(_is_false(c.attribute("use_bias")) for c in constructed)
    return names == {first.name, "bias"} and plain


def _constructors(op: Op, made: dict[int, Op], program: Program) -> list[Op | None]:
    layers = {layer for pair in getattr(op, "nf_tied", ()) for layer in pair}
    return [made.get(program.facts.constructed.get(layer, -1)) for layer in layers]


def _is_false(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _bias(
    first: LayerAttribute, pairs: frozenset[tuple[int, int]], made: dict[int, Op], program: Program
) -> dict[str, ast.expr]:
    """Whether the layer that is replaced had a bias."""
    found = {program.facts.constructed.get(layer, -1) for layer, _ in pairs}
    op = made.get(found.pop()) if len(found) == 1 else None
    if op is None:
        return {"use_bias": ast.Attribute(copied(first.owner), "use_bias", ast.Load())}
    given = op.attribute("use_bias")
    if given is None or is_literal(given):
        return {} if given is None else {"use_bias": copied(given)}
    return {"use_bias": ast.Attribute(copied(first.owner), "use_bias", ast.Load())}


def _taken_out(before: list[ast.stmt], made: ast.stmt) -> ast.stmt | None:
    """Drop, and return, the construction of a layer that is replaced further on in the same suite, unread until then."""
    if not isinstance(made, ast.Assign) or not isinstance(made.value, Op):
        return None
    name = ast.unparse(made.targets[0])
    for index in range(len(before) - 1, -1, -1):
        statement = before[index]
        if isinstance(statement, ast.Assign) and [ast.unparse(t) for t in statement.targets] == [name]:
            return before.pop(index) if isinstance(statement.value, Op) and not _mentions(made.value, name) else None
        if _mentions(statement, name):
            return None
    return None


def _otherwise(before: list[ast.stmt], node: ast.stmt) -> ast.stmt:
    """``if tie:`` replaces a layer that was made before: it is made only where it is not replaced."""
    if not isinstance(node, ast.If) or node.orelse or not node.body:
        return node
    last = node.body[-1]
    if not isinstance(last, ast.Assign) or not isinstance(last.value, Op) or last.value.name != "tied_linear":
        return node
    if any(_mentions(part, ast.unparse(last.targets[0])) for part in (node.test, *node.body[:-1])):
        return node
    constructed = _taken_out(before, last)
    if constructed is None:
        return node
    made = ast.If(node.test, node.body, [constructed])
    made.nf_replaces = getattr(node, "nf_replaces", node)  # type: ignore[attr-defined]
    return ast.copy_location(made, node)


def _mentions(tree: ast.AST, name: str) -> bool:
    return any(isinstance(n, ast.Attribute | ast.Name) and ast.unparse(n) == name for n in walk(tree))


def _hole(program: Program, op: Op) -> ast.stmt:
    made = Hole(op, _REASON, _HINT, op.site)
    program.holes.append(made)
    return ast.Expr(made)
