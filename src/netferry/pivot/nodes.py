"""The node types that a pivot program adds to Python's own syntax tree.

A pivot program is an ``ast`` tree of the user's code in which every framework call is one of these nodes. They are
expressions like any other, so passes are ordinary ``ast.NodeTransformer`` classes.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from netferry.pivot.facts import Site

_NOTHING = ast.Constant(None)
"""Default of required fields: copying a tree makes nodes without arguments and fills them in afterwards."""


class Op(ast.expr):
    """An op of the vocabulary: a function application, or the construction of a layer (``layer=True``).

    Fields:
        operands: ``keyword(arg=canonical operand name, value)``; a list operand's value is a list/tuple expression.
        attributes: ``keyword(arg=canonical attribute name, value)``; canonical defaults are left out.
    """

    _fields = ("operands", "attributes")

    def __init__(
        self,
        name: str = "",
        operands: Mapping[str, ast.expr] | None = None,
        attributes: Mapping[str, ast.expr] | None = None,
        *,
        layer: bool = False,
        site: Site | None = None,
        indirect: ast.expr | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.operands = [ast.keyword(arg=k, value=v) for k, v in (operands or {}).items()]
        self.attributes = [ast.keyword(arg=k, value=v) for k, v in (attributes or {}).items()]
        self.layer = layer
        self.site = site
        self.indirect = indirect

    def operand(self, name: str) -> ast.expr | None:
        """The expression given for an operand, or None."""
        return _lookup(self.operands, name)

    def attribute(self, name: str) -> ast.expr | None:
        """The expression given for an attribute, or None where the canonical default holds."""
        return _lookup(self.attributes, name)

    def replace(
        self,
        name: str | None = None,
        operands: Mapping[str, ast.expr | None] | None = None,
        attributes: Mapping[str, ast.expr | None] | None = None,
    ) -> Op:
        """A copy with some operands or attributes set (None removes one)."""
        return Op(
            name or self.name,
            _updated(self.operands, operands),
            _updated(self.attributes, attributes),
            layer=self.layer,
            site=self.site,
            indirect=self.indirect,
        )


class LayerCall(ast.expr):
    """The call of a layer object whose construction is an :class:`Op` elsewhere: ``self.lstm(x, state)``."""

    _fields = ("callee", "operands")

    def __init__(
        self,
        name: str = "",
        callee: ast.expr = _NOTHING,
        operands: Mapping[str, ast.expr] | None = None,
        site: Site | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.callee = callee
        self.operands = [ast.keyword(arg=k, value=v) for k, v in (operands or {}).items()]
        self.site = site

    def operand(self, name: str) -> ast.expr | None:
        """The expression given for an operand, or None."""
        return _lookup(self.operands, name)


class Hole(ast.expr):
    """A call that cannot be translated: its source and the reason."""

    _fields = ("source",)

    def __init__(self, source: ast.expr = _NOTHING, reason: str = "", hint: str = "", site: Site | None = None) -> None:
        super().__init__()
        self.source = source
        self.reason = reason
        self.hint = hint
        self.site = site
        self.code = ""
        """The diagnostic that it is where the run did not reach it; empty for the usual one."""


class Reference(ast.expr):
    """A framework class or function used as a value: a base class, a default argument, an ``isinstance`` test."""

    _fields = ()

    def __init__(self, path: str = "", kind: str = "", site: Site | None = None) -> None:
        super().__init__()
        self.path = path
        self.kind = kind
        self.site = site
        self.op = ""
        """Which of the ops that share the path is meant, where that is known."""
        self.attributes: Mapping[str, ast.expr] = {}
        """Canonical attributes that are the same wherever it is called."""


class LayerAttribute(ast.expr):
    """A parameter of a stock layer read through the layer object: ``self.conv.weight``."""

    _fields = ("owner",)

    def __init__(
        self, owner: ast.expr = _NOTHING, name: str = "", ops: tuple[str, ...] = (), site: Site | None = None
    ) -> None:
        super().__init__()
        self.owner = owner
        self.name = name
        self.ops = ops
        self.site = site


def _lookup(items: list[ast.keyword], name: str) -> ast.expr | None:
    return next((k.value for k in items if k.arg == name), None)


def _updated(items: list[ast.keyword], changes: Mapping[str, ast.expr | None] | None) -> dict[str, ast.expr]:
    merged: dict[str, ast.expr | None] = {k.arg: k.value for k in items if k.arg is not None}
    merged.update(changes or {})
    return {k: v for k, v in merged.items() if v is not None}


def literal(node: ast.expr | None) -> Any:
    """The value of a literal expression; raises ValueError when it is not one."""
    if node is None:
        raise ValueError("no expression")
    infinity = _infinity(node)
    return ast.literal_eval(node) if infinity is None else infinity


def _infinity(node: ast.expr) -> float | None:
    """The value of ``float("inf")`` and ``-float("inf")``, which Python has no literal for."""
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _infinity(operand)
            return None if value is None else -value
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value="inf" | "-inf" as text)], keywords=[]):
            return float(text)
    return None


def is_literal(node: ast.expr | None) -> bool:
    """Whether ``node`` is a literal whose value is known without running anything."""
    try:
        literal(node)
    except (ValueError, TypeError, SyntaxError):
        return False
    return True


def constant(value: Any) -> ast.expr:
    """The expression of a Python literal value."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return ast.parse(f"float('{value}')", mode="eval").body
    return ast.parse(repr(value), mode="eval").body
