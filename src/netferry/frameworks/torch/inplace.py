"""Activations that overwrite what a normalisation or a residual sum has just made, as is usual in vision networks.

Nobody else holds such a tensor, and no gradient needs it: those of normalisations and sums do not, and that of the activation
follows from its result. It saves an allocation as large as the images of a layer for every activation.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Sequence

from netferry.ops.lowering import dotted
from netferry.pivot.nodes import LayerCall, Op
from netferry.walking import Transformer, walk

_ACTIVATIONS = {"relu": "torch.nn.functional.relu", "relu6": "torch.nn.functional.relu6"}


def overwrite(node: ast.ClassDef) -> None:
    """Let the activations of a class work in place where that is safe."""
    norms = {
        target.attr for n in walk(node) if isinstance(n, ast.Assign) and _is_norm(n.value)
        for target in n.targets if isinstance(target, ast.Attribute)
    }  # fmt: skip
    if norms:
        _Overwriting(norms).visit(node)


def _is_norm(node: ast.expr) -> bool:
    return isinstance(node, Op) and node.layer and node.name == "batch_norm"


class _Overwriting(Transformer):
    def __init__(self, norms: set[str]) -> None:
        self.norms = norms

    def visit_Op(self, node: Op) -> ast.AST:
        self.generic_visit(node)
        operand = node.operand("x")
        return _inplace(node) if _is_activation(node) and operand is not None and self._is_fresh(operand) else node

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for name in ("body", "orelse"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):
                self._pairs(statements)
        return super().generic_visit(node)

    def _pairs(self, statements: Sequence[ast.stmt]) -> None:
        """``x = self.bn(x)`` and then ``x = relu(x)``: nobody reads what the first one gave."""
        for first, second in itertools.pairwise(statements):
            match first, second:
                case ast.Assign(targets=[ast.Name(id=name)], value=made), ast.Assign(targets=[ast.Name(id=again)]):
                    is_last = again == name
                case ast.Assign(targets=[ast.Name(id=name)], value=made), ast.Return():
                    is_last = True
                case _:
                    continue
            value = second.value
            if is_last and self._is_fresh(made) and isinstance(value, Op) and _is_activation(value):
                operand = value.operand("x")
                if isinstance(operand, ast.Name) and operand.id == name:
                    second.value = _inplace(value)

    def _is_fresh(self, node: ast.expr) -> bool:
        """Whether an expression gives a tensor of its own, which its gradient does not need."""
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, ast.Add)
        if isinstance(node, Op):
            return node.name == "merge_add" and not node.layer
        callee = node.callee if isinstance(node, LayerCall) else node.func if isinstance(node, ast.Call) else None
        return isinstance(callee, ast.Attribute) and callee.attr in self.norms


def _is_activation(node: ast.AST) -> bool:
    """Whether it is one that was named, not handed in."""
    if not isinstance(node, Op) or node.layer or node.indirect is not None:
        return False
    return node.name in _ACTIVATIONS and not node.attributes


def _inplace(node: Op) -> ast.expr:
    keywords = [ast.keyword("inplace", ast.Constant(True))]
    operand = node.operand("x")
    assert operand is not None
    return ast.copy_location(ast.Call(dotted(_ACTIVATIONS[node.name]), [operand], keywords), node)
