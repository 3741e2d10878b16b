"""Classes whose call only hands on to a method ``forward`` of their own, which is what others call themselves."""

from __future__ import annotations

import ast

from netferry.reader import Reader
from netferry.walking import walk


def drop(reader: Reader, node: ast.ClassDef, name: str) -> None:
    """Leave out the method ``name`` of a class that has a ``forward`` to which it hands on."""
    methods = {s.name: s for s in node.body if isinstance(s, ast.FunctionDef)}
    call = methods.get(name)
    if call is None or "forward" not in methods or not _hands_on(call):
        return
    reader.note(call, f"{name} is left out: it only hands on to forward, which is called without it")
    node.body.remove(call)


def _hands_on(method: ast.FunctionDef) -> bool:
    """Whether all that a method returns is what ``self.forward`` gives."""
    returned = [n.value for n in walk(method) if isinstance(n, ast.Return)]
    return bool(returned) and all(
        isinstance(value, ast.Call) and ast.unparse(value.func) == "self.forward" for value in returned
    )


def drop_shadowed(node: ast.ClassDef) -> None:
    """Leave out plain methods that a later one of the same name replaces."""
    last = {s.name: s for s in node.body if isinstance(s, ast.FunctionDef)}
    node.body = [
        s
        for s in node.body
        if not isinstance(s, ast.FunctionDef) or last[s.name] is s or s.decorator_list or last[s.name].decorator_list
    ]
