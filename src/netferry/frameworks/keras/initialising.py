"""Initialisation: Keras makes a layer's variables when it is first called, so the layer is given an initialiser."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from netferry.ops import registry
from netferry.pivot.copying import copied
from netferry.pivot.facts import Note
from netferry.pivot.nodes import LayerAttribute, Op, Reference
from netferry.pivot.program import Program
from netferry.walking import Transformer, walk

_UNINITIALISED: Final = (
    "a layer keeps the target's own initial values: those of the source cannot be told when it is made"
)
Names = Callable[[str, str], str | None]
"""Op and canonical parameter -> the name that the target's layer has for it."""


def initialised(program: Program, node: ast.Expr, op: Op, conventions: Any) -> ast.stmt:
    """The statement that has a parameter initialised so."""
    target = op.operand("x")
    while isinstance(target, Op) and target.name == "stop_gradient":  # ``layer.weight.data``
        target = target.operand("x")
    assert target is not None
    initialiser: Any = op.replace(operands={"x": None})
    if not isinstance(target, LayerAttribute):
        shape = ast.Attribute(target, "shape", ast.Load())
        return ast.Expr(ast.Call(ast.Attribute(target, "assign", ast.Load()), [ast.Call(initialiser, [shape], [])], []))
    kinds: dict[str, list[str]] = {}
    for name in target.ops:
        kinds.setdefault(conventions.parameter_name(name, target.name) or "", []).append(name)
    if not kinds or "" in kinds or _is_unknown(initialiser, conventions):
        program.notes += [Note(_UNINITIALISED, op.site, "NF031", "warning")] if op.site else []
        return ast.Pass()
    branches = [(ops, _given(target.owner, name, initialiser)) for name, ops in kinds.items()]
    return _told_apart(target.owner, branches)


def _given(owner: ast.expr, name: str, initialiser: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Attribute(copied(owner), f"{name}_initializer", ast.Store())], copied(initialiser))


def _told_apart(owner: ast.expr, branches: Sequence[tuple[list[str], ast.stmt]]) -> ast.stmt:
    """One statement for each kind of layer."""
    (ops, made), *rest = branches
    if not rest:
        return made
    classes = [Reference(path, "test") for op in ops for path in _paths(op)]
    test = ast.Call(ast.Name("isinstance", ast.Load()), [copied(owner), _tuple(classes)], [])
    return ast.If(test, [made], [_told_apart(owner, rest)])


def _paths(op: str) -> Iterator[str]:
    """A path by which the vocabulary knows an op's layer."""
    found = (
        s.path for spellings in registry.get(op).spellings.values() for s in spellings if s.layer and s.path and s.read
    )
    yield from [next(found, op)]


def _tuple(classes: Sequence[ast.expr]) -> ast.expr:
    return classes[0] if len(classes) == 1 else ast.Tuple(list(classes), ast.Load())


def _is_unknown(tree: ast.AST, conventions: Any) -> bool:
    """Whether it reads something of a layer that has no name here."""
    read = [n for n in walk(tree) if isinstance(n, LayerAttribute)]
    return any(conventions.layer_attribute(n) is None for n in read)


class Split(Transformer):
    """``if isinstance(m, (Linear, Embedding))`` becomes a branch for each, where one names a parameter otherwise."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        match node.test:
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), ast.Tuple(elts=classes)]):
                pass
            case _:
                return node
        groups = self._groups(node, name, classes)
        if len(groups) < 2:
            return node
        orelse = node.orelse
        for group in reversed(groups):
            test = ast.Call(ast.Name("isinstance", ast.Load()), [ast.Name(name, ast.Load()), _tuple(group)], [])
            made = ast.If(test, _Narrowed(name, group).suite(copied(node.body)) or [ast.Pass()], orelse)
            orelse = [ast.copy_location(made, node)]
        made.nf_replaces = node  # type: ignore[attr-defined]
        return made

    def _groups(self, node: ast.If, name: str, classes: Sequence[ast.expr]) -> list[list[ast.expr]]:
        """The classes that name all parameters that are initialised alike."""
        wanted = [
            attribute
            for statement in node.body
            for inner in walk(statement)
            if isinstance(inner, Op) and inner.name.startswith("init_")
            for attribute in walk(inner)
            if isinstance(attribute, LayerAttribute) and ast.unparse(attribute.owner) == name and len(attribute.ops) > 1
        ]
        found: dict[tuple[str | None, ...], list[ast.expr]] = {}
        for reference in classes:
            ops = _ops(reference)
            key = tuple(self.names(ops[0], a.name) if ops and ops[0] in a.ops else None for a in wanted)
            found.setdefault(key, []).append(reference)
        return list(found.values())


def _ops(reference: ast.expr) -> list[str]:
    """The ops whose layers a class stands for."""
    return [op.name for op, s in registry.find(reference.path) if s.layer] if isinstance(reference, Reference) else []


class _Narrowed(Transformer):
    """A body in which a name is known to hold an instance of some classes."""

    def __init__(self, name: str, classes: Sequence[ast.expr]) -> None:
        self.name = name
        self.paths = {c.path for c in classes if isinstance(c, Reference)}
        self.ops = {op for c in classes for op in _ops(c)}

    def visit_LayerAttribute(self, node: LayerAttribute) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.owner) == self.name:
            node.ops = tuple(op for op in node.ops if op in self.ops) or node.ops
        return node

    def suite(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements that remain."""
        found: list[ast.stmt] = []
        for statement in statements:
            made = self.visit(statement)
            found.extend(made if isinstance(made, list) else [made])
        return found

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        answer, rest = self._answer(node.test)
        if answer is not None and rest is None:
            return self.suite(node.body if answer else node.orelse)
        node.test = self.visit(rest or node.test)
        node.body, node.orelse = self.suite(node.body), self.suite(node.orelse)
        return node

    def _answer(self, test: ast.expr) -> tuple[bool | None, ast.expr | None]:
        """Whether a test holds as far as it asks for the class, and what else it asks."""
        match test:
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), asked]) if name == self.name:
                given = asked.elts if isinstance(asked, ast.Tuple) else [asked]
                paths = {g.path for g in given if isinstance(g, Reference)}
                return (True if self.paths <= paths else None if self.paths & paths else False), None
            case ast.BoolOp(op=ast.And(), values=[first, *others]):
                answer, rest = self._answer(first)
                if answer is True and rest is None:
                    return True, others[0] if len(others) == 1 else ast.BoolOp(ast.And(), others)
                return (False, None) if answer is False else (None, None)
        return None, None
