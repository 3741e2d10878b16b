"""Statements that are needed: those whose names somebody reads, and those that make layers."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from netferry.pivot.nodes import Hole, LayerCall, Op
from netferry.walking import walk

_ASKING = frozenset({"shape", "size", "rank", "numel"})
"""Ops that only look at a tensor."""


def loads(tree: Iterable[ast.AST] | ast.AST) -> set[str]:
    """The names that are read."""
    found: set[str] = set()
    waiting = [tree] if isinstance(tree, ast.AST) else list(tree)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            inner = loads(ast.iter_child_nodes(node))
            own = {n for g in node.generators for n in stores(g.target)}
            found |= inner - own | loads(node.generators[0].iter)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        else:
            waiting.extend(ast.iter_child_nodes(node))
            if isinstance(node, Op) and node.indirect is not None:
                waiting.append(node.indirect)
    return found


def stores(tree: ast.AST) -> set[str]:
    """The names that are bound."""
    return {n.id for n in walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def needed(statements: list[ast.stmt]) -> list[ast.stmt]:
    """A forward pass without names that nobody reads."""
    while True:
        read = loads(statements)
        kept = _without_unread(statements, read)
        if loads(kept) == read:
            return kept
        statements = kept


def _without_unread(statements: list[ast.stmt], read: set[str]) -> list[ast.stmt]:
    kept: list[ast.stmt] = []
    for node in statements:
        if isinstance(node, ast.If):
            body, other = _without_unread(node.body, read), _without_unread(node.orelse, read)
            if body or other:
                kept.append(branch(node.test, body, other))
            continue
        targets = stores(node)
        plain = isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) for t in node.targets)
        if not (plain and not targets & read and not _applies(node)):
            kept.append(node)
    return kept


def _applies(node: ast.stmt) -> bool:
    return any(isinstance(n, LayerCall | ast.Call) or (isinstance(n, Op) and n.name not in _ASKING) for n in walk(node))


def alive(statements: list[ast.stmt], needed: set[str]) -> list[ast.stmt]:
    """Statements that make layers or names that are used; checks of arguments and what is left over are dropped."""
    wanted = set(needed)
    kept: list[ast.stmt] = []
    for statement in reversed(statements):
        made = _trimmed(statement, wanted)
        if made is not None:
            wanted |= loads(made)
            kept.insert(0, made)
    return kept


def _trimmed(node: ast.stmt, wanted: set[str]) -> ast.stmt | None:
    if isinstance(node, ast.If):
        body, other = alive(node.body, wanted), alive(node.orelse, wanted)
        return branch(node.test, body, other) if body or other else None
    if isinstance(node, ast.For):
        body = alive(node.body, wanted | loads(node.body))
        makes = any(not isinstance(s, ast.Assign) or not isinstance(s.targets[0], ast.Name) for s in body)
        return (
            ast.For(node.target, node.iter, body, [])
            if makes or {n for s in body for n in stores(s)} & wanted
            else None
        )
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node if node.name in wanted else None
    sets = any(isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store) for n in walk(node))
    appends = isinstance(node, ast.Expr) and _is_append(node.value)
    is_hole = isinstance(node, ast.Expr) and isinstance(node.value, Hole)
    if sets or appends or is_hole or (stores(node) | _changed(node)) & wanted:
        return node
    return None


def _changed(node: ast.stmt) -> set[str]:
    """The names whose items a statement sets."""
    items = [n for n in walk(node) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store)]
    return {i.value.id for i in items if isinstance(i.value, ast.Name)}


def _is_append(node: ast.expr) -> bool:
    match node:
        case Op(name="append_to_sequence") | ast.Call(func=ast.Attribute(attr="append" | "extend")):
            return True
    return False


def branch(test: ast.expr, body: list[ast.stmt], other: list[ast.stmt]) -> ast.If:
    """An ``if`` without an empty first half."""
    if not body:
        inverse = (
            test.operand
            if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
            else ast.UnaryOp(ast.Not(), test)
        )
        return ast.If(inverse, other, [])
    return ast.If(test, body, other)
