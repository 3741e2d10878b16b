"""What Keras calls the arguments that a stock layer was made with, where code reads them from the layer."""

from __future__ import annotations

import ast

from netferry.ops import registry
from netferry.ops.core import INFERRED
from netferry.ops.lowering import CannotWrite, convert
from netferry.pivot.copying import copied
from netferry.pivot.facts import Note
from netferry.pivot.nodes import LayerAttribute, Op, constant, is_literal
from netferry.pivot.program import Program
from netferry.walking import Transformer, walk


def hyperparameter(node: LayerAttribute, framework: str) -> ast.expr | None:
    """``layer.out_channels`` as ``layer.filters``; None where the layers have no common name for it."""
    found = {_name(op, node, framework) for op in node.ops}
    text = found.pop() if len(found) == 1 else None
    return None if text is None else ast.parse(text, mode="eval").body


def _name(op: str, node: LayerAttribute, framework: str) -> str | None:
    for spelling in registry.get(op).spellings.get(framework, ()):
        for argument in spelling.parsed.names if spelling.layer and spelling.path else ():
            conversion = spelling.conversion(argument)
            if conversion is not None and conversion.attribute == node.name:
                return _read(ast.Attribute(node.owner, argument, ast.Load()), node.name, spelling.maps.get(argument))
    return None


def _read(attribute: ast.expr, name: str, conversion: object) -> str | None:
    if conversion is None or isinstance(conversion, str):
        return ast.unparse(attribute)
    try:
        return ast.unparse(convert(attribute, conversion, reading=True))  # type: ignore[arg-type]
    except CannotWrite:
        return None


def fill_inferred(program: Program) -> None:
    """Put in the number that Keras only learns from the data: ``self.conv.in_channels`` of ``Conv2d(3, 64, 7)`` is 3."""
    for definition in program.definitions:
        definition.node = _Inferred(definition.node, program.notes).visit(definition.node)


class _Inferred(Transformer):
    def __init__(self, owner: ast.stmt, notes: list[Note]) -> None:
        self.notes = notes
        self.quiet = False
        self.made: dict[str, list[Op]] = {}
        for node in walk(owner):
            if isinstance(node, ast.Assign) and isinstance(node.value, Op) and node.value.layer:
                for target in node.targets:
                    self.made.setdefault(ast.unparse(target), []).append(node.value)

    def visit_LayerAttribute(self, node: LayerAttribute) -> ast.expr:
        self.generic_visit(node)
        if not any(
            node.name in (op := registry.get(o)).parsed and op.parsed[node.name].default is INFERRED for o in node.ops
        ):
            return node
        given = [op.attribute(node.name) for op in self.made.get(ast.unparse(node.owner), ()) if op.name in node.ops]
        value = given[0] if len(given) == 1 else None
        if value is not None and (is_literal(value) or ast.unparse(value).startswith("self.")):
            given_value: ast.expr = copied(value)
            return ast.copy_location(given_value, node)
        return self._seen(node) or node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Sizes of a kernel, which does not exist before the first call, are what the layer was made with."""
        made = _kernel_size(node)
        if made is not None:
            visited: ast.AST = self.visit(made)
            return visited
        return self.generic_visit(node)

    def _seen(self, node: LayerAttribute) -> ast.expr | None:
        """The number that the run saw, where it saw one only."""
        seen: frozenset[int] = getattr(node, "nf_seen", frozenset())
        if len(seen) != 1 or node.site is None:
            return None
        number = next(iter(seen))
        if not self.quiet:
            text = f"{node.name} is written as {number}, which it was in the run: the target learns it from the data"
            self.notes.append(Note(text, node.site, "NF031", "warning"))
        made: ast.expr = ast.copy_location(constant(number), node)
        return made

    def visit_Op(self, node: Op) -> ast.AST:
        """Sizes that the target infers will not be written: no need to tell where they come from."""
        parsed = registry.get(node.name).parsed
        for keyword in [*node.operands, *node.attributes]:
            outer, self.quiet = self.quiet, self.quiet or parsed[str(keyword.arg)].default is INFERRED
            keyword.value = self.visit(keyword.value)
            self.quiet = outer
        return node


_CONVOLUTIONS = {f"conv{n}d": n + 2 for n in (1, 2, 3)}
"""Ops whose weight is laid out as output channels, input channels, kernel; and its rank."""


def _kernel_size(node: ast.Subscript) -> ast.expr | None:
    """``conv.weight.shape[2:]`` as ``conv.kernel_size``, ``shape[0]`` as ``conv.out_channels``."""
    kernel = node.value.operand("x") if isinstance(node.value, Op) and node.value.name == "shape" else None
    if not isinstance(kernel, LayerAttribute) or kernel.name != "weight":
        return None
    ranks = {_CONVOLUTIONS.get(name) for name in kernel.ops}
    rank = ranks.pop() if len(ranks) == 1 else None
    axes = None if rank is None else _axes(node.slice, rank)
    size = LayerAttribute(kernel.owner, "kernel_size", kernel.ops, kernel.site)
    match axes:
        case 0:
            return LayerAttribute(kernel.owner, "out_channels", kernel.ops, kernel.site)
        case int() if axes > 1:
            return ast.Subscript(size, constant(axes - 2), ast.Load())
        case range(start=2, step=1, stop=end) if end == rank:
            return size
    return None


def _axes(index: ast.expr, rank: int) -> int | range | None:
    """The axes that an index of literals takes."""
    try:
        if not isinstance(index, ast.Slice):
            return range(rank)[int(ast.literal_eval(index))]
        bounds = [None if b is None else ast.literal_eval(b) for b in (index.lower, index.upper, index.step)]
        return range(rank)[slice(*bounds)]
    except (ValueError, IndexError, TypeError):
        return None
