"""Reads a framework call into canonical operands and attributes, through its spelling."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from netferry.ops.core import INFERRED, REQUIRED, Conversion, OpDef, Parameter, Signature, Spelling
from netferry.ops.lowering import CannotWrite, convert
from netferry.pivot.facts import Tensor
from netferry.pivot.nodes import constant, is_literal, literal


class CannotBind(Exception):
    """A call does not fit the recorded signature, or uses an argument value that cannot be expressed."""


@dataclass
class Bound:
    """Canonical operands and attributes of one call."""

    operands: dict[str, ast.expr]
    attributes: dict[str, ast.expr]


_SPATIAL = re.compile(r"(\d)d(_with)?$")
_WINDOWS = frozenset({"kernel_size", "stride", "dilation"})
"""Attributes that are a number for each axis, or one for all."""


def bind(
    op: OpDef,
    spelling: Spelling,
    args: Sequence[ast.expr],
    keywords: Sequence[ast.keyword],
    *,
    partial: bool = False,
    variadic_is_sequence: bool = False,
) -> Bound:
    """Bind call arguments (for methods, the receiver first) to canonical names.

    Arguments left out take the *source* framework's default where that differs from the canonical one, so that a
    default never changes silently; ``partial`` leaves them out (the callable already holds them).
    ``variadic_is_sequence``: the single argument given for ``*args`` is itself the sequence (``view(shape)``).

    Raises:
        CannotBind: too many or unknown arguments, or a value that the op cannot express.
    """
    given = _match(spelling.parsed, args, _renamed(spelling, keywords), variadic_is_sequence)
    bound = Bound({}, {})
    operand_names = {p.name for p in op.operands}
    for parameter in spelling.parsed.parameters:
        value = given.get(parameter.name)
        if parameter.name in spelling.fixed:
            if value is None and not partial and parameter.default not in (REQUIRED, INFERRED):
                value = constant(parameter.default)
            _check_fixed(spelling, parameter.name, value)
            continue
        conversion = spelling.conversion(parameter.name)
        if conversion is None:
            continue
        if value is None:
            if parameter.default is REQUIRED and not partial and not parameter.variadic:
                raise CannotBind(f"argument {parameter.name!r} is missing")
            if partial or parameter.default in (REQUIRED, INFERRED):
                continue
            value = constant(_in_short(conversion.attribute, parameter.default))
        name = conversion.attribute
        if name in operand_names:
            if not (isinstance(value, ast.Constant) and value.value is None):
                bound.operands[name] = value
            continue
        try:
            value = convert(value, conversion, reading=True)
        except CannotWrite as error:
            raise CannotBind(str(error)) from None
        if not _is_default(op, name, value) or (partial and _held_otherwise(op, parameter, conversion)):
            bound.attributes[name] = value
    for name, implied in spelling.implies.items():
        if not _is_default(op, name, constant(implied)):
            bound.attributes[name] = constant(implied)
    return bound


def _in_short(name: str, default: Any) -> Any:
    """The default of a window as one number where it is the same along every axis, as people write it."""
    if name in _WINDOWS and isinstance(default, tuple) and len(set(default)) == 1:
        return default[0]
    return default


def _held_otherwise(op: OpDef, parameter: Parameter, conversion: Conversion) -> bool:
    """Whether a callable that is handed around holds another value for what is given here than the canonical default."""
    if parameter.default in (REQUIRED, INFERRED):
        return False
    try:
        return not _is_default(op, conversion.attribute, convert(constant(parameter.default), conversion, reading=True))
    except CannotWrite:
        return False


def _renamed(spelling: Spelling, keywords: Sequence[ast.keyword]) -> list[ast.keyword]:
    """Keywords under the names of the signature, where the framework takes others too."""
    known = spelling.parsed
    return [
        ast.keyword(alias, k.value)
        if k.arg not in known and (alias := spelling.aliases.get(k.arg or "")) in known
        else k
        for k in keywords
    ]


def _match(
    signature: Signature, args: Sequence[ast.expr], keywords: Sequence[ast.keyword], variadic_is_sequence: bool
) -> dict[str, ast.expr]:
    given: dict[str, ast.expr] = {}
    positional = [p for p in signature.parameters if not p.keyword_only]
    rest = list(args)
    for parameter in positional:
        if parameter.variadic:
            if rest:
                single = variadic_is_sequence and len(rest) == 1 and not isinstance(rest[0], ast.Starred)
                given[parameter.name] = rest[0] if single else ast.Tuple(rest, ast.Load())
            rest = []
            continue
        if not rest:
            break
        if isinstance(rest[0], ast.Starred):
            raise CannotBind("a starred argument whose length is not known")
        given[parameter.name] = rest.pop(0)
    if rest:
        raise CannotBind("more positional arguments than the signature has")
    rest_name = next((p.name for p in signature.parameters if p.variadic and p.keyword_only), None)
    others: dict[str, ast.expr] = {}
    for keyword in keywords:
        if keyword.arg is None:
            raise CannotBind("a ** argument whose names are not known")
        if keyword.arg in given:
            raise CannotBind(f"argument {keyword.arg!r} given twice")
        if keyword.arg in signature and not signature[keyword.arg].variadic:
            given[keyword.arg] = keyword.value
        elif rest_name is not None:
            others[keyword.arg] = keyword.value
        elif keyword.arg in signature:
            given[keyword.arg] = keyword.value
        else:
            raise CannotBind(f"unknown argument {keyword.arg!r}")
    if rest_name is not None and others:
        given[rest_name] = ast.Dict([constant(name) for name in others], list(others.values()))
    return given


def _check_fixed(spelling: Spelling, name: str, value: ast.expr | None) -> None:
    if value is None:
        return
    wanted = spelling.fixed[name]
    if not is_literal(value) or literal(value) != wanted:
        raise CannotBind(f"{name}={ast.unparse(value)} (only {wanted!r} can be translated)")


def of_rank(candidates: Sequence[tuple[OpDef, Spelling]], rank: int | None) -> Sequence[tuple[OpDef, Spelling]]:
    """Those of several ops under one path (``keras.ops.max_pool``) that work on as many axes, batch and channels included.

    Spellings for certain ranks only are left out where another is seen, or none.
    """
    candidates = [(op, s) for op, s in candidates if not s.ranks or rank in s.ranks]
    spatial = {op.name: int(found[1]) for op, _ in candidates if (found := _SPATIAL.search(op.name))}
    if rank is None or len(spatial) < 2:
        return candidates
    return [(op, s) for op, s in candidates if spatial.get(op.name, rank - 2) == rank - 2] or candidates


def kind_holds(kind: str, value: Any) -> bool:
    """Whether an observed argument is of the kind that a spelling asks for (see ``Spelling.kinds``)."""
    match kind:
        case "tensor":
            return isinstance(value, Tensor)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case "sequence":
            return isinstance(value, list | tuple)
        case "axes1":
            return kind_holds("int", value) or (isinstance(value, list | tuple) and len(value) == 1)
        case "axes2" | "axes3":
            return isinstance(value, list | tuple) and len(value) == int(kind[-1])
        case "dtype":
            return type(value).__name__.lower().endswith("dtype")
    raise ValueError(f"unknown kind {kind!r}")


def _is_default(op: OpDef, name: str, value: ast.expr) -> bool:
    default: Any = op.parsed[name].default
    if default in (REQUIRED, INFERRED) or not is_literal(value):
        return False
    found = literal(value)
    if type(default) is int and isinstance(found, tuple) and len(found) > 1:
        return all(type(item) is int and item == default for item in found)
    return bool(type(found) is type(default) and found == default)
