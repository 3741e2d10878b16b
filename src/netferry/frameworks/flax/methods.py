"""Classes and functions of Flax in neutral form: ``__call__`` is ``forward``, modes and random generators are not handed on."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Sequence
from typing import Any

from flax import linen as nn
from flax import nnx

from netferry.conventions import MISSING
from netferry.frameworks import detours
from netferry.frameworks.flax import flags
from netferry.frameworks.flax.vocabulary import callable_path, is_random
from netferry.reader import Reader
from netferry.walking import walk


def is_module_class(reader: Reader, node: ast.ClassDef) -> bool:
    """Whether a class is one of modules."""
    bases = [reader.static(b) for b in node.bases]
    return any(isinstance(b, type) and issubclass(b, nnx.Module) for b in bases)


def prepare(reader: Reader, node: ast.ClassDef) -> None:
    """Change a class's methods before they are read."""
    direct = any(reader.static(b) is nnx.Module for b in node.bases)
    detours.drop_shadowed(node)
    detours.drop(reader, node, "__call__")
    node.body = [s for s in node.body if not _says_mode(s)] or [ast.Pass()]
    for method in node.body:
        if isinstance(method, ast.FunctionDef):
            neutral(method)
            if method.name == "__init__" and direct and not _calls_base(method):
                _call_base(method)


def _says_mode(statement: ast.stmt) -> bool:
    """``deterministic: bool = False`` lets a module be switched, as every one can be elsewhere."""
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name)):
            return name in flags.FLAGS
    return False


def neutral(method: ast.FunctionDef) -> None:
    """A method without modes and random generators; what a call of the module runs is ``forward``."""
    method.nf_prepared = True  # type: ignore[attr-defined]
    if method.name == "__call__":
        method.name = "forward"
    own = _drop(method, flags=method.name != "__init__")
    if own:
        changer = _Asked(own)
        method.body = [changer.visit(s) for s in method.body]
    for inner in (n for s in method.body for n in walk(s)):
        if isinstance(inner, ast.Attribute) and inner.attr == "__call__" and ast.unparse(inner.value) in _OWN:
            inner.attr = "forward"


_OWN = ("self", "super()")


def without_random(function: ast.FunctionDef) -> None:
    """Take parameters away that take random generators."""
    _drop(function, flags=False)


def _drop(function: ast.FunctionDef, *, flags: bool) -> set[str]:
    """Take parameters away that mean nothing elsewhere; gives the names of the flags among them."""
    from netferry.frameworks.flax.flags import FLAGS, is_dropped

    gone = {
        a.arg
        for a in [*function.args.args, *function.args.kwonlyargs]
        if is_dropped(a.arg, ast.unparse(a.annotation) if a.annotation else "", flags=flags)
    }
    for name in gone:
        _without(function.args, name)
    return gone & FLAGS


def _without(arguments: ast.arguments, name: str) -> None:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    pairs = list(zip(positional, [*defaults, *arguments.defaults], strict=True))
    arguments.args = [a for a in arguments.args if a.arg != name]
    arguments.defaults = [d for a, d in pairs if a.arg != name and d is not None]
    kept = [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if a.arg != name]
    arguments.kwonlyargs, arguments.kw_defaults = [a for a, _ in kept], [d for _, d in kept]


def _calls_base(method: ast.FunctionDef) -> bool:
    return any(isinstance(n, ast.Attribute) and ast.unparse(n) == "super().__init__" for n in walk(method))


def _call_base(method: ast.FunctionDef) -> None:
    """``super().__init__()``, which NNX can do without."""
    made = ast.parse("super().__init__()").body[0]
    made.nf_made = True  # type: ignore[attr-defined]
    after = int(ast.get_docstring(method, clean=False) is not None)
    method.body = [*method.body[:after], made, *method.body[after:]]


class _Asked(ast.NodeTransformer):
    """The mode is asked for, not handed on, within one method."""

    def __init__(self, names: set[str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.names and isinstance(node.ctx, ast.Load):
            return ast.copy_location(flags.asked(node.id), node)
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """``not deterministic``, without saying no twice."""
        self.generic_visit(node)
        inner = node.operand
        if isinstance(node.op, ast.Not) and isinstance(inner, ast.UnaryOp) and isinstance(inner.op, ast.Not):
            return inner.operand
        return node


def leave_out(reader: Reader, node: ast.Call, callees: Sequence[Any]) -> None:
    """Drop the arguments of a call of the project's own code whose parameters are dropped; a name is kept as a label."""
    kinds = [c.func if isinstance(c, functools.partial) else c for c in callees]
    if all(isinstance(c, type) and issubclass(c, nn.Module) for c in kinds):
        label(reader, node)
    if callees and all(c is functools.partial for c in callees):
        _leave_out_held(reader, node)
        return
    found = [_parameters(c) for c in callees]
    if not found or any(p is None for p in found):
        return
    names, gone = found[0] or ([], set())
    node.args = [a for i, a in enumerate(node.args) if i >= len(names) or names[i] not in gone]
    node.keywords = [k for k in node.keywords if k.arg not in gone]


def _leave_out_held(reader: Reader, node: ast.Call) -> None:
    """Likewise of what a ``partial`` holds for the project's own code."""
    seen = reader.values(node.args[0]) or [reader.static(node.args[0])]
    found = [p for v in seen if v is not MISSING and callable_path(v) is None and (p := _parameters(v)) is not None]
    if found:
        names, gone = found[0]
        node.args = [a for i, a in enumerate(node.args) if i == 0 or i > len(names) or names[i - 1] not in gone]
        node.keywords = [k for k in node.keywords if k.arg not in gone]


def _parameters(callee: Any) -> tuple[list[str], set[str]] | None:
    """The names of a callable's parameters, and which of them are dropped."""
    from netferry.frameworks.flax import fields

    if isinstance(callee, functools.partial):
        inner = _parameters(callee.func)
        return None if inner is None else (inner[0][len(callee.args) :], inner[1])
    function, skip, modes = callee, 0, False
    if isinstance(callee, type) and issubclass(callee, nn.Module):
        return fields.parameters(callee)
    if isinstance(callee, type):
        function, skip = callee.__init__, 1  # type: ignore[misc]
    elif isinstance(callee, nnx.Module | nn.Module):
        function, skip, modes = type(callee).__call__, 1, True
    elif inspect.ismethod(callee):
        modes = isinstance(callee.__self__, nnx.Module | nn.Module) and callee.__name__ != "__init__"
    elif not inspect.isfunction(callee):
        return None
    found = flags.parameters(function)[skip:]
    return [n for n, _, _ in found], {n for n, a, _ in found if flags.is_dropped(n, a, flags=modes)}


def label(reader: Reader, node: ast.Call) -> None:
    """Note the name that a module is given, after which others name attributes."""
    given = next((k.value for k in node.keywords if k.arg == "name"), None)
    if given is not None:
        reader.facts.labels[getattr(node, "nf_id", -1)] = given
        node.keywords = [k for k in node.keywords if k.arg != "name"]


def is_random_value(reader: Reader, value: ast.expr) -> bool:
    """Whether an expression was seen to be a random generator, or keys of one."""
    seen = reader.values(value)
    if bool(seen) and all(_random(v) for v in seen):
        return True
    if not isinstance(value, ast.Call):
        return False
    callees = reader.callees(value) or [reader.static(value.func)]
    return all(c is not MISSING and callable_path(c) in _KEYS for c in callees)


def is_drawn(reader: Reader, node: ast.Call) -> bool:
    """Whether a call is a method of a random generator: ``rngs.normal(shape)``."""
    receivers = [getattr(c, "__self__", None) for c in reader.callees(node)]
    return bool(receivers) and all(isinstance(r, nnx.Rngs | nnx.RngStream) for r in receivers)


_KEYS = frozenset(
    {*(f"jax.random.{name}" for name in ("PRNGKey", "key", "split", "fold_in", "clone")), "flax.nnx.Rngs"}
)
"""Functions that give keys of random generators."""


def _random(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_random, value))
    return is_random(value)
