"""Functions with a derivative of their own (``torch.autograd.Function``): what they compute stays, targets derive it.

Whether the target's derivative is the one written there, the comparison of gradients tells.
"""

from __future__ import annotations

import ast
from typing import Final

import torch

from netferry.reader import Reader
from netferry.walking import walk

_DERIVING: Final = frozenset({"backward", "vjp", "jvp", "setup_context", "vmap", "symbolic"})
_OF_METHODS: Final = "the target differentiates {} itself: what its `backward` does is compared, not written"


def without_derivative(reader: Reader, node: ast.ClassDef) -> None:
    """Leave of such a class its ``forward``, as the ``apply`` that callers call, without the context it is given."""
    bases = [reader.static(base) for base in node.bases]
    if torch.autograd.Function not in bases:
        return
    methods = {m.name: m for m in node.body if isinstance(m, ast.FunctionDef)}
    forward = methods.get("forward")
    if forward is None:
        return
    if "setup_context" not in methods and not _take_context(forward):
        return
    forward.name = "apply"
    node.bases = [b for b, value in zip(node.bases, bases, strict=True) if value is not torch.autograd.Function]
    node.body = [s for s in node.body if not (isinstance(s, ast.FunctionDef) and s.name in _DERIVING)]
    reader.note(node, _OF_METHODS.format(node.name))


def _take_context(forward: ast.FunctionDef) -> bool:
    """Take away the first parameter and the statements that only keep things in it; False where more depends on it."""
    parameters = [*forward.args.posonlyargs, *forward.args.args]
    if not parameters:
        return False
    name = parameters[0].arg
    kept = [s for s in forward.body if not _only_keeps(s, name)]
    if any(isinstance(n, ast.Name) and n.id == name for s in kept for n in walk(s)):
        return False
    forward.body = kept or [ast.Pass()]
    (forward.args.posonlyargs or forward.args.args).pop(0)
    return True


def _only_keeps(statement: ast.stmt, name: str) -> bool:
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=owner)))):
            return owner == name
        case ast.Assign(targets=targets):
            return all(
                isinstance(t, ast.Attribute) and isinstance(t.value, ast.Name) and t.value.id == name for t in targets
            )
    return False
