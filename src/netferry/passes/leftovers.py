"""Removes what translation left without use: local variables that only the source needed, and ``x = x``.

Runs on the tree as it will be written. A variable that nothing read in the source either is the user's own and stays.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence

from netferry.walking import Transformer, walk

_PURE_CALLS = frozenset(
    {"len", "int", "float", "bool", "str", "tuple", "list", "dict", "max", "min", "getattr", "isinstance"}
)
_SEES_LOCALS = frozenset({"locals", "eval", "exec", "vars", "dir"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def remove(tree: ast.stmt) -> ast.stmt:
    """The statement without leftovers in the functions under it."""
    for function in [n for n in walk(tree) if isinstance(n, _Function)]:
        nodes = list(walk(function))
        while unused := _unused(function, nodes):
            if _is_reflective(nodes) or not _Remove(unused).clean(function):
                break
            nodes = list(walk(function))
        if any(isinstance(n, ast.Assign) and _is_to_itself(n) for n in nodes):
            _Remove(set()).clean(function)
    return tree


def _unused(function: _Function, nodes: Sequence[ast.AST]) -> set[str]:
    """Variables that are assigned and not read, and that the source reads."""
    assigned = Counter(filter(None, map(_target, nodes)))
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    candidates = assigned.keys() - read
    if not candidates:
        return candidates
    words = Counter(re.findall(r"[^\W\d]\w*", _original(function)))
    return {name for name in candidates if words[name] > assigned[name]}


def _original(function: _Function) -> str:
    """The function's text in the source."""
    memory = getattr(function, "nf_memory", None)
    return memory.source.slice(memory.start, memory.end) if memory is not None and memory.start >= 0 else ""


def _is_reflective(nodes: Sequence[ast.AST]) -> bool:
    called = {n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    return bool(called & _SEES_LOCALS) or any(isinstance(n, ast.Global | ast.Nonlocal | ast.Delete) for n in nodes)


def _target(node: ast.AST) -> str:
    """The one variable that a statement assigns, from an expression that does nothing else."""
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value)
        ):
            return name if value is not None and _is_pure(value) else ""
    return ""


def _is_pure(value: ast.expr) -> bool:
    for node in walk(value):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in _PURE_CALLS:
                continue
            case ast.Call() | ast.NamedExpr() | ast.Await() | ast.Yield() | ast.YieldFrom():
                return False
            case ast.expr() if type(node).__module__ not in ("ast", "_ast"):
                return False
    return True


class _Remove(Transformer):
    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.changed = False

    def clean(self, function: _Function) -> bool:
        """Whether anything was removed."""
        self.generic_visit(function)
        if not function.body:
            function.body = [ast.Pass()]
        return self.changed

    def visit(self, node: ast.AST) -> ast.AST | None:
        if isinstance(node, _Function | ast.Lambda | ast.ClassDef):
            return node
        if isinstance(node, ast.stmt) and (_target(node) in self.names or _is_to_itself(node)):
            self.changed = True
            return None
        if not isinstance(node, ast.stmt):
            return node
        self.generic_visit(node)
        return _filled(node)


def _is_to_itself(node: ast.stmt) -> bool:
    match node:
        case ast.Assign(targets=[ast.Name(id=target)], value=ast.Name(id=value)):
            return target == value
    return False


def _filled(node: ast.stmt) -> ast.stmt | None:
    """A compound statement whose body was emptied."""
    if getattr(node, "body", None) != []:
        return node
    if isinstance(node, ast.If) and not node.orelse and _is_pure(node.test):
        return None
    node.body = [ast.Pass()]  # type: ignore[attr-defined]
    return node
