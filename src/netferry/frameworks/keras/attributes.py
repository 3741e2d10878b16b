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
