"""Functions that return a function which applies layers: ``ConvBlock(64)(x)``. Joined, they are like any other."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping

from netferry.walking import walk


def find(functions: Mapping[str, ast.FunctionDef], applying: Collection[int]) -> dict[str, ast.FunctionDef]:
    """Function -> the function in it that it returns, where that applies layers."""
    found: dict[str, ast.FunctionDef] = {}
    for name, node in functions.items():
        inner = {s.name: s for s in node.body if isinstance(s, ast.FunctionDef)}
        match node.body[-1]:
            case ast.Return(value=ast.Name(id=returned)) if returned in inner:
                if id(inner[returned]) in applying or _applies(inner[returned]):
                    found[name] = inner[returned]
    return found


def _applies(function: ast.FunctionDef) -> bool:
    from netferry.passes.splitting import is_application

    return any(is_application(n) for n in walk(function))


def join(function: ast.FunctionDef, inner: ast.FunctionDef) -> None:
    """Make one function of both: what it does before is done first, and the inner one's arguments are its own too."""
    before = [s for s in function.body[:-1] if s is not inner]
    own = function.args
    function.args = ast.arguments(
        own.posonlyargs, [*inner.args.args, *own.args], own.vararg, own.kwonlyargs, own.kw_defaults, own.kwarg,
        own.defaults,
    )  # fmt: skip
    function.body = [*before, *inner.body]
