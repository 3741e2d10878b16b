"""What sizes decide: the truths and numbers computed from tensors' shapes on which the layers of a function depend.

A class that the function becomes must know them when it makes its layers, before there are tensors. Channels are said as the
sizes of layers are; what else shapes tell (``x.shape[1] != y.shape[1]``) becomes an argument of its own.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from netferry.passes.splitting import is_application
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import Op
from netferry.walking import walk

_INNER = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
_NAMES = {ast.Eq: "same_size", ast.NotEq: "resized", ast.Gt: "shrinks", ast.Lt: "grows"}
"""What an argument is called that tells how sizes compare."""


@dataclass(frozen=True)
class Decision:
    """An expression that has to be known before there are tensors, what to call it, and the functions around it."""

    node: ast.expr
    scopes: list[ast.AST]
    name: str
    exact: bool
    """Whether the name is the user's own."""


def find(trees: Sequence[ast.AST], recording: Any, is_known: Callable[[ast.expr], bool]) -> list[Decision]:
    """The decisions in all functions that make layers; ``is_known``: whether layers tell what a size read is."""
    functions = [pair for tree in trees for pair in _functions(tree, [])]
    names = {function.name for function, _ in functions}
    return [d for function, scopes in functions for d in _Finder(function, scopes, recording, is_known).run(names)]


def _functions(node: ast.AST, scopes: list[ast.AST]) -> Iterator[tuple[ast.FunctionDef, list[ast.AST]]]:
    """The functions that are no methods, with what is around them."""
    if isinstance(node, ast.ClassDef):
        return
    if isinstance(node, ast.FunctionDef):
        yield node, scopes
    inner = [*scopes, node] if isinstance(node, ast.FunctionDef) else scopes
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield from _functions(child, inner)


class _Finder:
    """Looks through one function."""

    def __init__(
        self, function: ast.FunctionDef, scopes: list[ast.AST], recording: Any, is_known: Callable[[ast.expr], bool]
    ) -> None:  # fmt: skip
        self.recording = recording
        self.is_known = is_known
        self.found: list[Decision] = []
        self.around: dict[int, list[ast.AST]] = {}
        self.nodes = list(_own(function, [*scopes, function], self.around))
        counts = Counter(n.id for n in self.nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        parameters = {a.arg for a in walk(function.args) if isinstance(a, ast.arg)}
        self.bound: dict[str, ast.Assign] = {}
        for node in self.nodes:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)]) if counts[name] == 1 and name not in parameters:
                    self.bound[name] = node

    def run(self, functions: Collection[str]) -> list[Decision]:
        """What tests and the arguments of layers depend on."""
        for node in self.nodes:
            inside = (n for s in (*node.body, *node.orelse) for n in walk(s)) if isinstance(node, ast.If) else ()
            if isinstance(node, ast.If) and any(_makes(n, functions) for n in inside):
                self._settle(node.test)
        if any(is_application(n) for n in self.nodes):
            given = [k.value for n in self.nodes if isinstance(n, Op) and n.layer for k in n.attributes]
            for value in (n for g in given for n in _parts(g)):
                self._settle(value)
        for decision in self.found:
            for node in walk(decision.node):
                node.nf_decided = True  # type: ignore[attr-defined]
        return self.found

    def _settle(self, node: ast.expr, name: str = "") -> None:
        match node:
            case ast.BoolOp(values=values):
                for value in values:
                    self._settle(value)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                self._settle(operand)
            case ast.Compare(left=ast.Name() as left, ops=[ast.Is() | ast.IsNot() as op]) if self._is_optional(left):
                self._add(node, f"{'no' if isinstance(op, ast.Is) else 'has'}_{left.id}", exact=False)
            case ast.Name(id=bound) if bound in self.bound and self._is_number(self.bound[bound].value):
                assign = self.bound[bound]
                if self._leaves(assign.value):
                    self._settle(assign.value, bound)
                    assign.nf_size = True  # type: ignore[attr-defined]
            case _ if leaves := self._leaves(node):
                self._sized(node, leaves, name)

    def _sized(self, node: ast.expr, leaves: list[ast.expr], name: str) -> None:
        """An expression made of sizes: each said by itself where layers tell it, else the whole."""
        if leaves == [node]:
            self._add(node, name or "in_channels", exact=bool(name))
        elif all(isinstance(leaf, ast.Name) or self.is_known(leaf) for leaf in leaves) or not self._is_number(node):
            for leaf in leaves:
                self._settle(leaf)
        else:
            called = _NAMES.get(type(node.ops[0]), "fits") if isinstance(node, ast.Compare) else "size"
            self._add(node, name or called, exact=bool(name))

    def _add(self, node: ast.expr, name: str, *, exact: bool) -> None:
        if all(d.node is not node for d in self.found) and not hasattr(node, "nf_value"):
            self.found.append(Decision(node, self.around.get(id(node), []), name, exact))

    def _is_number(self, node: ast.expr) -> bool:
        seen = self.recording.values.get(getattr(node, "nf_id", -1), [])
        within = self.recording.within.get(getattr(node, "nf_id", -1), [])
        return bool(seen) and len(within) == len(seen) and all(type(v) in (int, bool) for v in seen)

    def _is_optional(self, name: ast.Name) -> bool:
        """Whether a variable held a tensor at some times and nothing at others."""
        seen = self.recording.values.get(getattr(name, "nf_id", -1), [])
        return any(v is None for v in seen) and any(isinstance(v, Tensor) for v in seen)

    def _leaves(self, node: ast.expr) -> list[ast.expr]:
        """The reads of single sizes in an expression, and the names that hold something computed from such."""
        if self._is_size(node):
            return [node]
        if isinstance(node, ast.Name):
            assign = self.bound.get(node.id)
            computed = assign is not None and self._is_number(assign.value) and self._leaves(assign.value)
            return [node] if computed else []
        return [
            leaf for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr) for leaf in self._leaves(child)
        ]

    def _is_size(self, node: ast.expr) -> bool:
        """Whether it reads one size, of a shape that stands there or has a name."""
        if not isinstance(node, ast.Subscript) or not self._is_number(node):
            return False
        value: ast.expr = node.value
        if isinstance(value, ast.Name) and value.id in self.bound:
            value = self.bound[value.id].value
            node.nf_shape = value  # type: ignore[attr-defined]
        return any(isinstance(n, Op) and n.name == "shape" for n in walk(value))


def _own(node: ast.AST, scopes: list[ast.AST], around: dict[int, list[ast.AST]]) -> Iterator[ast.AST]:
    """The nodes below, without those of functions inside; ``around`` gets the loops and branches around each."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _INNER):
            continue
        inside = isinstance(node, ast.For | ast.If | ast.While) and isinstance(child, ast.stmt)
        inner = [*scopes, node] if inside else scopes
        around[id(child)] = inner
        yield child
        yield from _own(child, inner, around)


def _makes(node: ast.AST, functions: Collection[str]) -> bool:
    """Whether layers are made, or may be by a function of the user's."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in functions
    return (isinstance(node, Op) and node.layer) or is_application(node)


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    """The members of a display, or the expression itself."""
    if isinstance(node, ast.Tuple | ast.List):
        for member in node.elts:
            yield from _parts(member)
    else:
        yield node
