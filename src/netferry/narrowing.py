"""What an ``if isinstance(layer, Conv2d):`` says about a variable, where no run tells more."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

Static = Callable[[ast.AST], Any]


def narrowed(test: ast.expr, static: Static) -> dict[str, tuple[type, ...]]:
    """Variable -> the classes that it is an instance of where ``test`` holds; ``static`` gives a name's object."""
    match test:
        case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), classes]):
            listed = classes.elts if isinstance(classes, ast.Tuple) else [classes]
            found = tuple(static(c) for c in listed)
            return {name: found} if all(isinstance(k, type) for k in found) else {}
        case ast.BoolOp(op=ast.And(), values=values):
            return {name: found for v in values for name, found in narrowed(v, static).items()}
    return {}
