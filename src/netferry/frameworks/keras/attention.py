"""Writes attention in several heads as Keras's own layer where it computes the same.

Keras's layer knows batches first, boolean masks of what to keep, and one result. Where every call in the program fits, the
layer is Keras's and the calls change with it; else the file gets a layer that takes PyTorch's arguments.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from netferry.frameworks.arguments import known, observed
from netferry.ops import registry
from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import LayerCall, Op, constant, is_literal, literal
from netferry.pivot.program import Program
from netferry.walking import Transformer, walk

_GENERAL, _PLAIN = "multihead_attention", "attention_heads"
_MASKS = {"attn_mask": "attention_mask", "key_padding_mask": "value_mask"}


def simplify(program: Program) -> None:
    """Rename the op and its calls, if all of them fit."""
    nodes = [n for d in program.definitions for n in walk(d.node)]
    made = [n for n in nodes if isinstance(n, Op) and n.layer and n.name == _GENERAL]
    calls = {id(n): n for n in nodes if isinstance(n, LayerCall) and n.name == _GENERAL}
    single = {id(call) for d in program.definitions for call in _single_results(d.node)}
    fits = all(map(_is_plain, made)) and all(_is_simple(c) and id(c) in single for c in calls.values())
    if made and fits and _all_seen(program.facts, calls.values()):
        for node in made:
            _rename(node)
        for definition in program.definitions:
            definition.node = _Calls().visit(definition.node)


def _is_plain(node: Op) -> bool:
    """Whether Keras's layer can be made with these arguments."""
    first = {known(node, "batch_first"), *observed(node, "batch_first")} - {None}
    return first == {True} and node.indirect is None and not any(node.attribute(n) for n in ("kdim", "vdim"))


def _is_simple(call: LayerCall) -> bool:
    """Whether a call has a batch, and no masks but boolean ones."""
    events = call.site.events if call.site else ()
    wanted = {"query": ("float", 3), **dict.fromkeys(_given_masks(call), ("bool", 2))}
    return bool(events) and all(_is_kind(_argument(e, name), *kind) for e in events for name, kind in wanted.items())


def _given_masks(call: LayerCall) -> list[str]:
    given = {name: call.operand(name) for name in _MASKS}
    return [
        name for name, mask in given.items() if mask is not None and not (is_literal(mask) and literal(mask) is None)
    ]


def _argument(event: Event, name: str) -> object:
    """An argument of the call, which PyTorch and the vocabulary name alike."""
    names = registry.get(_GENERAL).parsed.names
    return (dict(zip(names, event.args, strict=False)) | dict(event.kwargs)).get(name)


def _is_kind(value: object, dtype: str, rank: int) -> bool:
    return isinstance(value, Tensor) and value.dtype.startswith(dtype) and len(value.shape) == rank


def _all_seen(facts: Any, calls: Any) -> bool:
    """Whether no attention was called but at these places."""
    numbers = {getattr(call, "nf_id", -1) for call in calls}
    events = getattr(facts, "events", ())
    return all(e.node in numbers for e in events if e.instance is not None and _is_attention(e.path))


def _is_attention(path: str) -> bool:
    return any(op.name == _GENERAL for op, _ in registry.find(path))


def _single_results(tree: ast.AST) -> Iterator[LayerCall]:
    """Calls of which only the first result is used."""
    for function in (n for n in walk(tree) if isinstance(n, ast.FunctionDef)):
        read = {n.id for n in walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        for node in walk(function):
            match node:
                case ast.Assign(targets=[ast.Tuple(elts=[_, ast.Name(id=unused)])], value=LayerCall() as call):
                    if unused not in read:
                        yield call
                case ast.Subscript(value=LayerCall() as call, slice=ast.Constant(value=0)):
                    yield call


def _rename(node: Op) -> None:
    given = {k.arg: k.value for k in node.attributes}
    size, heads = given["embed_dim"], given["num_heads"]
    each: ast.expr = ast.BinOp(size, ast.FloorDiv(), heads)
    if is_literal(size) and is_literal(heads):
        each = constant(literal(size) // literal(heads))
    kept = {name: given[name] for name in ("dropout", "bias") if name in given}
    node.name = _PLAIN
    node.attributes = [ast.keyword(k, v) for k, v in ({"num_heads": heads, "key_dim": each} | kept).items()]


class _Calls(Transformer):
    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.value, LayerCall) and node.value.name == _PLAIN and isinstance(node.targets[0], ast.Tuple):
            node.targets = [node.targets[0].elts[0]]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        return node.value if isinstance(node.value, LayerCall) and node.value.name == _PLAIN else node

    def visit_LayerCall(self, node: LayerCall) -> ast.AST:
        self.generic_visit(node)
        if node.name != _GENERAL:
            return node
        given = {name: node.operand(name) for name in ("query", "value", "key")}
        operands = {name: value for name, value in given.items() if value is not None}
        if ast.unparse(operands["value"]) == ast.unparse(operands["key"]):
            del operands["key"]
        for name in _given_masks(node):
            operands[_MASKS[name]] = Op("logical_not", {"x": node.operand(name) or constant(None)}, site=node.site)
        made = LayerCall(_PLAIN, node.callee, operands, node.site)
        return ast.copy_location(made, node)
