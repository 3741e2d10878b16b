"""Variables that get new values: Keras changes what a variable holds, where PyTorch puts another tensor in its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netferry.pivot.copying import copied
from netferry.pivot.nodes import Op
from netferry.pivot.program import Program
from netferry.walking import Transformer, walk


def in_place(program: Program) -> None:
    """``self.mean = new`` becomes ``self.mean.assign(new)`` where ``self.mean`` was registered as a buffer."""
    for definition in program.definitions:
        if isinstance(definition.node, ast.ClassDef):
            held = set(_registered(definition.node))
            definition.node = _Assign(held).visit(definition.node) if held else definition.node


def _registered(owner: ast.ClassDef) -> Iterator[str]:
    for node in walk(owner):
        match node:
            case ast.Assign(targets=[target], value=Op(name="buffer")):
                yield ast.unparse(target)


class _Assign(Transformer):
    def __init__(self, held: set[str]) -> None:
        self.held = held

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        target = ast.unparse(node.targets[0])
        is_variable = isinstance(node.value, Op) and node.value.name in ("buffer", "parameter")
        if len(node.targets) > 1 or target not in self.held or is_variable or _is_none(node.value):
            return node
        return self._assigned(node, node.targets[0], node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        if ast.unparse(node.target) not in self.held:
            return node
        return self._assigned(node, node.target, ast.BinOp(_loaded(node.target), node.op, node.value))

    def _assigned(self, node: ast.stmt, target: ast.expr, value: ast.expr) -> ast.stmt:
        call = ast.Call(ast.Attribute(_loaded(target), "assign", ast.Load()), [value], [])
        made: ast.stmt = ast.Pass() if ast.unparse(target) == _text(value) else ast.Expr(call)
        made.nf_replaces = getattr(node, "nf_replaces", node)  # type: ignore[attr-defined]
        return ast.copy_location(made, node)


def _text(value: ast.expr) -> str:
    """The text of plain Python; that of pivot nodes does not matter here."""
    return ast.unparse(value) if isinstance(value, ast.Attribute | ast.Name) else ""


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _loaded(target: ast.expr) -> ast.expr:
    made: ast.expr = copied(target)
    made.ctx = ast.Load()  # type: ignore[attr-defined]
    return made
