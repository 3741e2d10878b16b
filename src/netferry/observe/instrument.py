"""Rewrites a syntax tree so that every call, attribute, subscript, operator and name load passes through a recorder.

The user's frames stay what they are: a call is still made by the user's own code, only its parts are handed through the
recorder on the way, so that ``super()``, ``locals()`` and code that reads its caller's frame work as before.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from netferry.collecting import paused
from netferry.walking import Transformer

RECORDER = "__netferry__"

_UNTOUCHED = {"super", "locals", "globals", "vars", "dir", "eval", "exec", "isinstance", "issubclass", "hasattr", "type"}  # fmt: skip


@paused()
def instrument(tree: ast.Module, silent: Mapping[str, ast.stmt] = MappingProxyType({})) -> ast.Module:
    """A copy of ``tree`` (whose nodes carry ``nf_id``) that reports to the global name :data:`RECORDER`.

    The definitions named in ``silent`` do not tell what happens within them; the statement given is run after each.
    """
    made: ast.Module = _copied(tree)
    visitor = _Instrument()
    body: list[ast.stmt] = []
    for statement in made.body:
        after = silent.get(getattr(statement, "name", ""))
        body += [visitor.visit(statement)] if after is None else [statement, after]
    made.body = body
    return ast.fix_missing_locations(made)


def _copied(node: Any) -> Any:
    """A copy of a tree, positions and ids included (several times faster than ``copy.deepcopy``)."""
    made = node.__class__.__new__(node.__class__)
    for name, value in node.__dict__.items():
        if isinstance(value, ast.AST):
            value = _copied(value)
        elif isinstance(value, list):
            value = [_copied(v) if isinstance(v, ast.AST) else v for v in value]
        made.__dict__[name] = value
    return made


def _hook(name: str, node: ast.AST, *args: ast.expr) -> ast.Call:
    function = ast.Attribute(ast.Name(RECORDER, ast.Load()), name, ast.Load())
    identity = ast.Constant(getattr(node, "nf_id", -1))
    return ast.copy_location(ast.Call(function, [identity, *args], []), node)


def _index(node: ast.expr) -> ast.expr:
    """An index as an ordinary expression: slices become ``slice(...)`` calls."""
    if isinstance(node, ast.Slice):
        parts = [p or ast.Constant(None) for p in (node.lower, node.upper, node.step)]
        function = ast.Attribute(ast.Name(RECORDER, ast.Load()), "slice", ast.Load())
        return ast.copy_location(ast.Call(function, parts, []), node)
    if isinstance(node, ast.Tuple):
        return ast.copy_location(ast.Tuple([_index(e) for e in node.elts], ast.Load()), node)
    return node


class _Instrument(Transformer):
    """The rewriting; a class's name is tracked for name mangling."""

    def __init__(self) -> None:
        self._class: list[str] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.bases = [self.visit(b) for b in node.bases]
        self._class.append(node.name)
        node.body = [self.visit(s) for s in node.body]
        self._class.pop()
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.decorator_list = [self.visit(d) for d in node.decorator_list]
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [self.visit(d) if d else None for d in node.args.kw_defaults]
        node.body = [self.visit(s) for s in node.body]
        return node

    visit_FunctionDef = _function  # noqa: N815
    visit_AsyncFunctionDef = _function  # noqa: N815

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_Match(self, node: ast.Match) -> ast.AST:
        node.subject = self.visit(node.subject)
        for case in node.cases:
            case.body = [self.visit(s) for s in case.body]
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in _UNTOUCHED:
            if node.func.id in {"super", "locals", "globals", "vars", "dir"}:
                return node
            self.generic_visit(node)
            return node
        if isinstance(node.func, ast.Attribute):
            node.func.value = self.visit(node.func.value)
            function: ast.expr = node.func
        elif isinstance(node.func, ast.Name):
            function = node.func
        else:
            function = self.visit(node.func)
        made = ast.Call(_hook("callee", node, function), [], [])
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                value = _hook("starred", argument, self.visit(argument.value))
                made.args.append(ast.Starred(value, ast.Load()))
            else:
                made.args.append(_hook("argument", argument, self.visit(argument)))
        for keyword in node.keywords:
            if keyword.arg is None:
                made.keywords.append(ast.keyword(None, _hook("mapping", keyword, self.visit(keyword.value))))
            else:
                value = _hook("keyword", keyword, ast.Constant(keyword.arg), self.visit(keyword.value))
                made.keywords.append(ast.keyword(keyword.arg, value))
        ast.copy_location(made, node)
        return _hook("result", node, made)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load) or node.id in ("super", "__class__"):
            return node
        return _hook("value", node, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.value = self.visit(node.value)
        if not isinstance(node.ctx, ast.Load):
            return node
        return _hook("attribute", node, node.value, ast.Constant(self._mangled(node.attr)))

    def _mangled(self, name: str) -> str:
        """An attribute's real name: those with two leading underscores are private to their class."""
        if name.startswith("__") and not name.endswith("__") and self._class:
            return f"_{self._class[-1].lstrip('_')}{name}"
        return name

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value = self.visit(node.value)
        node.slice = self.visit(node.slice)
        if not isinstance(node.ctx, ast.Load) or _has_star(node.slice):
            return node
        return _hook("subscript", node, node.value, _index(node.slice))

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        return _hook("binary", node, ast.Constant(type(node.op).__name__), node.left, node.right)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not) or isinstance(node.operand, ast.Constant):
            return node
        return _hook("unary", node, ast.Constant(type(node.op).__name__), node.operand)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) != 1 or isinstance(node.ops[0], ast.In | ast.NotIn):
            return node
        return _hook("compare", node, ast.Constant(type(node.ops[0]).__name__), node.left, node.comparators[0])

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        value = self.visit(node.value)
        name = ast.Constant(type(node.op).__name__)
        target = node.target
        if isinstance(target, ast.Name):
            load = ast.copy_location(ast.Name(target.id, ast.Load()), target)
            return ast.copy_location(ast.Assign([target], _hook("inplace", node, name, load, value)), node)
        if isinstance(target, ast.Attribute):
            attribute = ast.Constant(self._mangled(target.attr))
            hook = _hook("inplace_attribute", node, name, self.visit(target.value), attribute, value)
        else:
            assert isinstance(target, ast.Subscript)
            index = _index(self.visit(target.slice))
            hook = _hook("inplace_item", node, name, self.visit(target.value), index, value)
        return ast.copy_location(ast.Expr(hook), node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        target = node.targets[0]
        if len(node.targets) == 1 and isinstance(target, ast.Subscript) and not _has_star(target.slice):
            hook = _hook(
                "set_item", node, self.visit(target.value), _index(self.visit(target.slice)), self.visit(node.value)
            )
            return ast.copy_location(ast.Expr(hook), node)
        node.value = self.visit(node.value)
        for owner in node.targets:
            if isinstance(owner, ast.Attribute):
                owner.value = self.visit(owner.value)
        return node


def _has_star(node: ast.expr) -> bool:
    return isinstance(node, ast.Starred) or (isinstance(node, ast.Tuple) and any(map(_has_star, node.elts)))
