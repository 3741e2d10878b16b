"""Copies pivot trees, with the memory of their source text, so that a pass may change the copy alone."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

_LATER = ("nf_memory", "nf_replaces")
"""What points back into the source's tree: mended once every node has its copy."""

Memo = dict[int, Any]
"""Identity of an original -> its copy."""


def copied(tree: Any, memo: Memo | None = None) -> Any:
    """A copy of a tree; facts and source text are shared, and nodes that stand in two places still do."""
    memo = {} if memo is None else memo
    before = set(memo)
    made = _copied(tree, memo)
    for key in memo.keys() - before:
        _mend(memo[key], memo)
    return made


def _copied(value: Any, memo: Memo) -> Any:
    if isinstance(value, list):
        return [_copied(v, memo) for v in value]
    if not isinstance(value, ast.AST):
        return value
    if id(value) not in memo:
        made = memo[id(value)] = value.__class__.__new__(value.__class__)
        for name, field in value.__dict__.items():
            made.__dict__[name] = field if name in _LATER else _copied(field, memo)
    return memo[id(value)]


def _mend(node: ast.AST, memo: Memo) -> None:
    memory = node.__dict__.get("nf_memory")
    if memory is not None:
        fields = tuple((name, _mapped(value, memo)) for name, value in memory.fields)
        node.__dict__["nf_memory"] = dataclasses.replace(memory, fields=fields)
    if "nf_replaces" in node.__dict__:
        node.__dict__["nf_replaces"] = _mapped(node.__dict__["nf_replaces"], memo)


def _mapped(value: Any, memo: Memo) -> Any:
    if isinstance(value, tuple):
        return tuple(_mapped(v, memo) for v in value)
    return memo.get(id(value), value)
