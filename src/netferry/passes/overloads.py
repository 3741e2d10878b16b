"""Classes that stand for several ops (a convolution over one axis, over two): which one is meant where code hands them around."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from netferry.ops import registry
from netferry.ops.core import OpDef
from netferry.pivot.nodes import LayerCall, Op, Reference
from netferry.pivot.program import Program
from netferry.walking import walk


def settle(program: Program) -> None:
    """Let every such class stand for the only one of its ops that ``program`` calls."""
    trees = [*(d.node for d in program.definitions), program.construction]
    nodes = [n for tree in trees for n in walk(tree)]
    held = [op for n in nodes for op in getattr(n, "nf_partial", ())]
    called = {n.name for n in nodes if isinstance(n, LayerCall | Op)}
    for node in _undecided(nodes):
        found = [op.name for op, spelling in registry.find(node.path) if spelling.kinds and op.name in called]
        if len(found) == 1:
            node.op = found[0]
    for op in held:
        others = {o.name for o in _namesakes(op.name)}
        if op.name not in called and len(only := others & called) == 1:
            op.name = only.pop()


def _undecided(nodes: list[ast.AST]) -> Iterator[Reference]:
    for node in nodes:
        if isinstance(node, Reference) and not node.op and len(registry.find(node.path)) > 1:
            yield node


def _namesakes(name: str) -> list[OpDef]:
    """The ops that some framework writes as the same class."""
    paths = [s.path for spellings in registry.get(name).spellings.values() for s in spellings if s.kinds and s.layer]
    return [op for path in paths for op, _ in registry.find(path)]
