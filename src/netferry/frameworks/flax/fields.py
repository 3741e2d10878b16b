"""Linen modules as classes with constructors: fields become arguments, ``setup`` is the end of ``__init__``."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Sequence
from typing import Any, Final

from flax import linen as nn

from netferry.frameworks import detours
from netferry.frameworks.flax import flags, methods
from netferry.ops.jax_forms import UNUSED
from netferry.ops.lowering import dotted
from netferry.pivot.copying import copied
from netferry.pivot.nodes import is_literal
from netferry.reader import Reader

_MAKES_VARIABLES: Final = frozenset({"param", "variable"})
_OF_LINEN: Final = frozenset({"parent", "name"})


def is_module_class(reader: Reader, node: ast.ClassDef) -> bool:
    """Whether a class is one of Linen's modules."""
    bases = [reader.static(b) for b in node.bases]
    return any(isinstance(b, type) and issubclass(b, nn.Module) for b in bases)


def kept_fields(kind: Any) -> list[dataclasses.Field[Any]]:
    """The fields of a class that are arguments of its constructor elsewhere."""
    found = getattr(kind, "__dataclass_fields__", {}).values()
    return [f for f in found if f.init and f.name not in _OF_LINEN and not is_dropped(f.name, str(f.type))]


def is_dropped(name: str, annotation: str) -> bool:
    """Whether a field has no meaning elsewhere: modes, random generators, types and initialisers."""
    return name in UNUSED or flags.is_dropped(name, annotation, flags=True)


def prepare(reader: Reader, node: ast.ClassDef) -> None:
    """Give a class a constructor, and mark the methods that make the layers which they apply."""
    detours.drop_shadowed(node)
    detours.drop(reader, node, "__call__")
    for method in [s for s in node.body if isinstance(s, ast.FunctionDef)]:
        compact = any(getattr(reader.static(d), "__name__", "") == "compact" for d in method.decorator_list)
        method.decorator_list = [d for d in method.decorator_list if not _is_linen(reader, d)]
        if method.name == "setup":
            continue
        methods.neutral(method)
        if method.name in _MAKES_VARIABLES:
            _refuse(reader, method)
        if compact:
            method.nf_compact = True  # type: ignore[attr-defined]
    own = {s.target.id: s for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)}
    setup = next((s for s in node.body if isinstance(s, ast.FunctionDef) and s.name == "setup"), None)
    is_root = any(reader.static(b) is nn.Module for b in node.bases)
    first = next((i for i, s in enumerate(node.body) if s in own.values() or s is setup), 0)
    node.body = [s for s in node.body if s not in own.values() and s is not setup]
    if not own and setup is None and not is_root:
        node.body = node.body or [ast.Pass()]
        return
    made = _constructor(reader, reader.static(ast.Name(node.name, ast.Load())), own, setup)
    node.body = [*node.body[:first], made, *node.body[first:]]


def _refuse(reader: Reader, method: ast.FunctionDef) -> None:
    """Layers elsewhere do not ask a method of theirs for their variables."""
    asked = ast.copy_location(ast.Name(method.name, ast.Load()), method)
    reason = f"a layer that changes its variables as it gets them, by a {method.name} of its own, has no equivalent"
    method.body = [ast.copy_location(ast.Expr(reader.hole(asked, reason)), method)]


def _is_linen(reader: Reader, decorator: ast.expr) -> bool:
    value = reader.static(decorator.func if isinstance(decorator, ast.Call) else decorator)
    return str(getattr(value, "__module__", "")).startswith("flax.linen")


def _constructor(
    reader: Reader, kind: Any, own: dict[str, ast.AnnAssign], setup: ast.FunctionDef | None
) -> ast.FunctionDef:
    """``__init__`` with an argument for each field."""
    found = {f.name: f for f in kept_fields(kind)}
    names = list(found) or [n for n in own if not is_dropped(n, ast.unparse(own[n].annotation))]
    arguments = [ast.arg(n, copied(own[n].annotation) if n in own else None) for n in names]
    defaults = [_default(own[n].value if n in own else None, found.get(n)) for n in names]
    start = next((i for i, d in enumerate(defaults) if d is not None), len(defaults))
    given = [d if d is not None else ast.Constant(None) for d in defaults[start:]]
    handed = [n for n in names if n not in own]
    base = ast.Call(ast.parse("super().__init__", mode="eval").body, [ast.Name(n, ast.Load()) for n in handed], [])
    begun: ast.stmt = ast.Expr(base)
    begun.nf_made = True  # type: ignore[attr-defined]
    saved = [ast.parse(f"self.{n} = {n}").body[0] for n in names if n in own]
    for statement in saved:
        statement.nf_made = True  # type: ignore[attr-defined]
    body = [*[begun], *saved, *(_own_setup(setup) if setup is not None else [])]
    taken = ast.arguments([], [ast.arg("self"), *arguments], None, [], [], None, given)
    made = ast.FunctionDef(name="__init__", args=taken, body=body, decorator_list=[], returns=None)
    made.nf_prepared = True  # type: ignore[attr-defined]
    made.nf_fields = tuple(names)  # type: ignore[attr-defined]
    return made


def _own_setup(setup: ast.FunctionDef) -> Sequence[ast.stmt]:
    """What ``setup`` does, without the call of the one that the base class has: its constructor does that."""
    found = [s for s in setup.body if not (isinstance(s, ast.Expr) and "super().setup(" in ast.unparse(s))]
    says = [s for s in found if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    is_abstract = all(isinstance(s, ast.Pass | ast.Raise) for s in says)
    return [] if is_abstract else found


def _default(value: ast.expr | None, field: Any) -> ast.expr | None:
    """The default of a field, as one of an argument."""
    match value:
        case ast.Call(func=ast.Name(id="field") | ast.Attribute(attr="field"), keywords=keywords):
            given = {k.arg: k.value for k in keywords}
            if "default_factory" in given:
                factory = given["default_factory"]
                return factory.body if isinstance(factory, ast.Lambda) else ast.Call(factory, [], [])
            return given.get("default")
    if value is not None or field is None or field.default is dataclasses.MISSING:
        return value
    made = ast.parse(repr(field.default)).body[0] if _is_plain(field.default) else None
    return made.value if isinstance(made, ast.Expr) and is_literal(made.value) else ast.Constant(None)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | tuple)


def parameters(kind: Any) -> tuple[list[str], set[str]]:
    """The names of a class's arguments in Linen, and which of them are dropped."""
    found = [f for f in getattr(kind, "__dataclass_fields__", {}).values() if f.init]
    return [f.name for f in found], {f.name for f in found if f.name in _OF_LINEN or is_dropped(f.name, str(f.type))}


def _starts(statement: ast.stmt) -> bool:
    """Whether a field keeps an initialiser."""
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name)):
            return name.endswith("_init")
    return False


def plain_dataclass(reader: Reader, node: ast.ClassDef) -> None:
    """``flax.struct.dataclass`` as Python's own, for what is not changed."""
    node.body = [s for s in node.body if not _starts(s)] or [ast.Pass()]
    for index, decorator in enumerate(node.decorator_list):
        value = reader.static(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if str(getattr(value, "__module__", "")) == "flax.struct":
            made = ast.Call(dotted("dataclasses.dataclass"), [], [ast.keyword("frozen", ast.Constant(True))])
            node.decorator_list[index] = ast.fix_missing_locations(ast.copy_location(made, decorator))
