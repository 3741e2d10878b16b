"""Constructors made whole: parts that the first call makes, and the call of the base's constructor."""

from __future__ import annotations

import ast

from netferry.pivot.nodes import Op
from netferry.walking import Transformer, walk

_CALLS = ("call", "__call__")


def settle(node: ast.ClassDef) -> None:
    """Let ``__init__`` call that of its base, and make what ``if not self.built:`` makes in the first call."""
    methods = {s.name: s for s in node.body if isinstance(s, ast.FunctionDef)}
    init = methods.get("__init__")
    if init is None:
        return
    if not any(isinstance(n, ast.Attribute) and n.attr == "__init__" for n in walk(init)):
        first = 1 if ast.get_docstring(init, clean=False) is not None else 0
        made = ast.parse("super().__init__()").body
        made[0].nf_made = True  # type: ignore[attr-defined]
        init.body[first:first] = made
    for method in (m for name, m in methods.items() if name in _CALLS):
        for statement in [s for s in method.body if (flag := _flag(s)) and _starts(init, flag)]:
            flag = _flag(statement)
            assert isinstance(statement, ast.If)
            changer = _Sizes({a.arg for a in method.args.args[1:]})
            method.body.remove(statement)
            init.body = [s for s in init.body if not _sets(s, flag)]
            init.body += [changer.visit(s) for s in statement.body if not _sets(s, flag)]


def _flag(statement: ast.stmt) -> str:
    """The attribute of ``if not self.built: ...; self.built = True``."""
    match statement:
        case ast.If(
            test=ast.UnaryOp(op=ast.Not(), operand=ast.Attribute(value=ast.Name(id="self"), attr=name)), orelse=[]
        ) if any(_sets(s, name) for s in statement.body):
            return name
    return ""


def _starts(init: ast.FunctionDef, flag: str) -> bool:
    return any(_sets(s, flag) for s in init.body)


def _sets(statement: ast.stmt, flag: str) -> bool:
    """Whether a statement gives the flag a truth value."""
    match statement:
        case ast.Assign(
            targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=ast.Constant(value=bool())
        ):
            return name == flag
    return False


class _Sizes(Transformer):
    """Sizes of what the call is given are those that the run told."""

    def __init__(self, given: set[str]) -> None:
        self.given = given

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        match node.value:
            case ast.Attribute(value=ast.Name(id=name), attr="shape") if name in self.given:
                made = Op("input_size", {}, {"axis": node.slice})
                made.nf_id = getattr(node, "nf_id", -1)  # type: ignore[attr-defined]
                return ast.copy_location(made, node)
        return self.generic_visit(node)
