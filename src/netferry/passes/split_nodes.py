"""Small changes that splitting a function makes to its halves: names of rounds, of inputs, of what both halves share."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from netferry.passes.living import loads, stores
from netferry.pivot.copying import copied
from netferry.pivot.nodes import Hole, Op
from netferry.walking import Transformer, walk


class Rounds(Transformer):
    """Names of layers in loops: ``block`` of ``blocks``."""

    def __init__(self, names: Mapping[int, str], taken: set[str]) -> None:
        self.names = {f"__round_{n}__": re.sub(r"s(\d*)$", r"\1", name) for n, name in names.items()}
        self.taken = taken

    def visit_Name(self, node: ast.Name) -> ast.AST:
        name = self.names.get(node.id)
        while name in self.taken:
            name = f"{name}_"
        return node if name is None else ast.Name(name, node.ctx)


class Swap(Transformer):
    def __init__(self, old: ast.AST, new: ast.expr) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else super().generic_visit(node)


class Shared(Transformer):
    """Names of the first half are attributes in the second."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.names and isinstance(node.ctx, ast.Load):
            return ast.Attribute(ast.Name("self", ast.Load()), node.id, ast.Load())
        return node


def without_checks(statements: list[ast.stmt]) -> list[ast.stmt]:
    """What a branch does other than to complain."""
    return [s for s in statements if not isinstance(s, ast.Raise | ast.Assert)]


def undecided(node: ast.If) -> ast.stmt:
    """What stands for layers of which only the tensors tell whether they are made."""
    site = next((n.site for n in walk(node) if isinstance(n, Op) and n.site is not None), None)
    reason = "which layers are made here depends on a tensor"
    return ast.Expr(Hole(copied(node.test), reason, "let an argument decide it", site))


def single(node: ast.For, forward: list[ast.stmt]) -> tuple[ast.For, list[ast.stmt]]:
    """Loops directly inside each other as one, where what they apply does not tell the rounds apart."""
    while len(forward) == 1 and isinstance(inner := forward[0], ast.For):
        if (stores(node.target) | stores(inner.target)) & loads(inner.body):
            break
        node, forward = inner, inner.body
    return node, forward
