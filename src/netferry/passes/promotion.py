"""Makes type promotion explicit: some frameworks refuse what the source promotes silently.

Requires facts on operators; ensures that the tensor operands of every arithmetic operator have its result's type, and
those of every comparison a common one.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from netferry.ops import registry
from netferry.pivot.facts import Event, Tensor
from netferry.pivot.nodes import Op, constant
from netferry.pivot.program import Program
from netferry.walking import Transformer

_ARITHMETIC = frozenset({
    "add", "sub", "rsub", "mul", "div", "floor_divide", "pow", "remainder", "fmod", "maximum", "minimum", "outer",
    "atan2", "hypot", "logaddexp", "where",
})  # fmt: skip
_COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
_FLOATS = ("float16", "bfloat16", "float32", "float64")


def promote(program: Program, *, whole_to_real: bool) -> Program:
    """Insert the casts that the source's operators do by themselves.

    ``whole_to_real`` tells whether the target's functions of real numbers take whole ones too.
    """
    transformer = _Promote(program.facts, whole_to_real=whole_to_real)
    for definition in program.definitions:
        definition.node = transformer.visit(definition.node)
    return program


class _Promote(Transformer):
    def __init__(self, facts: Any, *, whole_to_real: bool) -> None:
        self.facts = facts
        self.whole_to_real = whole_to_real

    def _events(self, node: ast.AST) -> Sequence[Event]:
        found: Sequence[Event] = self.facts.by_node.get(getattr(node, "nf_id", -1), ())
        return found

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        types = _types(self._events(node), ("Add", "Sub", "Mult", "Div", "Pow", "MatMult", "FloorDiv", "Mod"))
        if types is None:
            return node
        left, right, result = types
        if left is not None and left != result:
            node.left = _cast(node.left, result)
        if right is not None and right != result:
            node.right = _cast(node.right, result)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        types = _types(self._events(node), ("Eq", "NotEq", "Lt", "LtE", "Gt", "GtE"))
        if types is None or None in types[:2] or types[0] == types[1]:
            return node
        left, right, _ = types
        common = _common(str(left), str(right))
        if left != common:
            node.left = _cast(node.left, common)
        if right != common:
            node.comparators = [_cast(node.comparators[0], common)]
        return node

    def visit_Op(self, node: Op) -> ast.AST:
        self.generic_visit(node)
        if not self.whole_to_real and len(node.operands) == 1 and not node.layer:
            self._real(node)
        if node.name not in _ARITHMETIC | _COMPARISONS:
            return node
        pair = node.operands[-2:]  # The condition of ``where`` is no operand of this kind.
        seen = {_given(event, len(node.operands), pair, comparing=node.name in _COMPARISONS) for event in _seen(node)}
        wanted = seen.pop() if len(seen) == 1 else None
        for keyword, dtype in zip(pair, wanted or (), strict=False):
            keyword.value = keyword.value if dtype is None else _cast(keyword.value, dtype)
        return node

    def _real(self, node: Op) -> None:
        """Give a function of real numbers a real one, where it makes one of a whole number."""
        if node.name == "cast" or registry.get(node.name).layout != "elementwise":
            return
        types = {(_dtype(next(iter(e.args), None)), _dtype(e.result)) for e in _seen(node)}
        given, result = types.pop() if len(types) == 1 else (None, None)
        if result in _FLOATS and given not in (None, *_FLOATS) and "complex" not in str(given):
            node.operands[0].value = _cast(node.operands[0].value, str(result))


def _dtype(value: Any) -> str | None:
    return value.dtype if isinstance(value, Tensor) else None


def _seen(node: Op) -> Sequence[Event]:
    return node.site.events if node.site else ()


def _given(
    event: Event, count: int, pair: Sequence[ast.keyword], *, comparing: bool
) -> tuple[str | None, str | None] | None:
    """The types that a function's two operands must be cast to (None: as they are); None where that is not known."""
    given = [*event.args, *event.kwargs.values()][count - len(pair) : count]
    if len(given) != 2 or not isinstance(event.result, Tensor):
        return None
    types = [a.dtype if isinstance(a, Tensor) else None for a in given]
    left, right = types
    wanted = event.result.dtype if not comparing else _common(left, right) if left and right else None
    return tuple(wanted if t not in (None, wanted) else None for t in types)  # type: ignore[return-value]


def _types(events: Sequence[Event], operators: Sequence[str]) -> tuple[str | None, str | None, str] | None:
    """Types of both operands (None: no tensor) and of the result, where all uses agree."""
    found = set()
    for event in events:
        if event.path.removeprefix("operator.") not in operators or not isinstance(event.result, Tensor):
            return None
        left, right = (a.dtype if isinstance(a, Tensor) else None for a in event.args[:2])
        found.add((left, right, event.result.dtype))
    return found.pop() if len(found) == 1 else None


def _common(one: str, other: str) -> str:
    """The type that both convert to: floats win over integers, wider ones over narrower."""
    ranked = ["bool", "uint8", "int8", "int16", "int32", "int64", *_FLOATS]
    return max(one, other, key=lambda t: ranked.index(t) if t in ranked else len(ranked))


def _cast(value: ast.expr, dtype: str) -> ast.expr:
    if isinstance(value, Op) and value.name == "tensor" and value.attribute("dtype") is None:
        return value.replace(attributes={"dtype": constant(dtype)})
    return Op("cast", {"x": value}, {"dtype": constant(dtype)})
