"""Slices of lists whose members are written out."""

from __future__ import annotations

import ast


def sliced(node: ast.Subscript) -> ast.expr:
    """``list([a, b, c])[:-1]`` is ``[a, b]``."""
    members, bounds = _members(node.value), _bounds(node.slice)
    if members is None or bounds is None:
        return node
    return ast.List(members[bounds], ast.Load())


def _members(node: ast.expr) -> list[ast.expr] | None:
    match node:
        case ast.Call(func=ast.Name(id="list"), args=[ast.List() as listing], keywords=[]):
            return _members(listing)
        case ast.List(elts=elements):
            return None if any(isinstance(e, ast.Starred) for e in elements) else elements
    return None


def _bounds(node: ast.expr) -> slice | None:
    if not isinstance(node, ast.Slice):
        return None
    try:
        return slice(
            *(None if part is None else ast.literal_eval(part) for part in (node.lower, node.upper, node.step))
        )
    except ValueError:
        return None
