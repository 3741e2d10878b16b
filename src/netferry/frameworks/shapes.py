"""What the run told of shapes, and rewrites of shape ops that follow from it for targets that are stricter than PyTorch."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Any

from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import Op, constant, is_literal, literal


def events(node: Op) -> list[Event]:
    """What was observed here, leaving out calls of layers."""
    return [e for e in (node.site.events if node.site else ()) if e.instance is None]


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of a nested value."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)


def rank_of(node: Op) -> int | None:
    """The rank of the first operand: given, or the same in all that was observed."""
    given = node.attribute("rank")
    if given is not None and is_literal(given):
        return int(literal(given))
    first = [next(tensors((*e.args, *e.kwargs.values())), None) for e in events(node)]
    ranks = {len(tensor.shape) for tensor in first if tensor is not None}
    return ranks.pop() if len(ranks) == 1 else None


def integers(node: Op, *names: str, default: Sequence[int] = ()) -> list[int] | None:
    """The values of attributes that are integer literals; ``default`` for those left out."""
    values = [node.attribute(name) for name in names]
    if default:
        values = [constant(d) if value is None else value for value, d in zip(values, default, strict=True)]
    if not all(is_literal(value) and isinstance(literal(value), int) for value in values):
        return None
    return [int(literal(value)) for value in values]


def listed(value: Any) -> list[int]:
    """A list of one axis or several."""
    return list(value) if isinstance(value, list | tuple) else [value]


def with_rank(node: Op, framework: str) -> ast.expr:
    """Note the rank for spellings that depend on it."""
    rank = rank_of(node)
    if rank is None or node.attribute("rank") is not None:
        return node
    return node.replace(attributes={"rank": constant(rank)})


def ranked(node: Op, framework: str) -> ast.expr:
    """Note the rank of what a function or layer is called with here, if it is always the same."""
    ranks = getattr(node, "nf_ranks", set()) if node.layer else {rank_of(node)}
    if node.attribute("rank") is not None or len(ranks) != 1 or None in ranks:
        return node
    return node.replace(attributes={"rank": constant(next(iter(ranks)))})


def squeeze(node: Op, framework: str) -> ast.expr:
    """PyTorch leaves axes of other sizes alone; targets refuse them."""
    axis = node.attribute("axis")
    changes = {_squeezed(event) for event in events(node)}
    if axis is None or node.attribute("exact") is not None or len(changes) != 1:
        return node
    removed = changes.pop()
    if removed == 0:
        x = node.operand("x")
        return node if x is None else x
    asked = len(listed(literal(axis))) if is_literal(axis) else 1
    return node.replace(attributes={"exact": constant(True)}) if removed == asked else node


def _squeezed(event: Event) -> int:
    before, after = next(tensors(event.args)), next(tensors(event.result))
    return len(before.shape) - len(after.shape)


def last_axis(node: Op, framework: str) -> ast.expr:
    """Targets have a plain call for the last axis, which may be written as its number."""
    axis, rank = integers(node, "axis"), rank_of(node)
    if axis is None or rank is None or axis[0] != rank - 1:
        return node
    return node.replace(attributes={"axis": constant(-1)})


def chunk(node: Op, framework: str) -> ast.expr:
    """Targets split into equal pieces only; PyTorch's last one may be smaller."""
    chunks = node.attribute("chunks")
    counts = {equal_pieces(event) for event in events(node)}
    if chunks is None or len(counts) != 1:
        return node
    count = counts.pop()
    if count is None or (is_literal(chunks) and literal(chunks) != count):
        return node
    return node.replace("split_equal", attributes={"chunks": None, "sections": chunks})


def equal_pieces(event: Event) -> int | None:
    """The number of results, if they have one shape."""
    pieces = list(tensors(event.result))
    return len(pieces) if len({piece.shape for piece in pieces}) == 1 else None


def split_size(node: Op, framework: str) -> ast.expr:
    """Features split by a size are as many equal pieces; along any other axis the number may vary with the input."""
    axis, rank = integers(node, "axis"), rank_of(node)
    counts = {equal_pieces(event) for event in events(node)}
    if axis is None or rank is None or axis[0] % rank != rank - 1 or len(counts) != 1 or None in counts:
        return node
    return node.replace("split_equal", attributes={"size": None, "sections": constant(counts.pop())})


def is_kept(size: ast.expr) -> bool:
    """Whether a size is -1."""
    return is_literal(size) and literal(size) == -1


def repeats_ones(event: Event) -> bool:
    """Whether some sizes were kept by -1 and all others had been one."""
    given, before = _sizes(event), next(tensors(event.args)).shape
    return -1 in given and all(asked == -1 or size == 1 for asked, size in zip(given, before, strict=True))


def _sizes(event: Event) -> tuple[Any, ...]:
    """The sizes that a method was called with, alone or as a sequence."""
    given = event.args[1:] or tuple(event.kwargs.values())
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], list | tuple) else tuple(given)


def hidden_kept(node: Op, sizes: list[ast.expr]) -> bool:
    """Whether a size that is no literal was -1 in the run."""
    for event in events(node):
        if any(g == -1 for g in _sizes(event)) and [g == -1 for g in _sizes(event)].count(True) > sum(
            map(is_kept, sizes)
        ):
            return True
    return False
