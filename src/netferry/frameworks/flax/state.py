"""Variables of NNX: read and written with ``variable[...]``."""

from __future__ import annotations

import ast
from typing import Any

from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import LayerAttribute, Op
from netferry.pivot.program import Program
from netferry.walking import Transformer


def read_and_write(program: Program) -> None:
    """Where code reads or writes what a network owns, it means the array, not the variable around it."""
    if program.facts is None:
        return
    for definition in program.definitions:
        definition.node = _Access(program).visit(definition.node)


class _Access(Transformer):
    def __init__(self, program: Program) -> None:
        self.values = program.facts.values
        self.state = program.state
        self.method = ""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer, self.method = self.method, node.name
        self.generic_visit(node)
        self.method = outer
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load) and self._is_state(node):
            return ast.copy_location(_array(node), node)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """A variable that exists keeps its place; in the constructor it is made."""
        self.generic_visit(node)
        target = node.targets[0]
        made = isinstance(node.value, Op) and node.value.name in ("parameter", "buffer")
        if made and self.method != "__init__" and isinstance(target, ast.Attribute) and isinstance(node.value, Op):
            array = _array(target)
            array.ctx = ast.Store()
            node.targets, node.value = [array], node.value.operands[0].value
        return node

    def visit_Op(self, node: Op) -> ast.AST:
        """Initialising writes into the variable itself."""
        if not node.name.startswith("init_"):
            return self.generic_visit(node)
        for keyword in [*node.operands[1:], *node.attributes]:
            keyword.value = self.visit(keyword.value)
        return node

    def visit_LayerAttribute(self, node: LayerAttribute) -> ast.AST:
        return self.generic_visit(node)

    def _is_state(self, node: ast.Attribute) -> bool:
        seen: list[Any] = self.values.get(getattr(node, "nf_id", -1), [])
        return bool(seen) and all(isinstance(v, Tensor) and v.identity in self.state for v in seen)


def _array(node: ast.Attribute) -> ast.Subscript:
    return ast.Subscript(node, ast.Constant(...), ast.Load())
