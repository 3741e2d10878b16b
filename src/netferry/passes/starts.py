"""Initial values of parameters, said in statements behind what makes their layers."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from netferry.ops import registry
from netferry.pivot.copying import copied
from netferry.pivot.nodes import LayerAttribute, Op, Reference, constant
from netferry.pivot.program import Program
from netferry.walking import walk

_MANY: Final = 3
"""From how many layers of a kind on that start alike a loop says it for all of them."""
_KINDS: Final = ("linear", "embedding", "conv1d", "conv2d", "conv3d", "batch_norm", "layer_norm", "group_norm")
"""Layers of which a parameter takes and gives as many values as it does elsewhere."""


def in_place(program: Program) -> None:
    """Behind a layer whose parameters start in a way of their own, statements that fill them so."""
    starts = program.facts.starts if program.facts is not None else {}
    if not starts:
        return
    for definition in program.definitions:
        for node in walk(definition.node):
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                _Constructor(starts, node).fill()


class _Constructor:
    """The constructor of one class."""

    def __init__(self, starts: Mapping[int, Mapping[str, Op]], node: ast.FunctionDef) -> None:
        self.starts = starts
        self.node = node
        self.together: dict[str, Op] = {}
        """Kinds of layers that all start alike -> one of them."""

    def fill(self) -> None:
        """Add the statements."""
        made: dict[str, list[tuple[ast.expr, Op]]] = {}
        for owner, layer in (found for n in walk(self.node) for found in _made(n)):
            made.setdefault(layer.name.removeprefix("depthwise_"), []).append((owner, layer))
        for kind, found in made.items():
            texts = {repr({n: ast.dump(o) for n, o in self._of(layer).items()}) for _, layer in found}
            direct = all(isinstance(owner, ast.Attribute) for owner, _ in found)
            if len(found) >= _MANY and direct and len(texts) == 1 and self._of(found[0][1]):
                self.together[kind] = found[0][1]
        self._block(self.node)
        self.node.body += [self._loop(layer) for layer in self.together.values()]

    def _of(self, layer: Op) -> Mapping[str, Op]:
        return self.starts.get(getattr(layer, "nf_id", -1), {}) if layer.name in _KINDS else {}

    def _block(self, node: ast.AST) -> None:
        for name in ("body", "orelse"):
            statements = getattr(node, name, None)
            if isinstance(statements, list):
                setattr(node, name, [m for s in statements for m in (s, *self._behind(s))])
                for statement in statements:
                    self._block(statement)

    def _behind(self, statement: ast.stmt) -> Iterator[ast.stmt]:
        for owner, layer in _made(statement):
            if layer.name not in self.together:
                yield from _filled(owner, layer, self._of(layer))

    def _loop(self, layer: Op) -> ast.stmt:
        """``for layer in self.children(): if isinstance(layer, Conv): ...``"""
        name = ast.Name("layer", ast.Load())
        path = next(
            s.path
            for found in registry.get(layer.name).spellings.values()
            for s in found
            if s.layer and s.path and s.read
        )
        test = ast.Call(ast.Name("isinstance", ast.Load()), [name, Reference(path, "test")], [])
        children = Op("children", {"module": ast.Name("self", ast.Load())}, site=layer.site)
        inner: list[ast.stmt] = [ast.If(test, list(_filled(name, layer, self._of(layer))), [])]
        return ast.For(ast.Name("layer", ast.Store()), children, inner, [])


def _made(statement: ast.AST) -> Iterator[tuple[ast.expr, Op]]:
    """The layer that a statement gives the network, and what holds it: an attribute, or the end of a list."""
    match statement:
        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=Op(layer=True) as layer):
            owner: ast.expr = ast.Attribute(ast.Name("self", ast.Load()), name, ast.Load())
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(value=ast.Attribute() as held, attr="append"), args=[Op(layer=True) as layer]
            )
        ):
            owner = ast.Subscript(copied(held), constant(-1), ast.Load())
        case _:
            return
    listing = layer.operand("layers") if getattr(layer, "nf_pair", False) else None
    if isinstance(listing, ast.List) and isinstance(listing.elts[0], Op):
        owner, layer = ast.Subscript(owner, constant(0), ast.Load()), listing.elts[0]
    yield owner, layer


def _filled(owner: ast.expr, layer: Op, starts: Mapping[str, Op]) -> Iterator[ast.stmt]:
    for name, start in starts.items():
        parameter = LayerAttribute(copied(owner), name, (layer.name,), layer.site)
        yield ast.Expr(copied(start).replace(operands={"x": parameter}))
